import io

import numpy as np
import pytest
from tests.io.dicom_files import dicom_bytes

from datspect.errors import ScanError
from datspect.io.dicom import read_dicom
from datspect.io.dicom_pixels import moved_down

RNG = np.random.default_rng(6)
SHAPE = (5, 7, 11)
COUNTS = RNG.integers(0, 2**12, SHAPE).astype(np.uint16)
SIGNED = RNG.integers(-(2**11), 2**11, SHAPE).astype(np.int16)


def read(frames, **options):
    changes = options.pop("changes", {})
    return read_dicom(io.BytesIO(dicom_bytes(frames, changes=changes, **options))).frames


def floats(keyword, kind, frames):
    """The changes that make a file one of floating-point pixels."""
    bits = 8 * np.dtype(kind).itemsize
    whole = dict.fromkeys(("PixelData", "BitsStored", "HighBit", "PixelRepresentation"))
    return whole | {keyword: frames.astype(kind).tobytes(), "BitsAllocated": bits}


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
@pytest.mark.parametrize("slope", [None, 0.5])
def test_floating_point_pixels_are_read(keyword, kind, slope):
    frames = RNG.normal(100, 30, SHAPE).astype(kind)
    got = read(COUNTS, slope=slope, changes=floats(keyword, kind, frames))
    np.testing.assert_array_equal(got, frames * (slope or 1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BitsAllocated": 64}, "expected voxels of 32 bits"),
        ({"FloatPixelData": bytes(8)}, "8 bytes of pixels where 1540 are declared"),
        ({"PixelData": bytes(4 * COUNTS.size)}, "voxels twice"),
    ],
)
def test_floating_point_pixels_that_do_not_fit_the_header_are_refused(changes, reason):
    with pytest.raises(ScanError, match=reason):
        read(COUNTS, changes=floats("FloatPixelData", np.float32, COUNTS) | changes)


@pytest.mark.parametrize("syntax", ["explicit", "big", "rle"])
@pytest.mark.parametrize("lowest", [0, 1, 4])
@pytest.mark.parametrize("values", [COUNTS, SIGNED])
def test_values_are_found_wherever_in_the_word_they_are_stored(syntax, lowest, values):
    """Twelve bits in a word of sixteen; what is in the other bits is not theirs."""
    is_signed = values.dtype.kind == "i"
    noise = RNG.integers(0, 2**16, SHAPE).astype(np.uint16) & np.uint16(0xFFFF ^ (0xFFF << lowest))
    words = ((values.view(np.uint16) & np.uint16(0xFFF)) << np.uint16(lowest)) | (noise if lowest else 0)
    if is_signed and not lowest:
        words = values.view(np.uint16)
    changes = {"BitsStored": 12, "HighBit": 11 + lowest, "PixelRepresentation": int(is_signed)}
    np.testing.assert_array_equal(read(words.astype(np.uint16), syntax=syntax, changes=changes), values)


@pytest.mark.parametrize(("stored", "highest"), [(12, 16), (12, 10), (16, 14), (12, 200)])
def test_bits_that_do_not_fit_the_word_are_refused(stored, highest):
    with pytest.raises(ScanError, match="high bit"):
        read(COUNTS, changes={"BitsStored": stored, "HighBit": highest})


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_negative_number_keeps_its_sign_when_it_is_moved_down(bits):
    words = np.array([(-3 << 2) & (2**bits - 1), (3 << 2) | 3], f"u{bits // 8}")
    assert moved_down(words, 2, bits - 3, is_signed=True).tolist() == [-3, 3]


@pytest.mark.parametrize(
    ("syntax", "kind", "tool"),
    [
        ("1.2.840.10008.1.2.1.99", "deflated", "dcmconv"),
        ("1.2.840.10008.1.2.4.50", "JPEG, which may have lost detail", "dcmdjpeg"),
        ("1.2.840.10008.1.2.4.57", "JPEG Lossless", "dcmdjpeg"),
        ("1.2.840.10008.1.2.4.70", "JPEG Lossless", "dcmdjpeg"),
        ("1.2.840.10008.1.2.4.80", "JPEG-LS", "dcmdjpls"),
        ("1.2.840.10008.1.2.4.90", "JPEG 2000", "gdcmconv"),
        ("1.2.840.10008.1.2.4.201", "compressed", "gdcmconv"),
        ("1.2.3.4", "not read; convert", "dcmconv"),
    ],
)
def test_a_transfer_syntax_that_is_not_read_is_named_with_the_tool_that_converts_it(syntax, kind, tool):
    old = b"UI\x14\x001.2.840.10008.1.2.1\0"
    name = (syntax + "\0" * (len(syntax) % 2)).encode()
    content = dicom_bytes(COUNTS).replace(old, b"UI" + len(name).to_bytes(2, "little") + name)
    group_length = int.from_bytes(content[140:144], "little") + len(name) - 20
    content = content[:140] + group_length.to_bytes(4, "little") + content[144:]
    with pytest.raises(ScanError, match=f"{kind}.*{tool}"):
        read_dicom(io.BytesIO(content))
