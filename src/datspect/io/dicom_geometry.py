"""Find what a DICOM header says of how its frames lie, wherever nuclear medicine or an enhanced object keeps it."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.placement import FrameGeometry, frames_affine, lies_on_template
from datspect.imaging.stacking import stacked
from datspect.io.dicom_header import alike, many, numbers, numbers_said, places

SAME_PLACE_MM = 0.1


@dataclass(frozen=True)
class FrameLayout:
    """How the frames lie, and the order, shape (frame,), in which they do if it is not that of the file."""

    geometry: FrameGeometry
    order: NDArray[np.intp] | None = None


def frame_layout(header: Dataset, shape: tuple[int, int, int]) -> FrameLayout:
    """Return how frames of `shape` (frame, row, column) lie; on the template their position is not read.

    Raises
    ------
    ScanError : directions, spacings or positions cannot be.
    IneligibleError : the header gives no spacing, or the frames are several volumes.
    """
    layout = _by_positions(header, shape) or FrameLayout(frame_geometry(header))
    if not lies_on_template(shape, layout.geometry) and layout.order is None:
        geometry = replace(layout.geometry, position_mm=position_said(header))
        layout = FrameLayout(geometry, _order_of_slices(header, shape[0]))
    frames_affine(shape, layout.geometry)
    return layout


def frame_geometry(header: Dataset) -> FrameGeometry:
    """Return orientation and spacings as a header gives them, without the position."""
    slice_spacing = numbers_said(header, "SpacingBetweenSlices") or numbers_said(header, "SliceThickness")
    if slice_spacing and len(slice_spacing) != 1:
        raise ScanError("expected one spacing of slices, got several; export the scan anew")
    return FrameGeometry(
        numbers_said(header, "ImageOrientationPatient"),
        numbers_said(header, "PixelSpacing"),
        slice_spacing[0] if slice_spacing else None,
    )


def position_said(header: Dataset) -> tuple[float, ...] | None:
    """Return the position (mm, LPS) of the first frame; None if the header has none, or several that differ."""
    keyword = "ImagePositionPatient"
    found = list(dict.fromkeys(given for place in places(header, keyword) if (given := numbers(place, keyword))))
    return found[0] if found and alike(found, tolerance=SAME_PLACE_MM) else None


def _by_positions(header: Dataset, shape: tuple[int, int, int]) -> FrameLayout | None:
    """Return the layout of frames that each have a position of their own, as in enhanced objects."""
    groups = many(header, "PerFrameFunctionalGroupsSequence")
    planes = [plane for group in groups for plane in many(group, "PlanePositionSequence")[:1]]
    positions = [given for plane in planes if (given := numbers(plane, "ImagePositionPatient"))]
    if not positions:
        return None
    if len(positions) != shape[0]:
        raise ScanError(f"{len(positions)} of {shape[0]} frames have a position; export the scan anew")
    geometry = frame_geometry(header)
    stack = stacked(positions, geometry.orientation)
    return FrameLayout(replace(geometry, slice_spacing_mm=stack.spacing_mm, position_mm=stack.position_mm), stack.order)


def _order_of_slices(header: Dataset, n_frames: int) -> NDArray[np.intp] | None:
    """Return the order by the numbers of slices, None if that of the file is right or the header gives no numbers."""
    slices = [int(number) for number in many(header, "SliceVector")]
    if len(slices) != n_frames:
        return None
    uses = Counter(slices)
    if len(uses) < n_frames:
        raise IneligibleError(
            f"{n_frames} frames are several volumes of {len(uses)} slices (energy windows, time slots, or emission and "
            "transmission); export the reconstruction of one alone"
        )
    return None if slices == sorted(slices) else np.argsort(slices)
