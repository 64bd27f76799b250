"""One native volume in every form: the marked voxel lies where it truly is, or the reason is said in plain words."""

import gzip
import zipfile

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from tests.io.dicom_files import IDENTIFIERS, all_axis_orders, turned
from tests.io.native_files import (
    FORMS,
    MARKED,
    PIXELS_MM,
    SHAPE,
    SLICES_MM,
    enhanced_file,
    item,
    native_frames,
    nifti_file,
    pair_files,
    slice_files,
    true_affine,
    volume_file,
    written,
)

from datspect.errors import ScanError
from datspect.imaging.orientation import reorient
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.io.scan_reading import read_scan
from datspect.io.several_files import SeveralFiles, with_several_files
from datspect.io.sources import find_sources

FRAMES = native_frames()
TRUTH = apply_affine(true_affine(), MARKED)
CENTRED = true_affine()[:3, :3] @ (np.array(MARKED) - np.subtract(SHAPE, 1) / 2)


@pytest.fixture
def read(tmp_path):
    """Write files into a folder, or a zip, and read what is found there as one scan."""

    def write_and_read(files, *, in_zip=False, **options):
        if in_zip:
            with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
                for name, content in files:
                    archive.writestr(f"DOE_JANE/{name}", content)
        for name, content in files if not in_zip else ():
            (tmp_path / name).write_bytes(content)
        sources, unusable = find_sources([tmp_path])
        assert not unusable
        (source,) = with_several_files(sources)
        return read_scan(source, **options)

    return write_and_read


def brightest(scan):
    return apply_affine(scan.volume.affine, np.unravel_index(scan.volume.data.argmax(), scan.volume.data.shape))


@pytest.mark.parametrize("in_zip", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_the_marked_voxel_lies_where_it_is_in_every_form(read, form, in_zip):
    scan = read(FORMS[form](FRAMES), in_zip=in_zip)
    np.testing.assert_allclose(brightest(scan), TRUTH, atol=0.01)
    assert scan.volume.data.dtype == np.int16
    assert sorted(scan.volume.data.shape) == sorted(SHAPE)
    assert scan.volume.data.max() == FRAMES.max()
    assert (scan.space, scan.placed_by, scan.notes) == ("other", "header", ())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(all_axis_orders())))
def test_every_order_and_direction_of_axes_leads_to_the_same_native_volume(read, order_and_signs):
    """With voxels as they are, upright, centred: only the names and directions of the axes differ."""
    ras = np.random.default_rng(5).integers(0, 3000, (30, 26, 22)).astype(np.int16)
    sizes = np.array([2.2, 2.7, 3.4])
    order, signs = order_and_signs
    frames, orientation, stacking = turned(ras, order, signs)
    frame, row, column = sizes[list(order)]
    options = {"pixel_spacing": (row, column), "slice_spacing": stacking * frame, "position": None}
    upright = reorient(read(volume_file(frames, orientation=orientation, **options)).volume)
    np.testing.assert_array_equal(upright.data, ras)
    np.testing.assert_allclose(upright.affine[:3, :3], np.diag(sizes), atol=1e-6)
    np.testing.assert_allclose(upright.affine[:3, 3], -sizes * (np.array(ras.shape) - 1) / 2, atol=1e-6)


@pytest.mark.parametrize("position", [None, "differing"])
def test_without_one_position_the_middle_is_the_origin(read, position):
    changes = {"ImagePositionPatient": [1000.0, 0.0, 0.0]} if position else {}
    options = {} if position else {"position": None}
    np.testing.assert_allclose(brightest(read(volume_file(FRAMES, changes=changes, **options))), CENTRED, atol=0.01)


def test_without_an_orientation_the_sides_are_said_to_be_unknown(read):
    scan = read(volume_file(FRAMES, orientation=None, position=(0.0, 0.0, 0.0)))
    expected = np.multiply(MARKED, (PIXELS_MM[1], PIXELS_MM[0], SLICES_MM)) * (-1, -1, 1)
    np.testing.assert_allclose(brightest(scan), expected, atol=0.01)
    assert scan.placed_by == "convention"
    assert "left and right may be exchanged" in scan.notes[0]


@pytest.mark.parametrize("image_class", [nib.AnalyzeImage, nib.Spm99AnalyzeImage])
def test_analyze_is_read_and_said_to_tell_no_sides(read, image_class):
    scan = read(pair_files(FRAMES, image_class))
    expected = (np.array(MARKED) - np.subtract(SHAPE, 1) / 2) * (-PIXELS_MM[1], PIXELS_MM[0], SLICES_MM)
    np.testing.assert_allclose(brightest(scan), expected, atol=0.01)
    assert (scan.space, scan.placed_by, scan.sides_known) == ("other", "convention", False)


def test_the_origin_and_scale_that_spm_wrote_into_analyze_count(read):
    image = nib.Spm99AnalyzeImage(FRAMES.transpose(2, 1, 0), np.diag([-2.0, 2, 2, 1]))
    image.header["origin"][:3] = np.add(MARKED, 1)  # from 1, as in MATLAB
    (name, header), voxels = written(image)
    scan = read([(name, header[:112] + np.float32(0.125).tobytes() + header[116:]), voxels])
    np.testing.assert_allclose(brightest(scan), 0, atol=0.01)
    assert scan.volume.data.max() / scan.scale == pytest.approx(FRAMES.max() * 0.125)


@pytest.mark.parametrize("packed", [0, 1, (0, 1)])
def test_halves_of_a_pair_may_be_compressed(read, packed):
    files = [
        (f"{name}.gz", gzip.compress(content)) if number in np.atleast_1d(packed) else (name, content)
        for number, (name, content) in enumerate(pair_files(FRAMES))
    ]
    np.testing.assert_allclose(brightest(read(files)), TRUTH, atol=0.01)


@pytest.mark.parametrize("image_class", [nib.Nifti1Pair, nib.AnalyzeImage])
def test_a_half_alone_is_refused_with_the_command_that_joins_both(read, image_class, tmp_path):
    header, voxels = pair_files(FRAMES, image_class)
    with pytest.raises(ScanError, match="nib-convert"):
        read([header])
    (tmp_path / "volume.hdr").unlink()
    with pytest.raises(ScanError, match="voxels of a pair without their header"):
        read([voxels])


def without(number):
    return lambda: [file for place, file in enumerate(slice_files(FRAMES)) if place != number]


def twice():
    return [*slice_files(FRAMES), ("copy", slice_files(FRAMES)[5][1])]


def mixed(**options):
    return lambda: [*slice_files(FRAMES)[:-1], ("odd", slice_files(FRAMES, **options)[-1][1])]


def cut_short():
    files = slice_files(FRAMES)
    return [*files[:-1], (files[-1][0], files[-1][1][:-500])]


def of_larger_slices():
    larger = np.ones((36, 50, 50), np.int16)
    return [*slice_files(FRAMES)[:-1], slice_files(larger)[-1]]


def several_slopes():
    transforms = [item(PixelValueTransformationSequence=[item(RescaleSlope=s, RescaleIntercept=0)]) for s in (1, 2)]
    return volume_file(FRAMES, changes={"PerFrameFunctionalGroupsSequence": transforms})


def several_orientations():
    turned = [item(PlaneOrientationSequence=[item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])])]
    return enhanced_file(FRAMES, changes={"SharedFunctionalGroupsSequence": turned + turned}, shared=False)


REFUSED = {
    "a slice is missing": (without(9), r"missing: 3.1 mm lie between most of the 35 slices, 6.2 mm between number 9"),
    "a slice is there twice": (twice, "1 of 37 slices lie where another does"),
    "a slice of another size": (of_larger_slices, "2 sizes"),
    "a slice of another spacing": (mixed(pixel_spacing=(2.0, 2.0)), "several spacings of pixels"),
    "slices without a position": (lambda: slice_files(FRAMES, position=None), "36 of 36 slices of a series have no"),
    "a slice cut short": (cut_short, "cut short"),
    "two volumes under one number": (
        lambda: slice_files(FRAMES) + [(f"x{name}", content) for name, content in slice_files(FRAMES)],
        "36 of 72 slices lie where another does",
    ),
    "frames of two volumes": (
        lambda: volume_file(FRAMES, changes={"SliceVector": [*range(18), *range(18)]}),
        "36 frames are several volumes of 18 slices",
    ),
    "frames of several slopes": (several_slopes, "several slopes"),
    "frames of several orientations": (several_orientations, "several orientations"),
    "frames where others are": (lambda: enhanced_file(FRAMES, [0] * 36), "35 of 36 slices lie where another does"),
    "a place that is none": (lambda: volume_file(FRAMES, position=(1e30, 0.0, 0.0)), "position"),
    "voxels as large as a head": (lambda: volume_file(FRAMES, slice_spacing=80.0), "0.1 to 50.0 mm"),
    "vectors": (lambda: written_nifti(np.ones((4, 5, 6, 1, 3), np.int16)), "3 at each voxel"),
    "several frames": (lambda: written_nifti(np.stack([FRAMES, FRAMES], -1)), "--frames mean"),
}


def written_nifti(data):
    return [("volume.nii", nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])).to_bytes())]


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_volume_is_refused_in_plain_words_that_name_nobody(read, what):
    files, reason = REFUSED[what]
    with pytest.raises(ScanError, match=reason) as caught:
        read(files())
    assert not [value for value in IDENTIFIERS.values() if len(value) > 2 and value in str(caught.value)]


def test_each_slice_of_a_series_has_its_own_scale(read):
    files = slice_files(FRAMES)
    files[MARKED[2]] = slice_files(FRAMES, slope=3.0)[MARKED[2]]
    scan = read(files)
    assert scan.volume.data.max() / scan.scale == pytest.approx(3 * FRAMES.max(), rel=1e-4)
    assert scan.volume.data[20, 24, 0] / scan.scale == pytest.approx(FRAMES[0, 24, 20], abs=0.1)


def test_the_mean_of_frames_is_taken_if_asked_and_said(read):
    scan = read(written_nifti(np.stack([FRAMES, 3 * FRAMES], -1)), frames="mean")
    np.testing.assert_array_equal(scan.volume.data, 2 * FRAMES)
    assert scan.notes == ("the mean of 2 frames",)


def test_nan_outside_the_field_of_view_of_spm_is_said_and_counts_as_0(read):
    voxels = FRAMES.astype(np.float32)
    voxels[:4] = np.nan
    scan = read(nifti_file(voxels, code=2))
    assert scan.n_missing == 4 * SHAPE[0] * SHAPE[1]
    assert scan.notes == (f"{scan.n_missing} voxels outside the head were NaN and count as 0",)
    assert not scan.volume.data[..., :4].any()
    np.testing.assert_allclose(brightest(scan), TRUTH, atol=0.01)


FINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SPM_BOX = np.array([[-2.0, 0, 0, 78], [0, 2, 0, -112], [0, 0, 2, -70], [0, 0, 0, 1]])
TEMPLATES = {
    "PPMI kept as NIfTI with the scanner's code": (MNI_SHAPE, mni_affine(), 1, "mni"),
    "1 mm": ((182, 218, 182), FINE, 4, "mni"),
    "1 mm by ANTs, code 1": ((182, 218, 182), FINE, 1, "other"),
    "the box of SPM": ((79, 95, 79), SPM_BOX, 4, "mni"),
    "the box of SPM, code 2": ((79, 95, 79), SPM_BOX, 2, "other"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_volumes_in_mni_space_are_read_on_every_grid_whatever_their_code_says(read, name):
    shape, affine, code, space = TEMPLATES[name]
    data = np.zeros(shape, np.uint8)
    data[20:60, 20:60, 20:60] = 100
    image = nib.Nifti1Image(data, affine)
    image.set_sform(image.affine, code)
    scan = read([("volume.nii", image.to_bytes())])
    np.testing.assert_array_equal(scan.volume.affine, affine)
    assert scan.volume.data.shape == shape
    assert scan.space == space


def test_slices_may_be_called_like_halves_of_pairs(read):
    files = [(f"{name}.img", content) for name, content in slice_files(FRAMES)]
    np.testing.assert_allclose(brightest(read(files)), TRUTH, atol=0.01)


@pytest.mark.parametrize(
    ("options", "reason"), [({"modality": "CT"}, "another modality than SPECT"), ({}, r"its files have [\d,]+ bytes")]
)
def test_a_series_larger_than_any_scan_is_refused_by_what_it_is(read, options, reason, monkeypatch):
    monkeypatch.setattr("datspect.io.scan_reading.LARGEST_FILE_BYTES", 50_000)
    with pytest.raises(ScanError, match=reason):
        read(slice_files(FRAMES, **options))


def test_what_is_no_slice_stays_a_file_by_itself(tmp_path):
    two = FRAMES[:2]
    for name, content in [
        *slice_files(FRAMES[:3]),
        ("volume.dcm", volume_file(FRAMES)[0][1]),
        ("other.dcm", slice_files(two, changes={"SeriesInstanceUID": "1.2.3.4"})[0][1]),
        ("mri1.dcm", slice_files(two, modality="MR", changes={"SeriesInstanceUID": "1.2.3.5"})[0][1]),
        ("mri2.dcm", slice_files(two, modality="MR", changes={"SeriesInstanceUID": "1.2.3.5"})[1][1]),
        ("turned.dcm", slice_files(two, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0))[0][1]),
        ("notes", b"\x08\x00" * 400),
        ("empty", b""),
    ]:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "copy").mkdir()
    for name, content in slice_files(FRAMES[:3]):
        (tmp_path / "copy" / name).write_bytes(content)
    found, _ = find_sources([tmp_path])
    joined = with_several_files(found)
    assert [source.name for source in joined] == [
        "IM0000", "copy/IM0000", "empty", "mri1.dcm", "notes", "other.dcm", "turned.dcm", "volume.dcm",
    ]  # fmt: skip
    series = [source for source in joined if isinstance(source, SeveralFiles)]
    assert [len(source.parts) for source in series] == [3, 3, 2]
    assert all(source.size == sum(part.size for part in source.parts) for source in series)
