"""Read a reconstructed scan from one DICOM object or from a series of one file a slice.

A file is judged by its header before a voxel is read. No text of a header leaves this module, neither in a result nor
in an error, a warning or a log line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from datspect.errors import ScanError
from datspect.imaging.placement import FrameGeometry, frames_affine
from datspect.imaging.stacking import stacked
from datspect.imaging.volume import Voxels
from datspect.io.dicom_geometry import frame_geometry, frame_layout, position_said
from datspect.io.dicom_header import check_kind, frames_shape, n_frames, read_header
from datspect.io.dicom_pixels import read_frames
from datspect.io.silence import faults_named

_FAULTS = (BytesLengthException, InvalidDicomError, StopIteration)  # the last: fewer packed frames than declared
_ADVICE = "download or export it anew"


@dataclass(frozen=True)
class DicomScan:
    """Frames, shape (frame, row, column), rescaled as the header says, and how they lie."""

    frames: Voxels
    geometry: FrameGeometry


def read_dicom(stream: BinaryIO) -> DicomScan:
    """Read the frames of a reconstructed scan, in the order in which they lie.

    Raises
    ------
    IneligibleError : the file is whole, but something else: another modality, projections, a screenshot.
    ScanError : the file is not DICOM, spoilt, cut short, or written in a way that is not read.
    """
    with faults_named("DICOM", _ADVICE, *_FAULTS):
        header = read_header(stream)
        check_kind(header)
        shape = frames_shape(header)
        layout = frame_layout(header, shape)
        frames = read_frames(stream, header, shape)
        return DicomScan(frames if layout.order is None else frames[layout.order], layout.geometry)


def read_dicom_series(streams: Sequence[BinaryIO]) -> DicomScan:
    """Read a series of one file a slice, in any order; each slice is rescaled as its own header says.

    Raises
    ------
    IneligibleError : the files are whole, but slices of something else.
    ScanError : slices are spoilt, missing, at one place, or of several sizes.
    """
    with faults_named("DICOM", _ADVICE, *_FAULTS):
        headers = [read_header(stream) for stream in streams]
        for header in headers:
            check_kind(header, is_slice=True)
        _check_alike(headers)
        first = frame_geometry(headers[0])
        stack = stacked(_positions(headers), first.orientation)
        geometry = replace(first, slice_spacing_mm=stack.spacing_mm, position_mm=stack.position_mm)
        _, rows, columns = frames_shape(headers[0])
        frames_affine((len(streams), rows, columns), geometry)
        slices = [read_frames(streams[place], headers[place], (1, rows, columns))[0] for place in stack.order]
        return DicomScan(np.stack(slices), geometry)


def _check_alike(headers: Sequence[Dataset]) -> None:
    """Refuse slices that cannot be of one volume."""
    if any(n_frames(header) != 1 for header in headers):
        raise ScanError("the series holds volumes beside single slices; give one of them alone")
    sizes = sorted({frames_shape(header)[1:] for header in headers})
    if len(sizes) > 1:
        raise ScanError(f"slices of one series have {len(sizes)} sizes; give the slices of one volume alone")
    geometries = [frame_geometry(header) for header in headers]
    for what, given in {
        "orientations": [each.orientation for each in geometries],
        "spacings of pixels": [each.pixel_spacing_mm for each in geometries],
    }.items():
        if not all(_same(each, given[0]) for each in given):
            raise ScanError(f"slices of one series have several {what}; give the slices of one volume alone")


def _same(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return len(one) == len(other) and bool(np.allclose(one, other, atol=1e-3))


def _positions(headers: Sequence[Dataset]) -> list[tuple[float, ...]]:
    found = [position_said(header) for header in headers]
    lacking = sum(position is None or len(position) != 3 for position in found)
    if lacking:
        raise ScanError(f"{lacking} of {len(found)} slices of a series have no position; export the series anew")
    return [position for position in found if position is not None]
