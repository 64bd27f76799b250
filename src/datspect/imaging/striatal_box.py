"""Cut from a volume the box around both striata, in units of the uptake of the whole brain.

The box has room for shifts, turns and blur around what the network is given. It lies the same way in MNI space whatever
the cohort's offset, with the midsagittal plane through the middle of its middle voxels.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.errors import EmptyRegionError, ScanError
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import (
    Ellipsoid,
    Structure,
    VoxelIndices,
    mni_affine_of,
    striatal_box_slices,
    structure_mask,
)
from datspect.imaging.volume import MNI_SHAPE, Volume

VOXEL_MM = 2.0
BOX_CENTRES_MM = ((-64.0, 64.0), (-56.0, 56.0), (-30.0, 34.0))
"""Centres of the first and the last voxel along x, y and z, MNI mm: the slabs with about 8 mm around them."""
BOX_SHAPE = (65, 57, 33)
"""Voxels: left to right, posterior to anterior, inferior to superior."""

# The brain without its rim and without what lies below the temporal lobes; half of it is far from any edge. [assumed]
_BRAIN = Ellipsoid((0, -20, 14), (58, 72, 46), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def striatal_box(volume: Volume, z_offset_voxels: float, brain: VoxelIndices) -> NDArray[np.float16]:
    """Return the box of a scan over its `brain_uptake`, shape `BOX_SHAPE`, RAS+; 1 is the uptake of the brain.

    `volume` is RAS+ on the 2 mm MNI grid; `z_offset_voxels` is how far above MNI it lies. A part of a voxel is
    interpolated linearly.

    Raises
    ------
    ScanError : the box reaches out of the volume.
    EmptyRegionError : the brain holds no signal.
    """
    whole = math.floor(z_offset_voxels)
    part = z_offset_voxels - whole
    first = [_first_voxel(axis) for axis in range(3)]
    first[2] += whole
    last_z = first[2] + BOX_SHAPE[2] + (1 if part else 0)
    if volume.data.shape != MNI_SHAPE or first[2] < 0 or last_z > MNI_SHAPE[2]:
        raise ScanError(
            f"no striatal box in shape {volume.data.shape} with an offset of {z_offset_voxels:g} voxels; normalise the "
            "volume to the 2 mm MNI grid"
        )
    x, y, z = (slice(start, start + size) for start, size in zip(first, BOX_SHAPE, strict=True))
    box = volume.data[x, y, z].astype(np.float32)
    if part:
        above = volume.data[x, y, z.start + 1 : z.stop + 1].astype(np.float32)
        box += np.float32(part) * (above - box)
    box /= np.float32(brain_uptake(volume.data, brain))
    return box.clip(-np.finfo(np.float16).max, np.finfo(np.float16).max).astype(np.float16)


def brain_uptake(data: FloatArray, brain: VoxelIndices) -> float:
    """Return the median over `brain`, as from `brain_voxels`, of `data`, shape `MNI_SHAPE`.

    A median over some 50,000 voxels is moved neither by noise nor by a few millimetres, as the mean of a small region
    is, and the striata are no part of it.

    Raises
    ------
    EmptyRegionError : it is not positive.
    """
    uptake = median(data[brain])
    if not uptake > 0:
        raise EmptyRegionError(f"the median over the brain is {uptake:g}; expected a positive value")
    return uptake


def median(values: NDArray[Any]) -> float:
    """Return the median of values, shape (n,), as `np.median` does, in a fraction of its time; NaN if one is NaN.

    >>> median(np.array([5, 1, 2, 4]))
    3.0
    """
    if not values.size or np.isnan(values.max()):
        return math.nan
    middle = len(values) // 2
    parted = np.partition(values, middle)  # one place alone: several take NumPy eight times as long
    if len(values) % 2:
        return float(parted[middle])
    return float(np.mean([parted[:middle].max(), parted[middle]], dtype=np.result_type(values, np.float16)))


@cache
def brain_voxels(z_offset_voxels: float) -> VoxelIndices:
    """Return the voxels of the brain without the striata and what is around them, on the RAS+ MNI grid."""
    affine = mni_affine_of(mni_ras_affine(), z_offset_voxels)
    mask = structure_mask(Structure((_BRAIN,)), MNI_SHAPE, affine)
    mask[striatal_box_slices(MNI_SHAPE, affine)] = False
    return VoxelIndices(*np.nonzero(mask))


def box_affine() -> NDArray[np.float64]:
    """Return voxel to MNI mm, shape (4, 4), of every box."""
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = [first for first, _ in BOX_CENTRES_MM]
    return affine


def _first_voxel(axis: int) -> int:
    return round((BOX_CENTRES_MM[axis][0] - float(mni_ras_affine()[axis, 3])) / VOXEL_MM)
