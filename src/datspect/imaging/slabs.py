"""Make boxes into slabs, what the network sees: means over 4 x 4 x 12 mm, from a head as it lies or moved and blurred.

A slab's pixel is the exact mean of the box between its edges, voxels being cubes of constant value. A move is three
passes, along z, y and x: in each one the edges move by what the other two coordinates say, which is a turn to first
order (0.2 mm off at 56 mm and 5 degrees).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.imaging.striatal_box import BOX_CENTRES_MM, BOX_SHAPE, VOXEL_MM
from datspect.imaging.volume import FWHM_PER_SD

SLAB_EDGES_MM = (
    np.linspace(-56, 56, 29),  # x: 28 pixels, 14 of each side
    np.linspace(-48, 48, 25),  # y: 24 pixels
    np.linspace(-22, 26, 5),  # z: 4 slabs
)
"""Edges of the pixels, MNI mm: caudates and putamina with a blur's width around them. Pixels of 2 mm showed nothing
more in prototypes."""
SLABS_SHAPE = tuple(len(edges) - 1 for edges in SLAB_EDGES_MM)
N_PEAK = 12
"""Pixels that a scan's peak is the mean of: 2.3 ml, a quarter of the striata. [assumed]"""


@dataclass(frozen=True, eq=False)
class Moves:
    """How the content of n boxes is moved and blurred; nothing is 0 for all but `scale`, which is 1.

    shift_mm : shape (n, 3), along x, y and z
    turn : shape (n, 3), radians about the axes x (nod), y (tilt) and z (turn), right-handed
    scale : shape (n,), above 1 for larger
    fwhm_mm : shape (n,), of the Gaussian blur
    """

    shift_mm: FloatArray
    turn: FloatArray
    scale: FloatArray
    fwhm_mm: FloatArray

    @classmethod
    def none(cls, n: int) -> Self:
        """Return moves that leave n boxes as they are."""
        return cls(np.zeros((n, 3)), np.zeros((n, 3)), np.ones(n), np.zeros(n))


def slabs(boxes: FloatArray, moves: Moves | None = None) -> NDArray[np.float32]:
    """Return what the network sees of n boxes, shape (n, 28, 24, 4): from left to right, back to front and upwards.

    `boxes`: shape (n, 65, 57, 33), as from `striatal_box`.

    >>> slabs(np.full((1, *BOX_SHAPE), 2.0)).shape, float(slabs(np.full((1, *BOX_SHAPE), 2.0)).max())
    ((1, 28, 24, 4), 2.0)
    """
    moves = moves or Moves.none(len(boxes))
    to_source = _to_source(moves)
    x, y, _ = (np.linspace(*ends, size) for ends, size in zip(BOX_CENTRES_MM, BOX_SHAPE, strict=True))
    edges_x, edges_y, edges_z = SLAB_EDGES_MM
    middle_y, middle_z = ((edges[:-1] + edges[1:]) / 2 for edges in (edges_y, edges_z))
    values = np.asarray(boxes, np.float32)
    values = _means(_blurred(values, moves.fwhm_mm), _edges(to_source, 2, (x, y, edges_z), moves))
    values = values.swapaxes(2, 3)  # (n, x, z, y)
    values = _means(_blurred(values, moves.fwhm_mm), _edges(to_source, 1, (x, edges_y, middle_z), moves).swapaxes(2, 3))
    values = values.transpose(0, 3, 2, 1)  # (n, y, z, x)
    edges = _edges(to_source, 0, (edges_x, middle_y, middle_z), moves).transpose(0, 2, 3, 1)
    return _means(_blurred(values, moves.fwhm_mm), edges).transpose(0, 3, 1, 2)


def slices_of_slabs(box: FloatArray) -> NDArray[np.float32]:
    """Return the means of a box over the heights of the slabs alone, its own 2 mm in the plane: shape (65, 57, 4)."""
    edges = (SLAB_EDGES_MM[2] - (BOX_CENTRES_MM[2][0] - VOXEL_MM / 2)) / VOXEL_MM
    return _means(np.asarray(box, np.float32), np.broadcast_to(edges, (*box.shape[:2], len(edges))))


def peaks(views: FloatArray) -> FloatArray:
    """Return the mean of the `N_PEAK` highest pixels of each of n scans, shape (n,); `views`: shape (n, ...)."""
    flat = views.reshape(len(views), -1)
    return np.asarray(np.partition(flat, -N_PEAK, axis=1)[:, -N_PEAK:].mean(axis=1))


def as_images(views: FloatArray) -> FloatArray:
    """Return slabs, shape (n, 28, 24, 4), for the eye: rows from the front, columns from the left, values in [0, 1].

    Each scan is over its own peak; the result has shape (n, 24, 28, 4).
    """
    over_peak = views / peaks(views)[:, None, None, None]
    return np.asarray(over_peak.transpose(0, 2, 1, 3)[:, ::-1].clip(0, 1))


def _to_source(moves: Moves) -> FloatArray:
    """Return the matrices, shape (n, 3, 3), from a place in the slabs to where its content comes from."""
    about_x, about_y, about_z = moves.turn.T
    matrices = np.zeros((len(moves.scale), 3, 3))
    matrices[:, [0, 1, 2], [0, 1, 2]] = (1 / moves.scale)[:, None]
    matrices[:, 2, 1], matrices[:, 1, 2] = -about_x, about_x
    matrices[:, 0, 2], matrices[:, 2, 0] = -about_y, about_y
    matrices[:, 1, 0], matrices[:, 0, 1] = -about_z, about_z
    return matrices


def _edges(to_source: FloatArray, axis: int, places: tuple[FloatArray, ...], moves: Moves) -> FloatArray:
    """Return where the edges of pixels lie along `axis` of the box, in voxels from its first face.

    `places`: MNI mm along x, y and z, those of edges along `axis`; the result has shape (n, *their lengths).
    """
    along = np.meshgrid(*places, indexing="ij", sparse=True)
    row, shift = to_source[:, axis, :, None, None, None], moves.shift_mm[:, axis, None, None, None]
    source = row[:, 0] * along[0] + row[:, 1] * along[1] + row[:, 2] * along[2] - shift
    return np.asarray((source - (BOX_CENTRES_MM[axis][0] - VOXEL_MM / 2)) / VOXEL_MM)


def _means(values: FloatArray, edges: FloatArray) -> NDArray[np.float32]:
    """Return means between edges along the last axis; the outermost voxels go on for ever.

    `values`: shape (..., voxels); `edges`: shape (..., pixels + 1), rising; the result: shape (..., pixels).
    """
    before = np.zeros(values.shape, np.float32)
    np.cumsum(values[..., :-1], axis=-1, out=before[..., 1:])
    voxel = np.clip(np.floor(edges), 0, values.shape[-1] - 1).astype(np.intp)
    sums = np.take_along_axis(before, voxel, -1) + (edges - voxel) * np.take_along_axis(values, voxel, -1)
    return np.asarray(np.diff(sums, axis=-1) / np.diff(edges, axis=-1), np.float32)


def _blurred(values: NDArray[np.float32], fwhm_mm: FloatArray) -> NDArray[np.float32]:
    """Blur each box along its last axis; `values`: shape (n, ..., voxels), `fwhm_mm`: shape (n,)."""
    blurs = np.flatnonzero(fwhm_mm > 0)
    if not len(blurs):
        return values
    distance = np.subtract.outer(np.arange(values.shape[-1]), np.arange(values.shape[-1])) * VOXEL_MM
    kernels = np.exp(-0.5 * np.square(distance / (fwhm_mm[blurs, None, None] / FWHM_PER_SD)))
    kernels = (kernels / kernels.sum(axis=1, keepdims=True)).astype(np.float32)
    blurred = np.array(values)
    flat = values[blurs].reshape(len(blurs), -1, values.shape[-1])
    blurred[blurs] = np.matmul(flat, kernels).reshape(len(blurs), *values.shape[1:])
    return blurred
