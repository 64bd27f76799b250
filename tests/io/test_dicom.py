import io
import logging
import zlib

import numpy as np
import pydicom.filereader
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.fuzz import hostile_dicom
from tests.io.dicom_files import IDENTIFIERS, PRIVATE_TEXT, PROJECTIONS, SECONDARY_CAPTURE, dicom_bytes, frames_of

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.placement import FrameGeometry
from datspect.imaging.volume import MNI_SHAPE
from datspect.io.dicom import read_dicom
from datspect.io.dicom_header import MOST_HEADER_BYTES, MOST_ITEMS, looks_like_dicom

FRAMES = frames_of(np.random.default_rng(3).integers(-50, 3000, MNI_SHAPE).astype(np.int16))
STANDARD = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
HEADER_BYTES = 6000


def read(content: bytes):
    return read_dicom(io.BytesIO(content))


def assert_anonymous(text: str) -> None:
    assert not [value for value in (*IDENTIFIERS.values(), PRIVATE_TEXT) if len(value) > 2 and value in text]


@pytest.fixture(scope="module")
def whole():
    return dicom_bytes(FRAMES, orientation=STANDARD, position=(-90, -126, -72))


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big", "rle", "jpeg", "jpeg sv1"])
@pytest.mark.parametrize("preamble", [True, False])
def test_frames_come_back_from_every_transfer_syntax(syntax, preamble):
    scan = read(dicom_bytes(FRAMES, syntax=syntax, preamble=preamble))
    np.testing.assert_array_equal(scan.frames, FRAMES)
    assert scan.frames.dtype == np.int16


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
def test_a_data_set_without_file_meta_information_is_read(syntax):
    np.testing.assert_array_equal(read(dicom_bytes(FRAMES, syntax=syntax, meta=False)).frames, FRAMES)


@pytest.mark.parametrize("kind", [np.uint16, np.uint8, np.int8, np.int32, np.uint32])
def test_other_integers_keep_their_values(kind):
    frames = np.random.default_rng(1).integers(0, np.iinfo(kind).max, FRAMES.shape).astype(kind)
    np.testing.assert_array_equal(read(dicom_bytes(frames)).frames, frames)


def test_values_are_rescaled_as_the_header_says():
    scan = read(dicom_bytes(FRAMES, slope=0.25, intercept=-3))
    np.testing.assert_allclose(scan.frames, FRAMES * 0.25 - 3)
    np.testing.assert_array_equal(read(dicom_bytes(FRAMES, slope=1, intercept=0)).frames.dtype, np.int16)


@pytest.mark.parametrize("slope", [(1.0, 2.0), 0.0, -1.0, float("nan"), float("inf")])
def test_slopes_that_are_several_or_none_are_refused(slope):
    with pytest.raises(ScanError, match="slope"):
        read(dicom_bytes(FRAMES, slope=slope))


@pytest.mark.parametrize("place", ["detector", "top", "both"])
def test_the_orientation_is_found_wherever_it_is_written(place):
    orientation = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    sagittal = np.zeros((91, 91, 109), np.int16)
    scan = read(dicom_bytes(sagittal, orientation=orientation, slice_spacing=-2.0, place=place))
    assert scan.geometry == FrameGeometry(orientation, (2.0, 2.0), -2.0)


def test_a_header_without_geometry_says_nothing():
    scan = read(dicom_bytes(FRAMES, pixel_spacing=None, slice_spacing=None, slice_thickness=None))
    assert scan.geometry == FrameGeometry(None, None, None)


def test_slice_thickness_stands_in_for_a_missing_spacing():
    assert read(dicom_bytes(FRAMES, slice_spacing=None)).geometry.slice_spacing_mm == 2.0
    assert read(dicom_bytes(FRAMES, slice_spacing=None, slice_thickness=3.3)).geometry.slice_spacing_mm == 3.3


def test_two_orientations_that_differ_are_refused():
    content = dicom_bytes(FRAMES, orientation=STANDARD, changes={"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]})
    with pytest.raises(ScanError, match="several orientations"):
        read(content)


@pytest.mark.parametrize(
    ("reason", "frames", "options"),
    [
        ("another modality", FRAMES, {"modality": "PT"}),
        ("another modality", FRAMES, {"modality": "MR"}),
        ("screen capture", FRAMES, {"sop_class": SECONDARY_CAPTURE}),
        ("raw projections", FRAMES, PROJECTIONS),
        ("raw projections", np.ones((120, 128, 128), np.uint16), PROJECTIONS),
        ("frame for each angle", FRAMES, {"projections": True, "image_type": None}),
        ("planar", FRAMES, {"image_type": ("ORIGINAL", "PRIMARY", "STATIC", "EMISSION")}),
        ("transmission", FRAMES, {"image_type": ("DERIVED", "PRIMARY", "RECON TOMO", "TRANSMISSION")}),
        ("colour", FRAMES, {"changes": {"PhotometricInterpretation": "PALETTE COLOR"}}),
        ("colour", FRAMES, {"changes": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}}),
        ("single image", FRAMES[:1], {}),
        ("single image", FRAMES[:1], {"changes": {"NumberOfFrames": None}}),
        ("no spacing of pixels", np.ones((60, 128, 128), np.int16), {"pixel_spacing": None}),
        ("no spacing of slices", FRAMES[:60], {"slice_spacing": None, "slice_thickness": None}),
        ("several volumes of 45 slices", FRAMES[:90], {"changes": {"SliceVector": [*range(45), *range(45)]}}),
    ],
)
def test_what_is_no_reconstruction_is_refused_by_what_it_is(reason, frames, options):
    with pytest.raises(IneligibleError, match=reason) as caught:
        read(dicom_bytes(frames, **options))
    assert_anonymous(str(caught.value))


def test_eligibility_is_judged_before_a_voxel_is_read():
    content = dicom_bytes(np.ones((480, 128, 128), np.uint16), **PROJECTIONS)
    with pytest.raises(IneligibleError, match="raw projections"):
        read(content[:20_000])


def test_huge_dimensions_in_a_tiny_file_take_no_memory():
    sizes = {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2**31 - 1}
    with pytest.raises(IneligibleError, match="at most"):
        read(dicom_bytes(FRAMES[:2], changes=sizes))


@pytest.mark.parametrize("extra", [-1000, -2, 2, 1000, 10**6])
def test_more_or_fewer_pixels_than_declared_are_refused(extra):
    pixels = FRAMES.tobytes()
    changed = pixels[:extra] if extra < 0 else pixels + bytes(extra)
    with pytest.raises(ScanError, match=f"got|{len(changed)} bytes of pixels where {len(pixels)} are declared"):
        read(dicom_bytes(FRAMES, changes={"PixelData": changed}))


def test_an_odd_number_of_bytes_may_be_padded():
    frames = np.arange(FRAMES.size, dtype=np.uint8).reshape(FRAMES.shape)
    assert frames.size % 2
    np.testing.assert_array_equal(read(dicom_bytes(frames)).frames, frames)


@pytest.mark.parametrize("changes", [{"PixelData": None}, {"Modality": None}, {"Rows": None}, {"BitsAllocated": 64}])
def test_a_header_that_lacks_what_every_image_has_is_spoilt_not_ineligible(changes):
    with pytest.raises(ScanError) as caught:
        read(dicom_bytes(FRAMES, changes=changes))
    assert type(caught.value) is ScanError


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), within_header=st.booleans())
@example(share=0.0, within_header=True)
@example(share=0.091796875, within_header=True)  # within the code of the modality
@example(share=1 - 1e-6, within_header=False)
def test_a_file_that_is_cut_short_is_spoilt_wherever_it_is_cut(whole, share, within_header):
    kept = int(share * (HEADER_BYTES if within_header else len(whole)))
    with pytest.raises(ScanError) as caught:
        read(whole[:kept])
    assert type(caught.value) is ScanError


def test_a_deflated_file_is_refused_and_never_unpacked(monkeypatch):
    content = dicom_bytes(FRAMES, syntax="deflated")
    unpacked = []
    monkeypatch.setattr(pydicom.filereader.zlib, "decompress", lambda *given: unpacked.append(given) or b"")
    with pytest.raises(ScanError, match="dcmconv"):
        read(content)
    assert not unpacked
    assert zlib is pydicom.filereader.zlib


def test_run_lengths_that_would_swell_are_refused():
    packed = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"\x00" * (3 * FRAMES.nbytes)
    content = dicom_bytes(FRAMES, syntax="rle")
    start = content.index(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff") + 12
    with pytest.raises(ScanError, match="cut short or spoilt"):
        read(content[:start] + packed + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")


def test_fewer_packed_frames_than_declared_are_refused():
    content = dicom_bytes(FRAMES, syntax="rle")
    fragment = b"\xfe\xff\x00\xe0"
    first = content.index(fragment, content.index(fragment, content.index(b"\xe0\x7f\x10\x00OB")) + 8)
    with pytest.raises(ScanError, match="not a readable DICOM file"):
        read(content[:first] + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00" + content[first:])


@pytest.mark.parametrize("place", [132, None])
def test_no_more_is_read_than_a_header_may_have_when_empty_elements_fill_the_file(place):
    """pydicom takes a second for 4 MB of them; a file may have 256 MB."""

    class Counted(io.BytesIO):
        n_read = 0

        def read(self, size=-1):
            content = super().read(size)
            self.n_read += len(content)
            return content

    stream = Counted(dicom_bytes(FRAMES)[:place] + bytes(2 * MOST_HEADER_BYTES))
    with pytest.raises(ScanError):
        read_dicom(stream)
    assert stream.n_read == MOST_HEADER_BYTES


@pytest.mark.parametrize("tag", [0x52009230, 0x52009229, 0x00540022])
def test_a_header_of_countless_items_is_refused_before_they_are_parsed(tag):
    """pydicom takes twelve seconds for the half million that a header has room for."""
    value = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * (MOST_ITEMS + 1)
    content = hostile_dicom.Splice((tag >> 16, tag & 0xFFFF), "SQ", value)(dicom_bytes(FRAMES))
    with pytest.raises(ScanError, match="more than 16384 items"):
        read(content)


def test_jpeg_is_refused():
    content = dicom_bytes(FRAMES).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.")
    with pytest.raises(ScanError, match="dcmconv"):
        read(content)


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"not a scan " * 100, b"\x08\x00" * 300, b"\x89PNG" * 99])
def test_a_file_of_another_kind_is_refused(content):
    with pytest.raises(ScanError) as caught:
        read(content)
    assert type(caught.value) is ScanError


def test_only_what_begins_like_dicom_looks_like_it(whole):
    assert looks_like_dicom(whole[:132])
    assert all(
        looks_like_dicom(dicom_bytes(FRAMES[:2], meta=False, syntax=syntax)[:132])
        for syntax in ("explicit", "implicit", "big")
    )
    assert not any(looks_like_dicom(head) for head in (b"", b"\x1f\x8b\x08" + b"\0" * 200, b"<?xml version", b"\x08\0"))


def test_neither_errors_nor_warnings_nor_logs_quote_a_header(whole, caplog, monkeypatch):
    """A name where a number or a character set belongs: pydicom would quote both."""
    monkeypatch.setattr(logging.getLogger("pydicom"), "level", logging.DEBUG)
    caplog.clear()
    unknown_letters = whole.replace(b"ISO_IR 100", b"QUILLFEATH")
    np.testing.assert_array_equal(read(unknown_letters).frames, FRAMES)
    with pytest.raises(ScanError, match=r"\(ValueError\)") as caught:
        read(unknown_letters.replace(b"DS\x08\x002.0\\2.0 ", b"DS\x08\x00DOE^JANE"))
    assert "QUILL" not in str(caught.value) + caplog.text
    assert "DOE" not in str(caught.value) + caplog.text
    assert logging.getLogger("pydicom").level == logging.DEBUG


spoiling = st.lists(st.tuples(st.integers(0, HEADER_BYTES), st.binary(min_size=1, max_size=8)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiling, st.sampled_from(["explicit", "implicit", "big"]))
def test_a_file_with_wrong_bytes_is_read_or_refused_in_plain_words(spoilt_bytes, syntax):
    content = bytearray(WHOLE[syntax])
    for place, wrong in spoilt_bytes:
        content[place : place + len(wrong)] = wrong
    try:
        assert read(bytes(content)).frames.size == FRAMES.size
    except ScanError as error:
        assert_anonymous(str(error))


WHOLE = {syntax: dicom_bytes(FRAMES, syntax=syntax, orientation=STANDARD) for syntax in ("explicit", "implicit", "big")}
