"""Find where the frames of a DICOM object lie in the patient, and whether a grid is that of the template.

A reconstructed PPMI scan lies on the 2 mm MNI grid, whose frames no camera makes. So only the directions of the three
axes are read from its header; the place is the template's. Image Position (Patient) is not read there: it may be that
of the scanner, before the scan was brought into the template. Frames on any other grid lie where their header says.
"""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from numpy.typing import NDArray

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, Voxels, mni_affine

TEMPLATE_SPACING_MM = 2.0
SPACING_TOLERANCE_MM = 0.01
"""Amounts to 1 mm from one end of the grid to the other."""

UNIT_TOLERANCE = 1e-3
"""Largest distance of direction cosines, written as text, from unit length and from a right angle."""

AXIS_COSINE = float(np.cos(np.radians(1.0)))
"""A scan in the template has its axes along the template's; one degree is allowed for rounding."""

ASSUMED_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Unless a header says otherwise, columns run right to left, rows anterior to posterior (direction cosines in LPS)."""

PLACE_TOLERANCE_MM = 0.05
VOXEL_SIZE_RANGE_MM = (0.1, 50.0)
MOST_VOXELS = 2**24
"""256 x 256 x 256, the largest volume that is read; a whole head at 1 mm has half as many."""

FARTHEST_MM = 10_000.0
"""No scanner has a voxel farther from its centre."""

SMALLEST_SOLIDITY = 0.1
"""Volume of the box between three unit vectors along the axes: 1 at right angles, 0 where one axis is lost."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class FrameGeometry:
    """What a DICOM header says about its frames; None where it says nothing. Directions are in LPS, as in DICOM.

    `orientation` is Image Orientation (Patient): the direction in which the column index grows, then the one in which
    the row index grows. `pixel_spacing_mm` is between rows, then between columns. The sign of `slice_spacing_mm` tells
    whether frames are stacked along the cross product of the two directions or against it (DICOM PS3.3 C.8.4.15).
    `position_mm` is the centre of the first voxel of the first frame.
    """

    orientation: tuple[float, ...] | None = None
    pixel_spacing_mm: tuple[float, ...] | None = None
    slice_spacing_mm: float | None = None
    position_mm: tuple[float, ...] | None = None


def lies_on_template(shape: tuple[int, ...], geometry: FrameGeometry) -> bool:
    """Return whether frames of `shape` (frame, row, column) have the shape, spacing and axes of the template.

    A spacing that the header leaves out is the template's: the shape alone tells so.

    Raises
    ------
    ScanError : the header gives directions or spacings that cannot be.
    """
    directions = axis_directions(geometry)
    spacing = _spacing(geometry)
    along = np.abs(directions).argmax(axis=0)  # which of x, y, z each index runs along
    upright = tuple(int(shape[::-1][index]) for index in np.argsort(along))
    is_square = np.abs(directions).max(axis=0).min() >= AXIS_COSINE
    is_as_fine = np.abs(spacing - TEMPLATE_SPACING_MM).max() <= SPACING_TOLERANCE_MM
    return bool(upright == MNI_SHAPE and is_square and is_as_fine)


def frames_affine(shape: tuple[int, ...], geometry: FrameGeometry) -> Affine:
    """Return index (column, row, frame) to world (mm, RAS+), shape (4, 4), of frames of `shape` (frame, row, column).

    Frames that lie on the template are at its place, others where the header says; without a position their middle
    is the origin.

    Raises
    ------
    ScanError : the header gives directions, spacings or a position that cannot be.
    IneligibleError : the frames do not lie on the template, and the header gives no spacing.
    """
    is_template = lies_on_template(shape, geometry)
    return _template_affine(shape, geometry) if is_template else _affine_as_said(shape, geometry)


def _template_affine(shape: tuple[int, ...], geometry: FrameGeometry) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = np.rint(axis_directions(geometry)) * TEMPLATE_SPACING_MM
    corners = apply_affine(affine, np.array([(0, 0, 0), np.subtract(shape[::-1], 1)]))
    affine[:3, 3] = mni_ras_affine()[:3, 3] - corners.min(axis=0)
    return affine


def _affine_as_said(shape: tuple[int, ...], geometry: FrameGeometry) -> Affine:
    if geometry.pixel_spacing_mm is None or geometry.slice_spacing_mm is None:
        what = "pixels" if geometry.pixel_spacing_mm is None else "slices"
        raise IneligibleError(f"the header gives no spacing of {what}; export the scan anew, or convert it to NIfTI")
    affine = np.eye(4)
    affine[:3, :3] = axis_directions(geometry) * _spacing(geometry)
    if geometry.position_mm is None:
        affine[:3, 3] = -affine[:3, :3] @ (np.subtract(shape[::-1], 1) / 2)
    else:
        affine[:3, 3] = _LPS_TO_RAS @ _position(geometry.position_mm)
    check_affine(affine)
    return affine


def placed(frames: Voxels, geometry: FrameGeometry) -> Volume:
    """Return frames, shape (frame, row, column), as a volume where `frames_affine` says; a view.

    Frames on the template come in the order and place of `mni_affine`: the data is
    `frames.transpose(2, 1, 0)[:, ::-1, :]` if the header gives no directions. Others are indexed (column, row, frame).
    """
    volume = Volume(frames.transpose(2, 1, 0), frames_affine(frames.shape, geometry))
    if not lies_on_template(frames.shape, geometry):
        return volume
    return Volume(reorient(volume).data[::-1], mni_affine())


def check_affine(affine: Affine) -> None:
    """Refuse an affine that no scan of a head has; its shape must be (4, 4).

    Raises
    ------
    ScanError : it is not finite, voxel sizes lie beyond `VOXEL_SIZE_RANGE_MM`, or axes nearly coincide.
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise ScanError("the affine holds numbers that are not finite; convert the scan anew")
    sizes = voxel_sizes(affine)
    if sizes.min() < VOXEL_SIZE_RANGE_MM[0] or sizes.max() > VOXEL_SIZE_RANGE_MM[1]:
        raise ScanError("expected voxels of {} to {} mm a side; convert the scan anew".format(*VOXEL_SIZE_RANGE_MM))
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < SMALLEST_SOLIDITY:
        raise ScanError("axes of the affine nearly coincide; convert the scan anew")


def on_template_grid(shape: tuple[int, ...], affine: Affine, *, wherever: bool = False) -> bool:
    """Return whether a grid with a sound affine, shape (4, 4), is the 2 mm MNI grid, axes in any order and sense.

    `wherever`: it may have any origin.
    """
    if sorted(shape) != sorted(MNI_SHAPE):
        return False
    upright = reorient(Volume(np.broadcast_to(np.int8(0), shape), affine))
    columns = slice(3 if wherever else 4)
    is_close = np.allclose(upright.affine[:, columns], mni_ras_affine()[:, columns], rtol=0, atol=PLACE_TOLERANCE_MM)
    return upright.data.shape == MNI_SHAPE and bool(is_close)


def axis_directions(geometry: FrameGeometry) -> NDArray[np.float64]:
    """Return unit vectors (RAS+) along which column, row and frame index grow: shape (3, 3), one a matrix column."""
    cosines = np.asarray(geometry.orientation or ASSUMED_ORIENTATION, dtype=np.float64)
    if cosines.shape != (6,) or not np.isfinite(cosines).all():
        raise ScanError("expected six finite numbers as the orientation of the frames; export the scan anew")
    along_columns, down_rows = cosines.reshape(2, 3)
    lengths = np.linalg.norm([along_columns, down_rows], axis=1)
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE or abs(along_columns @ down_rows) > UNIT_TOLERANCE:
        raise ScanError("the orientation of the frames is not two unit vectors at a right angle; export the scan anew")
    stacking = np.copysign(1.0, geometry.slice_spacing_mm or 1.0)
    along_frames = stacking * np.cross(along_columns, down_rows)
    directions: NDArray[np.float64] = np.column_stack([along_columns, down_rows, along_frames])
    return _LPS_TO_RAS @ directions


def _spacing(geometry: FrameGeometry) -> NDArray[np.float64]:
    """Return the millimetres between columns, rows and frames, all positive, shape (3,)."""
    rows_columns = geometry.pixel_spacing_mm or (TEMPLATE_SPACING_MM,) * 2
    frames = TEMPLATE_SPACING_MM if geometry.slice_spacing_mm is None else abs(geometry.slice_spacing_mm)
    spacing = np.array([*rows_columns[::-1], frames], dtype=np.float64)
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or spacing.min() <= 0:
        raise ScanError("the spacing of pixels or slices is not a finite number above zero; export the scan anew")
    return spacing


def _position(position_mm: tuple[float, ...]) -> NDArray[np.float64]:
    position = np.asarray(position_mm, dtype=np.float64)
    if position.shape != (3,) or not np.abs(position).max() <= FARTHEST_MM:  # "not" since NaN compares false
        raise ScanError("the position of the frames is not three numbers of a place; export the scan anew")
    return position
