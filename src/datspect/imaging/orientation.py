"""Bring a volume's axes into RAS+ order: x to the patient's right, y anterior, z superior."""

from functools import cache

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from datspect.errors import ScanError
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, mni_affine


def reorient(volume: Volume) -> Volume:
    """The same voxels at the same places in space, axes swapped and flipped to RAS+; a view, nothing is copied.

    Raises
    ------
    ScanError : the affine holds NaN or infinity, or flattens an axis.
    """
    if volume.data.ndim != 3:
        raise ScanError(f"expected a 3-D volume, got shape {volume.data.shape}; average or choose the frames first")
    affine = reoriented_affine(volume.data.shape, volume.affine)
    return Volume(apply_orientation(volume.data, io_orientation(volume.affine)), affine)


def reoriented_affine(shape: tuple[int, ...], affine: Affine) -> Affine:
    """Voxel to world (mm) once the axes of a grid of `shape` are in RAS+ order.

    Raises
    ------
    ScanError : the affine holds NaN or infinity, or flattens an axis.
    """
    if not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        raise ScanError("the affine is not finite or not invertible; convert the scan anew")
    return np.asarray(affine @ inv_ornt_aff(io_orientation(affine), shape), dtype=np.float64)


@cache
def mni_ras_affine() -> Affine:
    """Voxel to world (mm) of the 2 mm MNI grid in RAS+ order; voxel 0 is the leftmost, hindmost, lowest.

    Made once; not to be written to.
    """
    affine = reoriented_affine(MNI_SHAPE, mni_affine())
    affine.flags.writeable = False
    return affine
