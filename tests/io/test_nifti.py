import gzip
import io
import struct
import tracemalloc
import zlib

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datspect.errors import ScanError
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.io.nifti import MOST_TRAILING_BYTES, looks_like_nifti, read_nifti

VOXELS = np.random.default_rng(2).integers(-50, 3000, MNI_SHAPE).astype(np.int16)
SMALL = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
NAMES = ("DOE^JANE", "73519", "LARKSPUR")

SIZES, MAGIC = 348, 344  # bytes of a NIfTI-1 header, and where its magic string lies
DIM, DATATYPE, VOX_OFFSET, SLOPE, SROW_X = 40, 70, 108, 112, 280


def nifti_bytes(data, affine=None, code=4, image_class=nib.Nifti1Image, endianness=None, **fields) -> bytes:
    """Return a .nii file of `data` with names in every text of its header."""
    image = image_class(data, mni_affine() if affine is None else affine)
    header = image.header
    header["descrip"], header["intent_name"], header["aux_file"] = NAMES
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"WHISTLER"))
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    for name, value in fields.items():
        header[name] = value
    if endianness:
        image = image_class(data, None, header.as_byteswapped(endianness))
    return image.to_bytes()


def read(content: bytes, frames="refuse"):
    scan = read_nifti(io.BytesIO(content), frames)
    return scan.volume, scan.space


def changed(content: bytes, place: int, form: str, *values) -> bytes:
    spoilt = bytearray(content)
    struct.pack_into(form, spoilt, place, *values)
    return bytes(spoilt)


def assert_anonymous(error: ScanError) -> None:
    assert not [name for name in (*NAMES, "WHISTLER") if name in str(error)]


@pytest.fixture(scope="module")
def whole():
    return nifti_bytes(VOXELS)


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("endianness", [None, ">"])
def test_every_kind_of_nifti_comes_back(image_class, is_packed, endianness):
    content = nifti_bytes(VOXELS, image_class=image_class, endianness=endianness)
    volume, space = read(gzip.compress(content, 1) if is_packed else content)
    np.testing.assert_array_equal(volume.data, VOXELS)
    np.testing.assert_array_equal(volume.affine, mni_affine())
    assert volume.data.dtype == np.int16
    assert space == "mni"


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint16, np.float32, np.float64])
def test_real_numbers_of_any_size_are_read(kind):
    volume, _ = read(nifti_bytes(SMALL.astype(kind)))
    np.testing.assert_array_equal(volume.data, SMALL)


def test_a_scaling_in_the_header_is_applied():
    volume, _ = read(changed(nifti_bytes(SMALL), SLOPE, "<ff", 0.5, -3.0))
    np.testing.assert_allclose(volume.data, SMALL * 0.5 - 3)


def test_axes_of_length_one_after_the_third_are_dropped():
    np.testing.assert_array_equal(read(nifti_bytes(SMALL[..., None, None]))[0].data, SMALL)


@pytest.mark.parametrize(
    ("data", "frames", "reason"),
    [
        (np.zeros((2, 3, 4, 2), np.int16), "refuse", "got 2.*--frames mean"),
        (SMALL[0], "refuse", "got less"),
        (np.zeros((2, 3, 4, 1, 3), np.int16), "mean", "got 3 at each voxel"),
        (np.zeros((2, 3, 4, 2, 2), np.int16), "mean", "got 2 at each voxel"),
    ],
)
def test_what_is_no_single_volume_is_refused(data, frames, reason):
    with pytest.raises(ScanError, match=reason):
        read(nifti_bytes(data), frames)


@pytest.mark.parametrize("is_packed", [True, False])
def test_the_mean_of_several_frames_is_taken_if_asked(is_packed):
    content = changed(nifti_bytes(np.stack([SMALL, 3 * SMALL, 5 * SMALL], -1)[..., None]), SLOPE, "<ff", 0.5, 1.0)
    scan = read_nifti(io.BytesIO(gzip.compress(content) if is_packed else content), "mean")
    np.testing.assert_allclose(scan.volume.data, 1.5 * SMALL + 1)
    assert scan.n_frames == 3


def test_more_frames_than_memory_should_hold_are_refused():
    content = changed(nifti_bytes(SMALL), DIM, "<5h", 4, 256, 256, 256, 3)
    with pytest.raises(ScanError, match="3 frames are too large"):
        read(content, "mean")


@pytest.mark.parametrize(
    ("shape", "affine", "code", "space"),
    [
        (MNI_SHAPE, mni_affine(), 4, "mni"),
        (MNI_SHAPE, mni_affine(), 1, "mni"),  # on the very grid: no scanner has it
        (MNI_SHAPE, mni_ras_affine(), 2, "mni"),
        ((4, 5, 6), np.diag([1.0, 1, 1, 1]), 4, "mni"),
        ((4, 5, 6), np.diag([1.0, 1, 1, 1]), 1, "other"),
        ((4, 5, 6), np.diag([1.0, 1, 1, 1]), 3, "other"),
        (MNI_SHAPE, np.diag([2.0, 2, 2, 1]), 1, "other"),
    ],
)
def test_the_space_is_mni_by_its_code_or_by_its_grid(shape, affine, code, space):
    assert read(nifti_bytes(np.ones(shape, np.int16), affine, code))[1] == space


def test_the_code_that_counts_is_that_of_the_affine_in_use():
    image = nib.Nifti1Image(SMALL, np.eye(4))
    image.set_sform(np.diag([3.0, 3, 3, 1]), 1)
    image.set_qform(np.eye(4), 4)
    volume, space = read(image.to_bytes())
    np.testing.assert_array_equal(volume.affine, np.diag([3.0, 3, 3, 1]))
    assert space == "other"
    image.set_sform(None, 0)
    volume, space = read(image.to_bytes())
    np.testing.assert_array_equal(volume.affine, np.eye(4))
    assert space == "mni"


def test_a_volume_that_lies_nowhere_has_its_middle_at_the_origin_and_x_from_right_to_left():
    scan = read_nifti(io.BytesIO(nifti_bytes(SMALL, np.diag([2.0, 3, 4, 1]), code=0)))
    np.testing.assert_array_equal(scan.volume.affine, [[-2, 0, 0, 1], [0, 3, 0, -3], [0, 0, 4, -6], [0, 0, 0, 1]])
    assert (scan.space, scan.placed_by) == ("other", "convention")


def test_lengths_in_metres_are_refused():
    with pytest.raises(ScanError, match="millimetres"):
        read(nifti_bytes(SMALL, xyzt_units=1))


@pytest.mark.parametrize("entry", [float("nan"), float("inf"), 0.0, 1e9])
def test_an_affine_that_fits_no_scan_is_refused(entry):
    with pytest.raises(ScanError, match="anew"):
        read(changed(nifti_bytes(SMALL), SROW_X, "<4f", entry, 0, 0, 0))


@pytest.mark.parametrize("datatype", [(128, 24), (32, 64), (2304, 32)])  # RGB, complex64, RGBA
def test_colours_and_complex_numbers_are_refused(datatype):
    code, bits = datatype
    content = changed(nifti_bytes(SMALL), DATATYPE, "<hh", code, bits)
    with pytest.raises(ScanError, match="real numbers"):
        read(content + bytes(1000))


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("lengths", [(32767, 32767, 32767), (32767, 32767, 1), (4097, 4096, 1)])
def test_huge_dimensions_in_a_tiny_file_take_no_memory(is_packed, lengths):
    content = changed(nifti_bytes(SMALL), DIM, "<4h", 3, *lengths)
    tracemalloc.start()
    with pytest.raises(ScanError, match="at most"):
        read(gzip.compress(content) if is_packed else content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("is_valid", [True, False])
def test_a_gzip_bomb_is_not_unpacked(is_valid):
    start = nifti_bytes(SMALL) if is_valid else b""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(start) + b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(ScanError, match="more than its header declares" if is_valid else "NIfTI header"):
        read(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_little_padding_is_no_fault():
    content = nifti_bytes(SMALL) + bytes(MOST_TRAILING_BYTES)
    np.testing.assert_array_equal(read(content)[0].data, SMALL)
    with pytest.raises(ScanError, match="more than its header declares"):
        read(content + b"\0")


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99, 0.999999])
def test_a_file_that_is_cut_short_is_refused(whole, is_packed, share):
    content = gzip.compress(whole, 1) if is_packed else whole
    with pytest.raises(ScanError):
        read(content[: int(share * len(content))])


def test_a_damaged_compressed_file_is_refused_by_its_checksum(whole):
    content = bytearray(gzip.compress(whole, 0))  # stored, so that only the checksum tells
    content[900_000] ^= 1
    with pytest.raises(ScanError, match="not a readable NIfTI file"):
        read(bytes(content))


@pytest.mark.parametrize("offset", [-400.0, 100.0, 1e9, float("nan"), float("inf")])
def test_voxels_that_begin_where_they_cannot_are_refused(offset):
    with pytest.raises(ScanError):
        read(changed(nifti_bytes(SMALL), VOX_OFFSET, "<f", offset))


@pytest.mark.parametrize("magic", [b"ni1\0", b"abc\0", b"\0\0\0\0"])
def test_pairs_and_older_formats_are_refused(magic):
    with pytest.raises(ScanError):
        read(changed(nifti_bytes(SMALL), MAGIC, "4s", magic))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x1f\x8b", b"\x5c\x01\x00\x00", gzip.compress(b"a table\n" * 99), b"x" * 999],
    ids=["nothing", "start of gzip", "start of NIfTI", "packed table", "text"],
)
def test_a_file_of_another_kind_is_refused(content):
    with pytest.raises(ScanError):
        read(content)


def test_only_what_begins_like_nifti_looks_like_it(whole):
    assert looks_like_nifti(whole[:132])
    assert looks_like_nifti(gzip.compress(whole[:500]))
    assert looks_like_nifti(nifti_bytes(SMALL, image_class=nib.Nifti2Image, endianness=">")[:132])
    assert not any(looks_like_nifti(head) for head in (b"", b"\x5c", bytes(132), b"<?xml version=1?>"))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, SIZES), st.binary(min_size=1, max_size=4)), min_size=1, max_size=8),
    st.booleans(),
)
def test_a_file_with_wrong_bytes_is_read_or_refused_in_plain_words(spoilt_bytes, is_packed):
    content = bytearray(SMALL_FILE)
    for place, wrong in spoilt_bytes:
        content[place : place + len(wrong)] = wrong
    try:
        volume, space = read(gzip.compress(content) if is_packed else bytes(content))
    except ScanError as error:
        assert_anonymous(error)
    else:
        assert volume.data.ndim == 3
        assert space in ("mni", "other")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_a_compressed_file_with_wrong_bytes_is_read_or_refused(place, wrong):
    content = bytearray(gzip.compress(SMALL_FILE))
    place %= len(content)
    content[place : place + len(wrong)] = wrong
    try:
        read(bytes(content))
    except ScanError as error:
        assert_anonymous(error)


SMALL_FILE = nifti_bytes(SMALL)
