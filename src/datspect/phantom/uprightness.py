"""Judge by the voxels alone whether a scan lies as its header says, and how far above MNI."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray
from datspect.imaging.blocks import block_means
from datspect.imaging.head_search import FLIPS, Flips
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.phantom.template import mean_phantom

LARGEST_OFFSET = 14
"""The mean phantom is moved by up to so many voxels up and down."""
_OFFSETS = np.arange(-LARGEST_OFFSET, LARGEST_OFFSET + 1)
_BLOCK = (4, 4, 1)
"""So many voxels along x and y are averaged first; z stays as it is, since offsets are along z."""

Slices = NDArray[np.float64]
"""Averages over blocks, shape (blocks of a slice, slices)."""


@dataclass(frozen=True)
class Uprightness:
    """How a scan lies, as far as its voxels can tell; they say nothing about left and right.

    correlations : highest with the mean phantom over all offsets, for each of `FLIPS`
    best : the flips that make the scan most like the mean phantom; "" for a scan that lies as it should
    margin : distance of the best correlation from the second
    z_offset_voxels : height of the scan above MNI once the best flips are undone; negative: below
    """

    correlations: Mapping[Flips, float]
    best: Flips
    margin: float
    z_offset_voxels: float


def check_uprightness(volume_ras: Volume) -> Uprightness:
    """Compare a volume, RAS+ on the MNI grid, with the mean phantom: as it is, back to front, upside down, both.

    Left and right cannot be told: the mean phantom is symmetric, as is the uptake of the healthy. A scan that was
    turned back to front about the vertical axis looks like one that was flipped along y; flipped back, it is upright
    and mirrored.
    """
    found = _best_offsets(_block_means(volume_ras.data))
    ranked = sorted(FLIPS, key=lambda flips: -found[flips][0])
    best, second = ranked[:2]
    correlations = {flips: correlation for flips, (correlation, _) in found.items()}
    return Uprightness(correlations, best, correlations[best] - correlations[second], found[best][1])


def uprighted(volume: Volume, flips: Flips) -> Volume:
    """Return the volume with its voxels flipped along `flips`, a view; the affine was right and stays."""
    axes = tuple("xyz".index(axis) for axis in flips)
    return Volume(np.flip(volume.data, axes), volume.affine)


def _best_offsets(slices: Slices) -> dict[Flips, tuple[float, float]]:
    """Return, for each of `FLIPS` undone, the highest correlation over all offsets, and its offset in voxels."""
    template, _ = _template()
    back_to_front = slices.reshape(*_blocks_of_a_slice(), -1)[:, ::-1].reshape(slices.shape)
    moments = _moments(slices, _OFFSETS), _moments(slices[:, ::-1], _OFFSETS)
    products = slices.T @ template, back_to_front.T @ template
    found = {}
    for flips in FLIPS:
        of_slices = products["y" in flips]
        of_slices = of_slices[::-1] if "z" in flips else of_slices
        found[flips] = _peak(_correlations(of_slices, moments["z" in flips], len(slices)))
    return found


def _peak(correlations: NDArray[np.float64]) -> tuple[float, float]:
    """Return the highest of correlations, shape (offsets,), and its offset in voxels, refined by a parabola."""
    peak = int(np.argmax(correlations[1:-1])) + 1
    below, top, above = correlations[peak - 1 : peak + 2]
    bend = below - 2 * top + above
    between = 0.5 * (below - above) / bend if bend < 0 else 0.0
    return float(top), float(peak - LARGEST_OFFSET + np.clip(between, -1, 1))


def _correlations(products: NDArray[np.float64], moments: NDArray[np.float64], n_blocks: int) -> NDArray[np.float64]:
    """Return Pearson's r of a scan and the template moved by up to `LARGEST_OFFSET` slices, where they overlap.

    products : sums over a slice of the scan times one of the template, shape (slices, slices)
    moments : of the scan, as `_moments` returns them
    n_blocks : in a slice
    """
    count = n_blocks * (len(products) - np.abs(_OFFSETS))
    _, template_moments = _template()
    (x, xx), (y, yy) = moments / count, template_moments / count
    covariance = np.array([np.trace(products, -offset) for offset in _OFFSETS]) / count - x * y
    variances = np.maximum((xx - x * x) * (yy - y * y), np.finfo(np.float64).tiny)
    return np.asarray(covariance / np.sqrt(variances))


def _moments(slices: Slices, offsets: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return sums and sums of squares over the slices that overlap at each offset, shape (2, offsets)."""
    by_slice = np.stack([slices.sum(axis=0), (slices**2).sum(axis=0)])
    up_to = np.concatenate([np.zeros((2, 1)), np.cumsum(by_slice, axis=1)], axis=1)
    return np.asarray(up_to[:, slices.shape[1] + np.minimum(0, offsets)] - up_to[:, np.maximum(0, offsets)])


@cache
def _template() -> tuple[Slices, NDArray[np.float64]]:
    """Return the mean phantom, and its `_moments` once it is moved."""
    slices = _block_means(mean_phantom().data)
    return slices, _moments(slices, -_OFFSETS)


def _block_means(data: FloatArray | IntArray) -> Slices:
    return block_means(data, _BLOCK).reshape(-1, MNI_SHAPE[2])


def _blocks_of_a_slice() -> tuple[int, int]:
    return MNI_SHAPE[0] // _BLOCK[0], MNI_SHAPE[1] // _BLOCK[1]
