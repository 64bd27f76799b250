"""Read the header of a DICOM file that may mean harm, and refuse by it whatever is no reconstructed scan.

No text of a header leaves this module, neither in a result nor in an error, a warning or a log line.
"""

import io
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pydicom.valuerep import VR

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.placement import MOST_VOXELS
from datspect.io.dicom_syntaxes import check_readable

SPECT_MODALITIES = ("NM", "ST")
"""Nuclear medicine, and the retired code for single-photon tomography. PET (PT) is another tracer."""

NOT_RECONSTRUCTED = ("TOMO", "GATED TOMO", "STATIC", "DYNAMIC", "GATED", "WHOLE BODY")
"""Third values of Image Type of what a camera records; a reconstruction has RECON TOMO (DICOM PS3.3 C.8.4.9.1.1)."""

SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
ANGULAR_VIEW_VECTOR = 0x00540090
"""The Frame Increment Pointer of projections holds it; that of a reconstruction points to the Slice Vector."""

MOST_HEADER_BYTES = 2**22
"""4 MiB, a hundred times the header of a reconstruction; as empty elements of eight bytes they are read in a second."""

MOST_ITEMS = 2**14
"""Most items of sequences in a header; 256 frames with all their functional groups have a quarter of them. pydicom
takes half a second for so many."""

_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
PREAMBLE_BYTES = 128
HEAD_BYTES = PREAMBLE_BYTES + 4
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_VALUE_REPRESENTATIONS = tuple(vr.value.encode("ascii") for vr in VR)
_LONGEST_FIRST_VALUE = 1024

_ADVICE_ON_SLICES = "if it is a slice, put all slices of its series into one folder and name that"

_HEADER = (
    "SOPClassUID",
    "Modality",
    "ImageType",
    "SeriesInstanceUID",
    "NumberOfFrames",
    "FrameIncrementPointer",
    "SliceVector",
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
    "ImagePositionPatient",
    "DetectorInformationSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

_MACROS = {
    "PixelSpacing": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""Sequences that hold an element within the functional groups of an enhanced object."""

_WORDS = {
    "PixelSpacing": "spacings of pixels",
    "SpacingBetweenSlices": "spacings of slices",
    "SliceThickness": "thicknesses of slices",
    "ImageOrientationPatient": "orientations",
    "RescaleSlope": "slopes of scale",
    "RescaleIntercept": "intercepts of scale",
}


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file with this start may be DICOM: it says so, or begins with an element of the first groups."""
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return True
    if len(head) < 8 or head[:2] not in _FIRST_GROUPS:
        return False
    return head[4:6] in _VALUE_REPRESENTATIONS or struct.unpack("<L", head[4:8])[0] <= _LONGEST_FIRST_VALUE


def read_header(stream: BinaryIO) -> Dataset:
    """Read the elements that a scan is judged by, from the first `MOST_HEADER_BYTES` of a file.

    Raises
    ------
    ScanError : it is not DICOM, or packed in a way that is not read; pydicom may raise anything else.
    """
    stream.seek(0)
    content = stream.read(MOST_HEADER_BYTES)
    if max(content.count(item) for item in _ITEMS) > MOST_ITEMS:
        raise ScanError(f"the header holds more than {MOST_ITEMS} items of sequences; export the scan anew")
    start = io.BytesIO(content)
    _check_syntax(start)
    return read_elements(start, with_pixels=False)


def read_elements(stream: BinaryIO, *, with_pixels: bool) -> Dataset:
    """Read the elements that matter, with the pixels or up to them."""
    stream.seek(0)
    return dcmread(stream, stop_before_pixels=not with_pixels, force=True, specific_tags=[*_HEADER, *PIXELS])


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
    check_readable(UID(values.get("TransferSyntaxUID", ImplicitVRLittleEndian)))


def check_kind(header: Dataset, *, is_slice: bool = False) -> None:
    """Refuse what is not a reconstructed volume in grey, or a slice of one; plainest reason first.

    Raises
    ------
    IneligibleError : the file is whole, but something else.
    ScanError : the header lacks what every image has.
    """
    is_cut = len(str(header.get("Modality") or "")) < 2  # within the code, or before it
    if is_cut or (_is_spect(header) and header.get("Rows") is None):
        raise ScanError("the header ends early or lacks what every image has; download or export it anew")
    image_type = [str(value).strip().upper() for value in many(header, "ImageType")]
    pointers = [int(tag) for tag in many(header, "FrameIncrementPointer")]
    is_grey = "MONOCHROME" in str(header.get("PhotometricInterpretation")) and header.get("SamplesPerPixel") == 1
    reasons = {
        "another modality than SPECT": not _is_spect(header),
        "a screen capture": str(header.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURES),
        "raw projections or planar images": any(kind in NOT_RECONSTRUCTED for kind in image_type[2:3]),
        "raw projections, a frame for each angle": ANGULAR_VIEW_VECTOR in pointers,
        "a transmission scan": "TRANSMISSION" in image_type,
        "a colour image": not is_grey,
        f"a single image and no volume; {_ADVICE_ON_SLICES}": n_frames(header) == 1 and not is_slice,
    }
    for reason, applies in reasons.items():
        if applies:
            raise IneligibleError(f"not a reconstructed DaT scan: {reason}")


def _is_spect(header: Dataset) -> bool:
    return header.get("Modality") in SPECT_MODALITIES


def n_frames(header: Dataset) -> int:
    """Return the number of frames, 1 if the header does not say."""
    return int(header.get("NumberOfFrames") or 1)


def frames_shape(header: Dataset) -> tuple[int, int, int]:
    """Return the numbers of frames, rows and columns.

    Raises
    ------
    ScanError : one is below 1.
    IneligibleError : their product is above `MOST_VOXELS`.
    """
    shape = n_frames(header), int(header.Rows), int(header.Columns)
    check_size(shape)
    return shape


def check_size(shape: tuple[int, int, int]) -> None:
    """Refuse a number of voxels that no scan of a head has.

    Raises
    ------
    ScanError : a length is below 1.
    IneligibleError : there are more than `MOST_VOXELS`.
    """
    if min(shape) < 1:
        raise ScanError("the header declares frames, rows or columns below 1; export the scan anew")
    if math.prod(shape) > MOST_VOXELS:
        raise IneligibleError(f"it declares {math.prod(shape)} voxels; at most {MOST_VOXELS} are read")


def many(header: Dataset, keyword: str) -> list[Any]:
    """Return the values of an element that may be missing, empty, single or several."""
    value = header.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def numbers(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Return the numbers of an element of this very data set, None if there are none."""
    return tuple(float(value) for value in many(header, keyword)) or None


def numbers_said(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Return the numbers of an element, wherever the header keeps them.

    Nuclear medicine keeps geometry with the detectors, enhanced objects keep it in functional groups.

    Raises
    ------
    ScanError : it gives several that differ.
    """
    found = list(dict.fromkeys(given for place in places(header, keyword) if (given := numbers(place, keyword))))
    if not alike(found, tolerance=1e-3):
        raise ScanError(f"the header gives several {_WORDS[keyword]} that differ; export the scan anew")
    return found[0] if found else None


def alike(given: Sequence[tuple[float, ...]], *, tolerance: float) -> bool:
    """Return whether groups of numbers are as many and the same, each within `tolerance`; none at all are."""
    if len({len(numbers) for numbers in given}) > 1:
        return False
    return not given or bool(np.allclose(np.array(given), given[0], atol=tolerance))


def places(header: Dataset, keyword: str) -> Iterator[Dataset]:
    """Yield the data sets that may hold an element: the header itself, detectors, functional groups."""
    yield header
    yield from header.get("DetectorInformationSequence") or []
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in header.get(groups) or []:
            yield from group.get(_MACROS[keyword]) or []
