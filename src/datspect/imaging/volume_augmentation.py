"""Alter boxes as cameras, heads and registrations differ, and some controls as a disease that is alike everywhere.

All of it depends on seeds alone: more draws or more subjects leave the others as they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.imaging.regions import striatal_structures, structure_fractions
from datspect.imaging.slabs import SLAB_EDGES_MM, SLABS_SHAPE, Moves, slabs
from datspect.imaging.striatal_box import BOX_SHAPE, VOXEL_MM, box_affine
from datspect.imaging.volume import FWHM_PER_SD
from datspect.params.striatum import AlterParams

BLURRED_SHARE = 0.5
REACH_MM = (8.0, 14.0)
"""Up to the first distance from the nuclei uptake counts as theirs, from the second on as the background's: a blur of
12 mm leaves 3 % of a nucleus beyond 8 mm."""

_STREAM = 2  # after the streams of imaging/augmentation.py
_NOISE_STREAM = 3
_UNIFORM = 13


@dataclass(frozen=True, eq=False)
class Alterations:
    """One alteration per element; all arrays have the same leading shape, (draws, subjects) as drawn.

    shift_mm, turn, scale, fwhm_mm : as in `Moves`
    gain : factor on all values
    noise : sd of a voxel at the brain's uptake; elsewhere it grows with the square root of the counts
    swapped : whether left and right are exchanged
    lowered_to : what is left of the specific binding; 1 for nearly all
    """

    shift_mm: FloatArray
    turn: FloatArray
    scale: FloatArray
    fwhm_mm: FloatArray
    gain: FloatArray
    noise: FloatArray
    swapped: BoolArray
    lowered_to: FloatArray

    def __getitem__(self, index: object) -> Self:
        """Return the same selection from each array."""
        return type(self)(**{each.name: getattr(self, each.name)[index] for each in fields(self)})

    @property
    def lowered(self) -> BoolArray:
        """Return whose binding is lowered: they count as pd."""
        return self.lowered_to < 1

    @property
    def moves(self) -> Moves:
        """Return how the contents of the boxes are moved and blurred."""
        return Moves(self.shift_mm, self.turn, self.scale, self.fwhm_mm)


def draw_alterations(params: AlterParams, is_control: BoolArray) -> Alterations:
    """Return `params.draws` alterations for each of N subjects, shape (draws, N); `is_control`: shape (N,)."""
    n_subjects = len(is_control)
    uniform = np.stack(  # (draws, subjects, kinds), in [0, 1)
        [_generator(params.seed, _STREAM, i).random((params.draws, _UNIFORM)) for i in range(n_subjects)], axis=1
    )
    signed = 2 * uniform - 1
    least, most = params.lowered_to
    lowers = is_control & (uniform[..., 11] < params.lowered_share)
    return Alterations(
        shift_mm=signed[..., 0:3] * params.shift_mm,
        turn=signed[..., 3:6] * np.deg2rad(params.turn_degrees),
        scale=1 + signed[..., 6] * params.scale,
        fwhm_mm=np.maximum(uniform[..., 7] - (1 - BLURRED_SHARE), 0) / BLURRED_SHARE * params.blur_mm,
        gain=1 + signed[..., 8] * params.gain,
        noise=uniform[..., 9] * params.noise,
        swapped=(uniform[..., 10] < 0.5) & params.swap_sides,
        lowered_to=np.where(lowers, least + uniform[..., 12] * (most - least), 1.0),
    )


def altered_views(
    boxes: FloatArray,
    alterations: Alterations,
    params: AlterParams,
    scans_at_once: int = 64,
    only: IntArray | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield altered views of N boxes in order, draw by draw, in blocks of shape (n, 28, 24, 4).

    Parameters
    ----------
    boxes : shape (N, 65, 57, 33), may be memory-mapped
    alterations : of shape (draws, N)
    only : rows of the boxes to alter, each of which becomes what it is among all; by default all
    """
    n_draws, n_subjects = alterations.gain.shape
    chosen = np.arange(n_subjects) if only is None else only
    for draw in range(n_draws):
        for start in range(0, len(chosen), scans_at_once):
            rows = chosen[start : start + scans_at_once]
            keys = [(draw, int(row)) for row in rows]
            white = np.stack(
                [_generator(params.seed, _NOISE_STREAM, *key).standard_normal(SLABS_SHAPE) for key in keys]
            )
            yield altered(np.asarray(boxes[rows], np.float32), alterations[draw, rows], white, params.noise_fwhm_mm)


def altered(
    boxes: FloatArray, alterations: Alterations, white: FloatArray, noise_fwhm_mm: float
) -> NDArray[np.float32]:
    """Return altered views, shape (n, 28, 24, 4), of n boxes, shape (n, 65, 57, 33).

    `white`: normal numbers of the views' shape, which become the noise of a reconstruction that was filtered by
    `noise_fwhm_mm`.
    """
    boxes = np.array(boxes, np.float32)
    lowered = alterations.lowered
    boxes[lowered] = with_binding_lowered(boxes[lowered], alterations.lowered_to[lowered])
    views: FloatArray = slabs(boxes, alterations.moves)
    sd = alterations.noise[:, None, None, None] * np.sqrt(np.maximum(views, 0))
    views = (views + sd * _as_a_reconstruction(white, noise_fwhm_mm)) * alterations.gain[:, None, None, None]
    views[alterations.swapped] = views[alterations.swapped, ::-1]
    return np.asarray(views, np.float32)


def with_binding_lowered(boxes: FloatArray, lowered_to: FloatArray) -> FloatArray:
    """Return boxes, shape (n, 65, 57, 33), with that share of their specific binding left; `lowered_to`: shape (n,).

    Specific is what the nuclei and their blur have above the median of the box around them.
    """
    share = striatal_share()
    background = np.median(boxes[:, share == 0], axis=1)[:, None, None, None]
    return np.asarray(boxes - (1 - lowered_to)[:, None, None, None] * share * (boxes - background))


@cache
def striatal_share() -> NDArray[np.float32]:
    """Return how far each voxel's uptake counts as the striata's, shape `BOX_SHAPE`, in [0, 1]."""
    nuclei = np.zeros(BOX_SHAPE, bool)
    for structure in striatal_structures().values():
        nuclei |= structure_fractions(structure, BOX_SHAPE, box_affine()) > 0.5
    distance_mm = distance_transform_edt(~nuclei) * VOXEL_MM
    near, far = REACH_MM
    return np.asarray(np.clip((far - distance_mm) / (far - near), 0, 1), np.float32)


def _as_a_reconstruction(white: FloatArray, fwhm_mm: float) -> FloatArray:
    """Return the noise that is left of filtered voxels of sd 1 in the means that pixels of slabs are."""
    roots = (_root(axis, fwhm_mm) for axis in range(3))
    return np.asarray(np.einsum("ia,jb,kc,nabc->nijk", *roots, white, optimize=True))


@cache
def _root(axis: int, fwhm_mm: float) -> FloatArray:
    """Return a root, shape (pixels, pixels), of the covariance of filtered noise in the pixels along an axis."""
    edges = SLAB_EDGES_MM[axis]
    places = np.linspace(edges[:-1], edges[1:], 9).T  # (pixels, places within)
    difference = places.ravel()[:, None] - places.ravel()
    correlation = np.exp(-np.square(difference * FWHM_PER_SD / (2 * fwhm_mm)))
    n_pixels, n_places = places.shape
    covariance = correlation.reshape(n_pixels, n_places, n_pixels, n_places).mean(axis=(1, 3))
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
