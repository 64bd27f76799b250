"""Measure how a volume on the MNI grid looks apart from its striata: an even brain, air around it, and its grain.

Whatever is no DaT scan of a head in its place, or is stored on another scale, differs in one of the three.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import BoolArray, FloatArray
from datspect.imaging.blocks import block_means
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import Ellipsoid, Structure, mni_affine_of, structure_mask
from datspect.imaging.striatal_box import VOXEL_MM, brain_uptake, brain_voxels, median
from datspect.imaging.volume import FWHM_PER_SD, MNI_SHAPE

APPEARANCE = ("unevenness", "air", "grain")
"""Names of the measures, in the order of tables."""

_BLOCK = (4, 4, 4)
"""Blocks of 8 mm: what noise leaves of them is little."""
_FINE_MM, _COARSE_MM = 4.0, 8.0
"""A camera resolves no less than the first; what the second leaves is anatomy. [assumed]"""
_TRUNCATE = 3.0
"""Standard deviations at which the filters end."""
_SD_PER_DEVIATION = 1.4826
# Around any head with its scalp, in whatever place registration may leave it. [assumed]
_AROUND_HEAD = Ellipsoid((0, -18, 5), (88, 112, 100), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def appearance(data: FloatArray, z_offset_voxels: float) -> dict[str, float]:
    """Return the measures `APPEARANCE` of a volume, shape `MNI_SHAPE`, RAS+, `z_offset_voxels` above MNI; no units.

    unevenness : sd over mean of the brain's uptake, away from the striata, in blocks of 8 mm
    air : mean outside of any head, over the brain's uptake; the size of it alone
    grain : sd of what a filter of 4 mm leaves and one of 8 mm takes away, over the brain's uptake. Noise raises it;
        blur and few grey levels lower it. It is found by the median deviation, so that single voxels do not matter.

    Raises
    ------
    EmptyRegionError : the brain holds no signal.
    """
    uptake = brain_uptake(data, brain_voxels(z_offset_voxels))
    in_brain, in_air = _blocks_of(z_offset_voxels)
    blocks = block_means(data, _BLOCK) / uptake
    brain = blocks[in_brain]
    return {
        "unevenness": float(brain.std() / max(abs(float(brain.mean())), 1e-6)),
        "air": float(abs(blocks[in_air].mean())),
        "grain": _grain(data, z_offset_voxels) / uptake,
    }


def _grain(data: FloatArray, z_offset_voxels: float) -> float:
    box, inside = _brain_box(z_offset_voxels)
    fine, coarse = (_filtered(data, box, mm / FWHM_PER_SD / VOXEL_MM) for mm in (_FINE_MM, _COARSE_MM))
    band = (fine - coarse)[inside]
    return _SD_PER_DEVIATION * median(np.abs(band - np.float32(median(band))))


def _filtered(data: FloatArray, box: tuple[slice, slice, slice], sd_voxels: float) -> NDArray[np.float32]:
    """Return a box of the volume after a Gaussian filter; what lies around it is filtered only as far as it counts.

    By products and sums of whole arrays: two to four times as fast as SciPy's filter.
    """
    kernel = _half_kernel(sd_voxels)
    reach = len(kernel) - 1
    wanted = [(along.start - reach, along.stop + reach) for along in box]
    there = [(max(start, 0), min(stop, n)) for (start, stop), n in zip(wanted, data.shape, strict=True)]
    beyond = [(first - start, stop - last) for (start, stop), (first, last) in zip(wanted, there, strict=True)]
    inside = np.asarray(data[tuple(slice(*ends) for ends in there)], np.float32)
    seen = np.pad(inside, beyond, mode="symmetric")  # as SciPy does at the edges of the volume
    for axis in range(3):
        seen = np.moveaxis(_along_first_axis(np.moveaxis(seen, axis, 0), kernel), 0, axis)
    return seen


def _along_first_axis(seen: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weighted sums of neighbours along the first axis, which loses the kernel's reach at either end.

    kernel : symmetric, from its middle on, shape (reach + 1,)
    """
    reach = len(kernel) - 1
    n = len(seen) - 2 * reach
    summed = kernel[0] * seen[reach : reach + n]
    both = np.empty_like(summed)
    for k in range(1, reach + 1):
        np.add(seen[reach - k : reach - k + n], seen[reach + k : reach + k + n], out=both)
        both *= kernel[k]
        summed += both
    return np.asarray(summed)


@cache
def _half_kernel(sd_voxels: float) -> NDArray[np.float32]:
    """Return a Gaussian of sum 1 from its middle to where it is cut, shape (reach + 1,)."""
    reach = int(_TRUNCATE * sd_voxels + 0.5)
    # NumPy's exponentials differ between processors.
    half = np.array([math.exp(-((k / sd_voxels) ** 2) / 2) for k in range(reach + 1)])
    return np.asarray(half / (2 * half.sum() - half[0]), np.float32)


@cache
def _blocks_of(z_offset_voxels: float) -> tuple[BoolArray, BoolArray]:
    """Return which blocks lie wholly in the brain away from the striata, and which outside of any head."""
    brain = np.zeros(MNI_SHAPE, np.float32)
    brain[brain_voxels(z_offset_voxels)] = 1
    head = structure_mask(Structure((_AROUND_HEAD,)), MNI_SHAPE, mni_affine_of(mni_ras_affine(), z_offset_voxels))
    return block_means(brain, _BLOCK) == 1, block_means(head.astype(np.float32), _BLOCK) == 0


@cache
def _brain_box(z_offset_voxels: float) -> tuple[tuple[slice, slice, slice], BoolArray]:
    """Return the box around the brain, and which of its voxels are the brain's."""
    mask = np.zeros(MNI_SHAPE, bool)
    mask[brain_voxels(z_offset_voxels)] = True
    x, y, z = (slice(int(index.min()), int(index.max()) + 1) for index in brain_voxels(z_offset_voxels))
    return (x, y, z), mask[x, y, z]
