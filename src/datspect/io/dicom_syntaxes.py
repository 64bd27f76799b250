"""Tell which transfer syntaxes of DICOM are read, and what makes a readable file of the others."""

from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from datspect.errors import ScanError

JPEG_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
PACKED = (RLELossless, *JPEG_LOSSLESS)
READABLE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, *PACKED)

_CONVERTERS = {
    "1.2.840.10008.1.2.1.99": "deflated; dcmconv +te IN OUT (DCMTK) writes it plainly",
    "1.2.840.10008.1.2.4.8": "JPEG-LS; dcmdjpls IN OUT (DCMTK) or gdcmconv --raw IN OUT (GDCM) unpacks it",
    "1.2.840.10008.1.2.4.9": "JPEG 2000; gdcmconv --raw IN OUT (GDCM) unpacks it",
    "1.2.840.10008.1.2.4.5": "JPEG, which may have lost detail; dcmdjpeg IN OUT (DCMTK) unpacks what is left",
    "1.2.840.10008.1.2.4.": "compressed pixels; gdcmconv --raw IN OUT (GDCM) may unpack them",
}
"""Starts of the identifiers of transfer syntaxes, the longer first where one begins like another."""


def check_readable(syntax: UID) -> None:
    """Refuse a transfer syntax that is not read, and name it if it is a known one.

    Raises
    ------
    ScanError : what it is, and the command that makes a file that is read.
    """
    if syntax in READABLE:
        return
    known = next((words for start, words in _CONVERTERS.items() if syntax.startswith(start)), "")
    raise ScanError(
        f"its transfer syntax is not read: {known}"
        if known
        else "its transfer syntax is not read; convert it to explicit VR little endian (dcmconv +te IN OUT)"
    )
