import io

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from tests.io.dicom_files import dicom_bytes
from tests.io.jpeg_files import encoded

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


JPEG = ("jpeg", "jpeg sv1")
BLOBS = RNG.integers(0, 2**8, (3, 16, 18)).astype(np.uint8)


@pytest.mark.parametrize("syntax", JPEG)
@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16])
def test_frames_in_jpeg_lossless_are_read(syntax, kind):
    frames = BLOBS.view(np.int8).astype(kind) if np.dtype(kind).kind == "i" else BLOBS.astype(kind) * 3
    np.testing.assert_array_equal(read(frames, syntax=syntax), frames)
    np.testing.assert_array_equal(read(frames, syntax=syntax, slope=0.5, intercept=-3), frames * 0.5 - 3)


@pytest.mark.parametrize("lowest", [0, 4])
def test_signed_values_of_twelve_bits_are_found_in_jpeg_lossless(lowest):
    values = RNG.integers(-20, 20, BLOBS.shape).astype(np.int16)
    words = (values.view(np.uint16) & np.uint16(0xFFF)) << np.uint16(lowest)
    changes = {"BitsStored": 12, "HighBit": 11 + lowest, "PixelRepresentation": 1}
    np.testing.assert_array_equal(read(words, syntax="jpeg", changes=changes), values)


def test_a_frame_in_several_fragments_is_read():
    streams = [encoded(frame, precision=8) for frame in BLOBS]
    content = encapsulate(streams, fragments_per_frame=3)
    np.testing.assert_array_equal(read(BLOBS, syntax="jpeg sv1", changes={"PixelData": content}), BLOBS)
    without_offsets = encapsulate(streams, fragments_per_frame=3, has_bot=False)
    np.testing.assert_array_equal(read(BLOBS, syntax="jpeg sv1", changes={"PixelData": without_offsets}), BLOBS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PixelData": encapsulate([encoded(frame, precision=8) for frame in BLOBS[:2]])}, "as many frames|not a read"),
        ({"PixelData": encapsulate([encoded(frame // 64) for frame in BLOBS[[0, 1, 2, 2]]])}, "as many frames"),
        ({"PixelData": encapsulate([encoded(frame)[:-90] for frame in BLOBS])}, "cut short or spoilt"),
        ({"PixelData": encapsulate([encoded(frame // 64 * np.uint16(200)) for frame in BLOBS])}, "more bits"),
        ({"PixelData": encapsulate([bytes(9000)] * 3)}, "27.* bytes of pixels where 864"),
        ({"BitsAllocated": 32}, "8 or 16 bits"),
        ({"BitsStored": 12}, "high bit"),
    ],
)
def test_jpeg_lossless_that_does_not_fit_the_header_is_refused(changes, reason):
    with pytest.raises(ScanError, match=reason):
        read(BLOBS, syntax="jpeg sv1", changes=changes)
