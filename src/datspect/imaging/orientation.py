"""Bring a volume's axes into RAS+ order: x to the patient's right, y anterior, z superior."""

from functools import cache, lru_cache

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from datspect.errors import ScanError
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, mni_affine


def reorient(volume: Volume) -> Volume:
    """Return the same voxels at the same places in space with axes swapped and flipped to RAS+: a view, not a copy.

    >>> las = Volume(np.arange(8).reshape(2, 2, 2), np.diag([-2.0, 2.0, 2.0, 1.0]))  # x runs to the patient's left
    >>> reorient(las).data[:, 0, 0].tolist()
    [4, 0]

    Raises
    ------
    ScanError : the volume does not have shape (X, Y, Z), or the affine holds NaN or infinity, or flattens an axis.
    """
    if volume.data.ndim != 3:
        raise ScanError(f"expected a 3-D volume, got shape {volume.data.shape}; average or choose the frames first")
    affine = reoriented_affine(volume.data.shape, volume.affine)
    return Volume(apply_orientation(volume.data, _orientation(volume.affine)), affine)


def reoriented_affine(shape: tuple[int, ...], affine: Affine) -> Affine:
    """Return voxel to world (mm), shape (4, 4), of a grid of `shape` once its axes are in RAS+ order.

    Raises
    ------
    ScanError : the affine holds NaN or infinity, or flattens an axis.
    """
    if not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        raise ScanError("the affine is not finite or not invertible; convert the scan anew")
    return np.asarray(affine @ inv_ornt_aff(_orientation(affine), shape), dtype=np.float64)


@cache
def mni_ras_affine() -> Affine:
    """Return voxel to world (mm), shape (4, 4), of the 2 mm MNI grid in RAS+ order; voxel 0 is left, hindmost, lowest.

    All callers share one array, which cannot be written to.
    """
    affine = reoriented_affine(MNI_SHAPE, mni_affine())
    affine.flags.writeable = False
    return affine


def _orientation(affine: Affine) -> NDArray[np.float64]:
    """Return axis and direction of each axis of the voxels, shape (3, 2), as nibabel has it."""
    return _found_orientation(tuple(map(float, np.ravel(affine))))


@lru_cache(maxsize=256)
def _found_orientation(affine: tuple[float, ...]) -> NDArray[np.float64]:
    # Cached: the scans of a cohort lie on one grid, and the search takes longer than all else in `reorient`.
    orientation: NDArray[np.float64] = io_orientation(np.reshape(affine, (4, 4)))
    orientation.flags.writeable = False
    return orientation
