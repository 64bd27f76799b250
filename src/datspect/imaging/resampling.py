"""Bring a volume in MNI space from any grid onto the 2 mm MNI grid."""

from itertools import product

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import aff2axcodes
from nibabel.processing import fwhm2sigma
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from datspect.errors import ScanError
from datspect.imaging.placement import TEMPLATE_SPACING_MM, check_affine
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, mni_affine

BRAIN_BOX_MM = ((-70.0, 70.0), (-104.0, 72.0), (-40.0, 78.0))
"""Ranges of x, y and z of the ICBM-152 brain without its outermost 2 mm and without what lies below the temporal lobes,
where fields of view often end."""

TOLERATED_GAP_MM = 1.0

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "I": "S", "S": "I"}
_ENDS = {"L": "one side", "R": "one side", "P": "the back", "A": "the front", "I": "the bottom", "S": "the top"}


def resampled_to_mni(volume: Volume, *, is_whole: bool = True) -> Volume:
    """Return the volume on the grid of `mni_affine`, shape `MNI_SHAPE`; its affine (mm, RAS+) must lead to MNI space.

    Voxels outside its view become 0. Interpolation is cubic: a linear one would take a tenth from a hot spot of 10 mm
    on voxels of 3 mm, and so from the striatum. Cubic splines may exceed the smallest and largest value given; the
    excess is cut off, so that counts stay positive and still fit into int16. Detail that the template's grid cannot
    hold is blurred away first. `is_whole`: refuse a volume that does not show the whole brain.

    Raises
    ------
    ScanError : the affine is not sound, or the volume does not cover the brain; the message says what is missing.
    """
    check_affine(volume.affine)
    if is_whole:
        _check_coverage(volume.data.shape, volume.affine)
    source = _blurred(volume)
    to_source = np.linalg.inv(volume.affine) @ mni_affine()
    to_source = to_source.round(9)  # else the last voxel of an edge may lie a rounding error outside
    data = affine_transform(source, to_source[:3, :3], to_source[:3, 3], MNI_SHAPE, order=3, mode="constant", cval=0.0)
    return Volume(data.clip(min(float(source.min()), 0.0), float(source.max())), mni_affine())


def _blurred(volume: Volume) -> NDArray[np.float32]:
    """Blur the volume along each axis where its voxels are smaller than the template's, as if they were as large.

    The point spread of a voxel of s mm counts as a Gaussian of that width at half maximum, so the missing blur has a
    width of sqrt(2^2 - s^2) mm (Cardoso et al. 2015, doi:10.1007/978-3-319-24571-3_81).
    """
    sizes_mm = voxel_sizes(volume.affine)
    lacking_mm = np.sqrt(np.maximum(TEMPLATE_SPACING_MM**2 - sizes_mm**2, 0.0))
    data = np.asarray(volume.data, dtype=np.float32)
    blurred: NDArray[np.float32] = gaussian_filter(data, fwhm2sigma(lacking_mm) / sizes_mm, mode="nearest")
    return blurred


def _check_coverage(shape: tuple[int, ...], affine: Affine) -> None:
    """Refuse a grid that leaves out a part of the brain; `shape` and `affine` are those of the scan."""
    corners = apply_affine(np.linalg.inv(affine), np.array(list(product(*BRAIN_BOX_MM))))
    sizes_mm = voxel_sizes(affine)
    before = (-0.5 - corners.min(axis=0)) * sizes_mm
    after = (corners.max(axis=0) - np.array(shape) + 0.5) * sizes_mm
    codes = aff2axcodes(affine)
    missing = [(after[axis], codes[axis]) for axis in range(3)]
    missing += [(before[axis], _OPPOSITE[codes[axis]]) for axis in range(3)]
    parts = [f"{length:.0f} mm at {_ENDS[code]}" for length, code in missing if length > TOLERATED_GAP_MM]
    if parts:
        raise ScanError(f"the scan does not cover the brain in MNI space: {', '.join(parts)} are missing; leave it out")
