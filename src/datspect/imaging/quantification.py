"""Measures of a scan: specific binding ratios, asymmetry, and the slice in which the striata peak."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datspect.errors import EmptyRegionError, ScanError
from datspect.imaging.regions import Regions, VoxelIndices
from datspect.imaging.volume import Mask, Voxels

PEAK_SMOOTHING_SLICES = 3.0
"""Standard deviation of the smoothing along z before the peak is taken: about half a striatum's height."""


def specific_binding_ratio(data: Voxels, target: Mask | VoxelIndices, reference: Mask | VoxelIndices) -> float:
    """Specific binding ratio, (mean target - mean reference) / mean reference; dimensionless.

    Parameters
    ----------
    data
        Shape (X, Y, Z), counts or Bq/ml (the unit cancels).
    target
        Bool of the shape of `data`, or voxel indices into it.
    reference
        The same for the reference region.

    Raises
    ------
    EmptyRegionError : a region has no voxel, or the reference mean is not positive.

    References
    ----------
    EANM/SNMMI guideline for dopaminergic imaging, 2020, doi:10.1007/s00259-020-04817-8.
    """
    return _ratio(_mean(data, target, "target"), _mean(data, reference, "reference"))


def measure_binding(data: Voxels, regions: Regions) -> dict[str, float]:
    """Specific binding ratio of every target in `regions`, keyed `caudate_left` ... `putamen_posterior_right`.

    Raises
    ------
    ScanError : `data` does not have the shape that `regions` was made for.
    EmptyRegionError : a region has no voxel, or the reference mean is not positive.
    """
    _check_shape(data, regions)
    reference = _mean(data, regions.reference, "reference")
    return {name: _ratio(_mean(data, target, name), reference) for name, target in regions.targets.items()}


def asymmetry_index(left: float, right: float) -> float:
    """Return |right - left| / mean(left, right); 0 for equal sides, infinite for a mean of 0 or below.

    >>> asymmetry_index(1.0, 3.0)
    1.0
    """
    mean = (left + right) / 2
    return abs(right - left) / mean if mean > 0 else float("inf")


def peak_slice(data: Voxels, regions: Regions) -> int:
    """0-based axial slice in which striatal uptake is highest.

    In every slice of the striatal box the excess over the reference, max(voxel - mean reference, 0), is summed; the
    sum is smoothed along z and its maximum taken. A sum over both striata, not the hottest spot: a caudate that
    outlives its putamen moves the peak by less than a slice.

    Raises
    ------
    ScanError : `data` does not have the shape that `regions` was made for.
    EmptyRegionError : a region has no voxel, or the reference mean is not positive.
    """
    _check_shape(data, regions)
    reference = _mean(data, regions.reference, "reference")
    box = np.asarray(data[regions.striatal_box], dtype=np.float32)
    excess = np.maximum(box - np.float32(reference), 0).sum(axis=(0, 1))
    profile = gaussian_filter1d(excess, PEAK_SMOOTHING_SLICES, mode="nearest")
    return int(regions.striatal_box[2].start) + int(np.argmax(profile))


def _check_shape(data: Voxels, regions: Regions) -> None:
    if data.shape != regions.shape:
        raise ScanError(f"expected shape {regions.shape}, got {data.shape}; reorient or resample the volume first")


def _mean(data: Voxels, region: Mask | VoxelIndices, name: str) -> float:
    values = data[region]
    if values.size == 0:
        raise EmptyRegionError(f"the {name} region holds no voxel; check the affine and z_offset_voxels")
    return float(np.mean(values, dtype=np.float64))


def _ratio(target: float, reference: float) -> float:
    if not reference > 0:
        raise EmptyRegionError(f"the mean of the reference region is {reference:g}; expected a positive value")
    return (target - reference) / reference
