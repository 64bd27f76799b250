import re

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import dcmread
from pydicom.encaps import generate_frames
from tests.io.jpeg_files import OF_LIBJPEG, encoded, of_libjpeg

from datspect.errors import ScanError
from datspect.io.jpeg_lossless import decoded

RNG = np.random.default_rng(5)
SHAPE = (19, 23)
SMOOTH = np.add.outer(np.arange(19) ** 2, 3 * np.arange(23)) / 450


def pictures(precision):
    """Noise, a smooth picture, and the largest differences there are."""
    most = 2**precision - 1
    return [
        RNG.integers(0, most, SHAPE, endpoint=True),
        (SMOOTH * most).astype(int),
        RNG.choice([0, most], SHAPE),
        np.full(SHAPE, most),
    ]


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("precision", [2, 8, 10, 12, 15, 16])
def test_a_frame_comes_back_as_it_was_packed(predictor, precision):
    for frame in pictures(precision):
        got = decoded(encoded(frame, predictor=predictor, precision=precision), SHAPE)
        np.testing.assert_array_equal(got, frame)
        assert got.dtype == np.uint16


@pytest.mark.parametrize("predictor", range(1, 8))
def test_what_libjpeg_packed_is_read(predictor):
    np.testing.assert_array_equal(decoded(of_libjpeg(predictor), OF_LIBJPEG.shape), OF_LIBJPEG)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_what_gdcm_packed_is_read(tmp_path, kind):
    frame = (200 * SMOOTH + (0 if np.dtype(kind).kind == "u" else -90)).astype(kind)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "frame.dcm"))
    writer.UseCompressionOn()
    writer.SetImageIO("GDCMImageIO")
    writer.SetCompressor("JPEG")
    writer.Execute(sitk.GetImageFromArray(frame))
    written = dcmread(tmp_path / "frame.dcm")
    assert written.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    (stream,) = generate_frames(written.PixelData, number_of_frames=1)
    np.testing.assert_array_equal(decoded(stream, SHAPE).astype(kind), frame)


@pytest.mark.parametrize("predictor", [1, 4, 7])
@pytest.mark.parametrize("rows_between", [1, 2, 19])
def test_rows_after_a_restart_depend_on_none_before_it(predictor, rows_between):
    frame = pictures(16)[0]
    np.testing.assert_array_equal(decoded(encoded(frame, predictor=predictor, rows_between=rows_between), SHAPE), frame)


@pytest.mark.parametrize("point_transform", [1, 4, 11])
def test_bits_that_the_encoder_left_away_are_zero(point_transform):
    frame = pictures(12)[0]
    got = decoded(encoded(frame, precision=12, point_transform=point_transform), SHAPE)
    np.testing.assert_array_equal(got, frame >> point_transform << point_transform)


STREAM = encoded(pictures(12)[1], precision=12)
SCAN = STREAM.index(b"\xff\xda")
PACKED = SCAN + 10
"""Where the markers end and the bits begin."""


@pytest.mark.parametrize("n_bytes", range(len(STREAM)))
def test_a_stream_cut_anywhere_is_refused(n_bytes):
    with pytest.raises(ScanError, match="cut short or spoilt"):
        decoded(STREAM[:n_bytes], SHAPE)


@pytest.mark.parametrize("n_lost", [1, 2, 7, 60])
def test_a_stream_that_lost_bytes_is_refused(n_lost):
    middle = (PACKED + len(STREAM)) // 2
    with pytest.raises(ScanError, match="cut short or spoilt"):
        decoded(STREAM[:middle] + STREAM[middle + n_lost :], SHAPE)


def changed(old, new):
    """The stream with other markers; its bits are as they were."""
    assert old in STREAM[:PACKED]
    return STREAM[:PACKED].replace(old, new) + STREAM[PACKED:]


HUFFMAN = STREAM[STREAM.index(b"\xff\xc4") : SCAN]
FRAME = b"\xff\xc3\x00\x0b\x0c\x00\x13\x00\x17\x01"


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "does not begin"),
        (STREAM[:PACKED] + STREAM[PACKED:].replace(b"\xff\xd9", b"\0\0\xff\xd9"), "more or fewer than its pixels"),
        (STREAM[:PACKED] + bytes(9000) + b"\xff\xd9", "more than its pixels"),
        (STREAM[:PACKED] + b"\xff\x00" * 200 + b"\xff\xd9", "no pixels"),
        (STREAM[: PACKED + 40] + b"\xff\xd0" + STREAM[PACKED + 40 :], "out of order"),
        (STREAM[: PACKED + 40] + b"\xff\xda" + STREAM[PACKED + 40 :], "end is missing"),
        (changed(FRAME, b"\xff\xfe" + FRAME[2:]), "size is not told"),
        (changed(FRAME, b"\xff\xc3\x00\x0b\x0c\x00\x17\x00\x13\x01"), "23 x 19 pixels where 19 x 23"),
        (changed(FRAME, b"\xff\xc3\x00\x0b\x08\x00\x13\x00\x17\x01"), "values of more than 8 bits"),
        (changed(FRAME, b"\xff\xc3\x00\x0b\x11\x00\x13\x00\x17\x01"), "17 bits"),
        (changed(FRAME, b"\xff\xc3\x00\x0b\x0c\x00\x13\x00\x17\x03"), "colour"),
        (changed(FRAME, b"\xff\xc0\x00\x0b\x0c\x00\x13\x00\x17\x01"), "another kind"),
        (changed(b"\x01\x01\x00\x01\x00\x00", b"\x01\x01\x00\x08\x00\x00"), "predictor 8"),
        (changed(b"\x01\x01\x00\x01\x00\x00", b"\x01\x01\x10\x01\x00\x00"), "does not hold"),
        (changed(b"\xff\xc4", b"\xff\xfe"), "does not hold"),
        (changed(b"\x00\x00\x01\x05", b"\x00\x03\x01\x05"), "code is cut short"),
        (changed(HUFFMAN, HUFFMAN + HUFFMAN), "more Huffman codes"),
        (changed(HUFFMAN, HUFFMAN[:4] + b"\x04" + HUFFMAN[5:]), "more Huffman codes"),
        (changed(b"\x00\x00\x01\x05", b"\x00\x02\x04\x00"), "code is none"),
        (changed(bytes(range(17)), bytes(range(1, 18))), "categories"),
        (changed(b"\xff\xe0\x00\x10", b"\xff\xe0\xff\xff"), "wrong length"),
        (changed(b"\xff\xe0\x00\x10", b"\xff\xe0\x00\x0f"), "no segment"),
        (changed(b"\xff\xe0", b"\xff\x01"), "of kind 01"),
        (changed(b"\xff\xda", b"\xff\xdd\x00\x04\x00\x07\xff\xda"), "within a row"),
    ],
)
def test_a_spoilt_stream_is_refused_by_what_is_wrong_with_it(stream, reason):
    with pytest.raises(ScanError, match=reason):
        decoded(stream, SHAPE)


@pytest.mark.parametrize("shape", [(15, 64), (64, 1025)])
def test_frames_that_no_camera_writes_are_refused_before_they_are_unpacked(shape):
    with pytest.raises(ScanError, match=re.escape("16 to 1024")):
        decoded(b"", shape)
