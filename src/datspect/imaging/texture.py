"""Measure the noise of a reconstruction where its camera shows and no disease does: in the brain beside the striata."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import BoolArray
from datspect.imaging.regions import STRIATAL_BOX_MM
from datspect.imaging.striatal_box import BOX_CENTRES_MM, BOX_SHAPE, VOXEL_MM

NEAR_MM, FAR_MM = 2.0, 6.0
"""Distances at which voxels are compared: within a reconstruction's blur, and beyond most of it."""


class Texture(NamedTuple):
    """How rough a scan is, and how fine its noise.

    roughness : root mean square difference of voxels `FAR_MM` apart, in units of the uptake of the brain
    fineness : the same `NEAR_MM` apart, over the roughness: 1 for noise from voxel to voxel, 1/3 for a smooth slope
    """

    roughness: float
    fineness: float


def texture(box: NDArray[Any]) -> Texture:
    """Return the texture of a striatal box, shape `BOX_SHAPE`, in units of the uptake of the brain.

    Filters, iterations and counts change it, and the gain of a scan does not. The striata and what is blurred of them
    are left out, so that it says next to nothing of disease.

    >>> noise = np.random.default_rng(0).normal(1, 0.1, BOX_SHAPE)
    >>> tuple(round(value, 2) for value in texture(noise))
    (0.14, 1.0)
    """
    values = np.asarray(box, np.float64)
    near, far = (_mean_square_difference(values, round(mm / VOXEL_MM)) for mm in (NEAR_MM, FAR_MM))
    return Texture(float(np.sqrt(far)), float(np.sqrt(near / far)) if far else 0.0)


def _mean_square_difference(values: NDArray[np.float64], lag: int) -> float:
    """Return the mean over the three axes of the squared difference of voxels `lag` apart, both beside the striata."""
    by_axis = []
    for axis in range(3):
        ahead, behind = (np.moveaxis(values, axis, 0)[part] for part in (slice(lag, None), slice(None, -lag)))
        beside = np.moveaxis(_beside_the_striata(), axis, 0)
        by_axis.append(np.mean((ahead - behind)[beside[lag:] & beside[:-lag]] ** 2))
    return float(np.mean(by_axis))


@cache
def _beside_the_striata() -> BoolArray:
    inside = [
        (centres >= low) & (centres <= high)
        for (first, last), n, (low, high) in zip(BOX_CENTRES_MM, BOX_SHAPE, STRIATAL_BOX_MM, strict=True)
        for centres in [np.linspace(first, last, n)]
    ]
    return ~(inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :])
