"""Read the frames of a reconstructed scan from a DICOM object; refuse whatever else is in a file by what it is.

A file is judged by its header before a voxel is read. No text of a header leaves this module, neither in a result nor
in an error, a warning or a log line.
"""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pydicom.valuerep import VR

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.placement import FrameGeometry, frames_affine
from datspect.imaging.volume import Voxels
from datspect.io.silence import faults_named

SPECT_MODALITIES = ("NM", "ST")
"""Nuclear medicine, and the retired code for single-photon tomography. PET (PT) is another tracer."""

NOT_RECONSTRUCTED = ("TOMO", "GATED TOMO", "STATIC", "DYNAMIC", "GATED", "WHOLE BODY")
"""Third values of Image Type of what a camera records; a reconstruction has RECON TOMO (DICOM PS3.3 C.8.4.9.1.1)."""

SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
ANGULAR_VIEW_VECTOR = 0x00540090
"""The Frame Increment Pointer of projections holds it; that of a reconstruction points to the Slice Vector."""

READABLE_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless)
BITS = (8, 16, 32)

MOST_RLE_OVERHEAD = 2.0
"""Run lengths of noise are a little longer than the noise; data twice as long is not an image and may swell."""

MOST_HEADER_BYTES = 2**22
"""4 MiB, a hundred times the header of a reconstruction; as empty elements of eight bytes they are read in a second."""

PREAMBLE_BYTES = 128
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_VALUE_REPRESENTATIONS = tuple(vr.value.encode("ascii") for vr in VR)
_LONGEST_FIRST_VALUE = 1024

_UNSCALED = {"Slope": 1.0, "Intercept": 0.0}
_HEADER = (
    "SOPClassUID",
    "Modality",
    "ImageType",
    "NumberOfFrames",
    "FrameIncrementPointer",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelSpacing",
    "SpacingBetweenSlices",
    "SliceThickness",
    "ImageOrientationPatient",
    "DetectorInformationSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "PerFrameFunctionalGroupsSequence",
)

_FAULTS = (BytesLengthException, InvalidDicomError, StopIteration)  # the last: fewer packed frames than declared


@dataclass(frozen=True)
class DicomScan:
    """Frames, shape (frame, row, column), rescaled as the header says, and how they lie."""

    frames: Voxels
    geometry: FrameGeometry


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file with this start may be DICOM: it says so, or begins with an element of the first groups."""
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return True
    if len(head) < 8 or head[:2] not in _FIRST_GROUPS:
        return False
    return head[4:6] in _VALUE_REPRESENTATIONS or struct.unpack("<L", head[4:8])[0] <= _LONGEST_FIRST_VALUE


def read_dicom(stream: BinaryIO) -> DicomScan:
    """Read the frames of a reconstructed scan on the MNI grid.

    Raises
    ------
    IneligibleError : the file is whole, but something else: another modality, projections, another grid, a screenshot.
    ScanError : the file is not DICOM, spoilt, cut short, or written in a way that is not read.
    """
    with faults_named("DICOM", "download or export it anew", *_FAULTS):
        stream.seek(0)
        start = io.BytesIO(stream.read(MOST_HEADER_BYTES))
        _check_syntax(start)
        header = _read(start, stop_before_pixels=True)
        _check_kind(header)
        geometry = _geometry(header)
        frames_affine(_shape(header), geometry)
        return DicomScan(_rescaled(_frames(stream, header), header), geometry)


def _check_syntax(stream: BinaryIO) -> None:
    """Read the transfer syntax alone: reading the rest of a deflated file would unpack it without a bound."""
    stream.seek(0)
    head = stream.read(PREAMBLE_BYTES + 4)
    if not looks_like_dicom(head):
        raise ScanError("neither the mark of a DICOM file nor a header that begins like one")
    if head[PREAMBLE_BYTES:] != b"DICM":
        stream.seek(0)
    meta = FileMetaDataset(read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2))
    values = {element.keyword: element.value for element in meta}  # all, so that a false value representation is found
    syntax = UID(values.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if syntax not in READABLE_SYNTAXES:
        raise ScanError("its transfer syntax is not read; convert it to explicit VR little endian (dcmconv +te)")


def _read(stream: BinaryIO, *, stop_before_pixels: bool) -> Dataset:
    stream.seek(0)
    return dcmread(stream, stop_before_pixels=stop_before_pixels, force=True, specific_tags=[*_HEADER, "PixelData"])


def _check_kind(header: Dataset) -> None:
    """Refuse what is not a single reconstructed volume in grey, plainest reason first."""
    is_cut = len(str(header.get("Modality") or "")) < 2  # within the code, or before it
    if is_cut or (_is_spect(header) and header.get("Rows") is None):
        raise ScanError("the header ends early or lacks what every image has; download or export it anew")
    image_type = [str(value).strip().upper() for value in _many(header, "ImageType")]
    pointers = [int(tag) for tag in _many(header, "FrameIncrementPointer")]
    is_grey = "MONOCHROME" in str(header.get("PhotometricInterpretation")) and header.get("SamplesPerPixel") == 1
    reasons = {
        "another modality than SPECT": not _is_spect(header),
        "a screen capture": str(header.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURES),
        "raw projections or planar images": any(kind in NOT_RECONSTRUCTED for kind in image_type[2:3]),
        "raw projections, a frame for each angle": ANGULAR_VIEW_VECTOR in pointers,
        "a transmission scan": "TRANSMISSION" in image_type,
        "a colour image": not is_grey,
        "a single image and no volume": int(header.get("NumberOfFrames") or 1) == 1,
        "an enhanced object, whose frames may differ in scale": "PerFrameFunctionalGroupsSequence" in header,
    }
    for reason, applies in reasons.items():
        if applies:
            raise IneligibleError(f"not a reconstructed DaT scan: {reason}")


def _is_spect(header: Dataset) -> bool:
    return header.get("Modality") in SPECT_MODALITIES


def _shape(header: Dataset) -> tuple[int, int, int]:
    """Return the numbers of frames, rows and columns."""
    return int(header.NumberOfFrames), int(header.Rows), int(header.Columns)


def _geometry(header: Dataset) -> FrameGeometry:
    slice_spacing = _numbers(header, "SpacingBetweenSlices") or _numbers(header, "SliceThickness")
    if slice_spacing and len(slice_spacing) != 1:
        raise ScanError("expected one spacing of slices, got several; export the scan anew")
    return FrameGeometry(
        _orientation(header), _numbers(header, "PixelSpacing"), slice_spacing[0] if slice_spacing else None
    )


def _orientation(header: Dataset) -> tuple[float, ...] | None:
    """Return the direction cosines of the frames: nuclear medicine has them with the detectors, others at the top."""
    places = [header, *(header.get("DetectorInformationSequence") or [])]
    found = [cosines for place in places if (cosines := _numbers(place, "ImageOrientationPatient"))]
    if any(len(cosines) != len(found[0]) or not np.allclose(cosines, found[0], atol=1e-3) for cosines in found):
        raise ScanError("the header gives several orientations that differ; export the scan anew")
    return found[0] if found else None


def _many(header: Dataset, keyword: str) -> list[Any]:
    """Return the values of an element that may be missing, empty, single or several."""
    value = header.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def _numbers(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    return tuple(float(value) for value in _many(header, keyword)) or None


def _frames(stream: BinaryIO, header: Dataset) -> Voxels:
    """Return voxels as stored, shape (frame, row, column); the shape was found to be that of the template."""
    if header.BitsAllocated not in BITS:
        raise ScanError("expected voxels of 8, 16 or 32 bits; export the scan anew")
    n_bytes = int(np.prod(_shape(header))) * header.BitsAllocated // 8
    if stream.seek(0, io.SEEK_END) > MOST_HEADER_BYTES + MOST_RLE_OVERHEAD * n_bytes:
        raise ScanError("the file holds much more than the voxels that its header declares; export the scan anew")
    dataset = _read(stream, stop_before_pixels=False)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _syntax_found(dataset)
    _check_length(dataset, n_bytes)
    return pixel_array(dataset, raw=True)


def _syntax_found(dataset: Dataset) -> UID:
    """Return the transfer syntax by which a data set without its name was read."""
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _check_length(dataset: Dataset, n_bytes: int) -> None:
    """Compare the pixel data, `n_bytes` of them once unpacked, with what the header declares."""
    got = len(dataset.PixelData) if "PixelData" in dataset else 0
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        is_right = 0 < got <= MOST_RLE_OVERHEAD * n_bytes
    else:
        is_right = got in (n_bytes, n_bytes + n_bytes % 2)
    if not is_right:
        raise ScanError(f"cut short or spoilt: {got} bytes of pixels where {n_bytes} are declared; download it anew")


def _rescaled(frames: Voxels, header: Dataset) -> Voxels:
    """Return stored values times slope plus intercept; integers stay integers if slope is 1 and intercept 0."""
    slope, intercept = (_numbers(header, f"Rescale{name}") or (default,) for name, default in _UNSCALED.items())
    if len(slope) != 1 or len(intercept) != 1:
        raise ScanError("frames are scaled by several slopes, which is not read; export the scan with one")
    if not (np.isfinite([*slope, *intercept]).all() and slope[0] > 0):
        raise ScanError("expected a finite rescale slope above zero and a finite intercept; export the scan anew")
    native = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    return native if (slope[0], intercept[0]) == (1, 0) else native * slope[0] + intercept[0]
