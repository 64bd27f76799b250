"""Read a reconstructed scan that is stored as a DICOM series of one file a slice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset

from datspect.errors import ScanError
from datspect.imaging.placement import axis_directions, frames_affine
from datspect.imaging.stacking import stacked
from datspect.io.dicom import ADVICE, FAULTS, DicomScan
from datspect.io.dicom_geometry import frame_geometry, position_said
from datspect.io.dicom_header import (
    HEAD_BYTES,
    alike,
    check_kind,
    check_size,
    frames_shape,
    looks_like_dicom,
    n_frames,
    read_header,
)
from datspect.io.dicom_pixels import read_frames
from datspect.io.silence import faults_named

SliceKey = tuple[str, tuple[int, ...]]
"""Tells the slices of one stack from others: their series, and along which axes of the patient they lie."""


def slice_key(stream: BinaryIO) -> SliceKey | None:
    """Return what a single slice, of any modality, has in common with those of its stack; None for anything else.

    It holds an identifier: it is to be compared, and neither kept nor shown.

    Raises
    ------
    ScanError : the file is spoilt.
    """
    if not looks_like_dicom(stream.read(HEAD_BYTES)):
        return None
    with faults_named("DICOM", ADVICE, *FAULTS):
        header = read_header(stream)
        series = str(header.get("SeriesInstanceUID") or "")
        if not series or header.get("Rows") is None or n_frames(header) != 1:
            return None
        directions = axis_directions(frame_geometry(header))
        axes = np.abs(directions).argmax(axis=0)
        signs = np.sign(directions[axes, range(3)]).astype(int)
        return series, tuple(map(int, (*axes[:2], *signs[:2])))


def check_slice(stream: BinaryIO) -> None:
    """Refuse a slice that is none of a reconstructed scan, before its whole series is read.

    Raises
    ------
    IneligibleError : it is whole, but of something else.
    ScanError : it is spoilt.
    """
    with faults_named("DICOM", ADVICE, *FAULTS):
        check_kind(read_header(stream), is_slice=True)


def read_dicom_series(streams: Sequence[BinaryIO]) -> DicomScan:
    """Read a series of one file a slice, in any order; each slice is rescaled as its own header says.

    Raises
    ------
    IneligibleError : the files are whole, but slices of something else.
    ScanError : slices are spoilt, missing, at one place, or of several sizes.
    """
    with faults_named("DICOM", ADVICE, *FAULTS):
        headers = [read_header(stream) for stream in streams]
        for header in headers:
            check_kind(header, is_slice=True)
        _check_alike(headers)
        first = frame_geometry(headers[0])
        stack = stacked(_positions(headers), first.orientation)
        geometry = replace(first, slice_spacing_mm=stack.spacing_mm, position_mm=stack.position_mm)
        _, rows, columns = frames_shape(headers[0])
        check_size((len(streams), rows, columns))
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
        said = [each for each in given if each is not None]
        if len(said) not in (0, len(given)) or not alike(said, tolerance=1e-3):
            raise ScanError(f"slices of one series have several {what}; give the slices of one volume alone")


def _positions(headers: Sequence[Dataset]) -> list[tuple[float, ...]]:
    found = [position_said(header) for header in headers]
    lacking = sum(position is None or len(position) != 3 for position in found)
    if lacking:
        raise ScanError(f"{lacking} of {len(found)} slices of a series have no position; export the series anew")
    return [position for position in found if position is not None]
