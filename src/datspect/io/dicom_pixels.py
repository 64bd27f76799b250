"""Read the voxels of a DICOM file: their number is compared with what the header declares before they are unpacked."""

import io
import math
from itertools import islice
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from datspect.errors import ScanError
from datspect.imaging.volume import Voxels
from datspect.io import jpeg_lossless
from datspect.io.dicom_header import MOST_HEADER_BYTES, PIXELS, numbers_said, read_elements
from datspect.io.dicom_syntaxes import JPEG_LOSSLESS, PACKED

BITS = {"PixelData": (8, 16, 32), "FloatPixelData": (32,), "DoubleFloatPixelData": (64,)}
"""Bits of a voxel for each element that may hold them."""

MOST_PACKED_OVERHEAD = 2.0
"""Packed noise is a little longer than the noise; data twice as long is not an image and may swell."""

_UNSCALED = {"Slope": 1.0, "Intercept": 0.0}


def read_frames(stream: BinaryIO, header: Dataset, shape: tuple[int, int, int]) -> Voxels:
    """Return voxels, shape (frame, row, column), rescaled as the header says; whole numbers stay so without a scale.

    Raises
    ------
    ScanError : there are more or fewer than declared, or they are stored or scaled in a way that is not read.
    """
    if header.get("BitsAllocated") not in {bits for kinds in BITS.values() for bits in kinds}:
        raise ScanError("expected voxels of 8, 16 or 32 bits, or floating point; export the scan anew")
    n_bytes = math.prod(shape) * int(header.BitsAllocated) // 8
    if stream.seek(0, io.SEEK_END) > MOST_HEADER_BYTES + MOST_PACKED_OVERHEAD * n_bytes:
        raise ScanError("the file holds much more than the voxels that its header declares; export the scan anew")
    dataset = read_elements(stream, with_pixels=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _syntax_found(dataset)
    _check_length(dataset, n_bytes)
    return _rescaled(_unpacked(dataset, shape).reshape(shape), header)


def _syntax_found(dataset: Dataset) -> UID:
    """Return the transfer syntax by which a data set without its name was read."""
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _check_length(dataset: Dataset, n_bytes: int) -> None:
    """Compare the pixel data, `n_bytes` of them once unpacked, with what the header declares."""
    there = [keyword for keyword in PIXELS if keyword in dataset]
    if len(there) > 1:
        raise ScanError("the file holds voxels twice, as whole numbers and as floating point; export the scan anew")
    keyword = there[0] if there else PIXELS[0]
    if dataset.BitsAllocated not in BITS[keyword]:
        expected = " or ".join(map(str, BITS[keyword]))
        raise ScanError(f"expected voxels of {expected} bits in this kind of pixels; export the scan anew")
    got = len(dataset[keyword].value) if there else 0
    if dataset.file_meta.TransferSyntaxUID in PACKED:
        is_right = 0 < got <= MOST_PACKED_OVERHEAD * n_bytes
    else:
        is_right = got in (n_bytes, n_bytes + n_bytes % 2)
    if not is_right:
        raise ScanError(f"cut short or spoilt: {got} bytes of pixels where {n_bytes} are declared; download it anew")


def _unpacked(dataset: Dataset, shape: tuple[int, int, int]) -> Voxels:
    """Return voxels as stored; those that do not begin at the lowest bit are moved down to it."""
    allocated = int(dataset.BitsAllocated)
    stored = int(dataset.get("BitsStored") or allocated)
    highest = dataset.get("HighBit")
    lowest = 0 if highest is None or "PixelData" not in dataset else int(highest) + 1 - stored
    is_jpeg = dataset.file_meta.TransferSyntaxUID in JPEG_LOSSLESS
    if lowest == 0 and not is_jpeg:
        return pixel_array(dataset, raw=True)
    if not 0 <= lowest <= allocated - stored:
        raise ScanError("bits stored and the high bit do not fit the bits of a voxel; export the scan anew")
    is_signed = dataset.get("PixelRepresentation") == 1
    if is_jpeg:
        words = _jpeg_words(dataset, shape)
    else:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = allocated, allocated - 1, 0
        words = pixel_array(dataset, raw=True)
    return moved_down(words, lowest, stored, is_signed=is_signed) if lowest or is_signed else words


def _jpeg_words(dataset: Dataset, shape: tuple[int, int, int]) -> Voxels:
    """Return what is packed as JPEG, a stream for each frame, as unsigned words."""
    if "PixelData" not in dataset or dataset.BitsAllocated not in (8, 16):
        raise ScanError("expected voxels of 8 or 16 bits in JPEG Lossless; export the scan anew")
    streams = list(islice(generate_frames(dataset.PixelData, number_of_frames=shape[0]), shape[0] + 1))
    if len(streams) != shape[0]:
        raise ScanError(f"cut short or spoilt: not as many frames as the {shape[0]} declared; download it anew")
    words = np.stack([jpeg_lossless.decoded(stream, shape[1:]) for stream in streams])
    if dataset.BitsAllocated == 16:
        return words
    if words.max() > np.iinfo(np.uint8).max:
        raise ScanError("a JPEG stream holds more bits than the header declares; export the scan anew")
    return words.astype(np.uint8)


def moved_down(words: Voxels, lowest: int, stored: int, *, is_signed: bool) -> Voxels:
    """Return the numbers of `stored` bits that begin at bit `lowest` of unsigned words.

    >>> moved_down(np.array([0x7FF5, 0xFFF0], np.uint16), 4, 12, is_signed=True).tolist()
    [2047, -1]
    """
    size = words.dtype.itemsize
    raised = words.astype(f"=u{size}") << np.array(8 * size - lowest - stored, f"=u{size}")
    signed: Voxels = raised.view(f"={'i' if is_signed else 'u'}{size}")
    moved: Voxels = signed >> np.array(8 * size - stored, signed.dtype)
    return moved


def _rescaled(frames: Voxels, header: Dataset) -> Voxels:
    """Return stored values times slope plus intercept; integers stay integers if slope is 1 and intercept 0."""
    slope, intercept = (numbers_said(header, f"Rescale{name}") or (default,) for name, default in _UNSCALED.items())
    if len(slope) != 1 or len(intercept) != 1:
        raise ScanError("frames are scaled by several slopes, which is not read; export the scan with one")
    if not (np.isfinite([*slope, *intercept]).all() and slope[0] > 0):
        raise ScanError("expected a finite rescale slope above zero and a finite intercept; export the scan anew")
    native = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    return native if (slope[0], intercept[0]) == (1, 0) else native * slope[0] + intercept[0]
