"""Read the frames of a reconstructed scan from a DICOM object; refuse whatever else is in a file by what it is.

A file is judged by its header before a voxel is read. No text of a header leaves this module, neither in a result nor
in an error, a warning or a log line.
"""

from dataclasses import dataclass
from typing import BinaryIO

from pydicom.errors import BytesLengthException, InvalidDicomError

from datspect.imaging.placement import FrameGeometry
from datspect.imaging.volume import Voxels
from datspect.io.dicom_geometry import frame_layout
from datspect.io.dicom_header import check_kind, frames_shape, read_header
from datspect.io.dicom_pixels import read_frames
from datspect.io.silence import faults_named

FAULTS = (BytesLengthException, InvalidDicomError, StopIteration)  # the last: fewer packed frames than declared
ADVICE = "download or export it anew"


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
    with faults_named("DICOM", ADVICE, *FAULTS):
        header = read_header(stream)
        check_kind(header)
        shape = frames_shape(header)
        layout = frame_layout(header, shape)
        frames = read_frames(stream, header, shape)
        return DicomScan(frames if layout.order is None else frames[layout.order], layout.geometry)
