"""Measure a scan: specific binding ratios, asymmetry, and the slice in which the striata peak."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datspect.errors import EmptyRegionError, ScanError
from datspect.imaging.regions import Regions, VoxelIndices
from datspect.imaging.volume import Mask, Voxels

PEAK_SMOOTHING_SLICES = 3.0
"""Standard deviation of the smoothing along z before the peak is sought: about half a striatum's height."""


def specific_binding_ratio(data: Voxels, target: Mask | VoxelIndices, reference: Mask | VoxelIndices) -> float:
    """Return the specific binding ratio, (mean target - mean reference) / mean reference; dimensionless.

    >>> data = np.array([[[1.0, 4.0, 1.0]]])
    >>> specific_binding_ratio(data, target=data > 3, reference=data < 3)
    3.0

    Parameters
    ----------
    data : shape (X, Y, Z), counts or Bq/ml (the unit cancels)
    target, reference : bool, shape of `data`, or voxel indices into it

    Raises
    ------
    EmptyRegionError : a region has no voxel, or the reference mean is not positive.

    References
    ----------
    EANM/SNMMI guideline for dopaminergic imaging, 2020, doi:10.1007/s00259-020-04817-8.
    """
    mean = _positive_mean(data, reference)
    return (_mean(data, target, "target") - mean) / mean


def measure_binding(data: Voxels, regions: Regions) -> dict[str, float]:
    """Return the specific binding ratio of every target of `regions`, keyed `caudate_left`, `putamen_right` and so on.

    `data` has shape (X, Y, Z), on the grid of `regions`.

    >>> from datspect.imaging.regions import striatal_regions
    >>> from datspect.imaging.volume import MNI_SHAPE, mni_affine
    >>> regions = striatal_regions(MNI_SHAPE, mni_affine(), z_offset_voxels=0)
    >>> data = np.ones(MNI_SHAPE)
    >>> data[regions.targets["putamen_left"]] = 3.0
    >>> binding = measure_binding(data, regions)
    >>> binding["putamen_left"], binding["putamen_right"]
    (2.0, 0.0)

    Raises
    ------
    ScanError : `data` does not have the shape that `regions` was made for.
    EmptyRegionError : a region has no voxel, or the reference mean is not positive.
    """
    reference = reference_mean(data, regions)
    return {name: (_mean(data, target, name) - reference) / reference for name, target in regions.targets.items()}


def asymmetry_index(left: float, right: float) -> float:
    """Return |right - left| / mean(left, right); 0 for equal sides, infinite for a mean of 0 or below.

    >>> asymmetry_index(1.0, 3.0)
    1.0
    """
    mean = (left + right) / 2
    return abs(right - left) / mean if mean > 0 else float("inf")


def peak_slice(data: Voxels, regions: Regions) -> int:
    """Return the axial slice, counted from 0, in which striatal uptake is highest; `data` has shape (X, Y, Z).

    The excess over the reference, max(voxel - mean reference, 0), is summed in every slice of the striatal box. The
    peak is the maximum of this sum, smoothed along z. It is a sum over both striata and not the hottest spot, so that a
    caudate that outlives its putamen moves the peak by less than a slice.

    >>> from datspect.imaging.regions import striatal_regions
    >>> from datspect.imaging.volume import MNI_SHAPE, mni_affine
    >>> data = np.ones(MNI_SHAPE)
    >>> data[:, :, 41] = 2.0
    >>> peak_slice(data, striatal_regions(MNI_SHAPE, mni_affine(), z_offset_voxels=3))
    41

    Raises
    ------
    ScanError : `data` does not have the shape that `regions` was made for.
    EmptyRegionError : a region has no voxel, or the reference mean is not positive.
    """
    reference = reference_mean(data, regions)
    box = np.asarray(data[regions.striatal_box], dtype=np.float32)
    excess = np.maximum(box - np.float32(reference), 0).sum(axis=(0, 1))
    profile = gaussian_filter1d(excess, PEAK_SMOOTHING_SLICES, mode="nearest")
    return int(regions.striatal_box[2].start) + int(np.argmax(profile))


def reference_mean(data: Voxels, regions: Regions) -> float:
    """Return the mean of the reference region in `data`, shape (X, Y, Z); it is positive.

    Raises
    ------
    ScanError : `data` does not have the shape that `regions` was made for.
    EmptyRegionError : the region has no voxel, or its mean is not positive.
    """
    if data.shape != regions.shape:
        raise ScanError(f"expected shape {regions.shape}, got {data.shape}; reorient or resample the volume first")
    return _positive_mean(data, regions.reference)


def _positive_mean(data: Voxels, reference: Mask | VoxelIndices) -> float:
    mean = _mean(data, reference, "reference")
    if not mean > 0:
        raise EmptyRegionError(f"the mean of the reference region is {mean:g}; expected a positive value")
    return mean


def _mean(data: Voxels, region: Mask | VoxelIndices, name: str) -> float:
    values = data[region]
    if values.size == 0:
        raise EmptyRegionError(f"the {name} region holds no voxel; check the affine and z_offset_voxels")
    return float(np.mean(values, dtype=np.float64))
