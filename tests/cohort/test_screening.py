import nibabel as nib
import numpy as np
import pytest
from tests.prediction.made_up_predictor import PREPROCESS

from datspect.cohort.screening import (
    check_volume,
    measure_quality,
    mni_regions,
    network_image,
    screen_scan,
    striatal_voxels,
    voxel_sha256,
)
from datspect.cohort.table import read_cohort, write_cohort
from datspect.errors import EmptyRegionError, ScanError
from datspect.imaging.intensity import RATIO_AT_WHITE
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import Volume, mni_affine, smoothed
from datspect.io.digests import file_digest
from datspect.io.volumes import read_volume


@pytest.fixture
def params():
    return PREPROCESS


@pytest.fixture(scope="module")
def regions():
    return mni_regions(PREPROCESS)


def _screen_first(folder, params, regions, *, renew_digest=True):
    cohort = read_cohort(folder)
    if renew_digest:
        cohort.scans.loc[0, "sha256"] = file_digest(folder / cohort.scans["path"][0])
        write_cohort(cohort)
    return screen_scan(read_cohort(folder), 0, params, regions)


def test_a_good_scan_gives_its_image_and_quality(tiny_cohort, params, regions):
    scan = _screen_first(tiny_cohort, params, regions, renew_digest=False)
    assert scan.reason == ""
    assert scan.image.shape == (109, 91, 3)
    assert scan.image.dtype == np.float32
    assert scan.image.max() == 1
    assert scan.quality["flags"] == ""
    assert 40 <= scan.quality["peak_slice"] <= 42
    assert scan.quality["sbr_caudate_left"] == pytest.approx(scan.quality["sbr_caudate_right"], rel=0.02)


def test_more_binding_is_measured_as_more(make_volume, params, regions):
    healthy, reduced = (
        measure_quality(reorient(make_volume(putamen=putamen)), params, regions) for putamen in (2.0, 0.5)
    )
    assert healthy["sbr_putamen_left"] > 2 * reduced["sbr_putamen_left"] > 0
    assert healthy["striatal_contrast"] > reduced["striatal_contrast"]


def test_striatal_voxels_count_in_units_of_nonspecific_uptake_whatever_the_gain(make_volume, params, regions):
    volume = reorient(make_volume(caudate=3.0, putamen=2.0))
    voxels = striatal_voxels(volume, regions)
    assert voxels.dtype == np.float32
    assert voxels.shape == volume.data[regions.striatal_box].shape
    assert np.median(voxels) == pytest.approx(1, rel=0.01)
    assert voxels.max() == pytest.approx(3 + 1, rel=0.02)  # a caudate of binding ratio 3
    louder = striatal_voxels(Volume(volume.data * 7, volume.affine), regions)
    np.testing.assert_allclose(louder, voxels, rtol=1e-6)


def test_without_signal_in_the_reference_there_are_no_striatal_voxels(make_volume, params, regions):
    volume = reorient(make_volume())
    with pytest.raises(EmptyRegionError, match="expected a positive value"):
        striatal_voxels(Volume(-volume.data, volume.affine), regions)


@pytest.mark.parametrize("codes", ["RAS", "PIR"])
def test_files_of_any_axis_order_give_the_same_image_and_content(tiny_cohort, params, regions, codes):
    las = _screen_first(tiny_cohort, params, regions)
    path = tiny_cohort / "volumes" / "S00.nii"
    image = nib.load(path)
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
    ornt = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes))
    turned = image.as_reoriented(ornt)
    nib.save(nib.Nifti1Image(np.asarray(turned.dataobj, np.float32), turned.affine), path)
    other = _screen_first(tiny_cohort, params, regions)
    assert other.reason == ""
    np.testing.assert_array_equal(other.image, las.image)
    np.testing.assert_array_equal(other.striatum, las.striatum)
    assert other.quality == las.quality
    assert other.content_sha256 == las.content_sha256


_UP_2_MM = np.zeros((4, 4))
_UP_2_MM[2, 3] = 2


def _nan(data):
    data[3, 4, 5] = np.nan
    return data


@pytest.mark.parametrize(
    ("change", "affine", "reason"),
    [
        (_nan, mni_affine(), "1 voxels are NaN or infinite"),
        (lambda data: data * 0 + 7, mni_affine(), "every voxel is 7"),
        (
            lambda data: data[:, :, :90],
            mni_affine(),
            "expected shape (91, 109, 91) on the 2 mm MNI grid, got (91, 109, 90)",
        ),
        (lambda data: np.stack([data] * 2, axis=-1), mni_affine(), "expected a 3-D volume, got shape (91, 109, 91, 2)"),
        (lambda data: data, mni_affine() + _UP_2_MM, "first voxel at -90, -126, -70 mm, steps 2, 2, 2 mm"),
        (lambda data: data, np.diag([-1.0, 2, 2, 1]) @ mni_affine(), "expected the 2 mm MNI grid"),
        (lambda data: -data, mni_affine(), "positive"),
    ],
)
def test_a_wrong_volume_is_refused_with_its_reason(tiny_cohort, make_volume, params, regions, change, affine, reason):
    data = change(make_volume().data.astype(np.float32))
    nib.save(nib.Nifti1Image(data, affine), tiny_cohort / "volumes" / "S00.nii")
    scan = _screen_first(tiny_cohort, params, regions)
    assert reason in scan.reason
    assert scan.image is None
    assert str(tiny_cohort) not in scan.reason


def test_a_file_that_changed_since_its_import_is_refused(tiny_cohort, make_volume, params, regions):
    volume = make_volume(caudate=1.0)
    nib.save(nib.Nifti1Image(volume.data.astype(np.int16), volume.affine), tiny_cohort / "volumes" / "S00.nii")
    assert "sha256 differs" in _screen_first(tiny_cohort, params, regions, renew_digest=False).reason


@pytest.mark.parametrize("kept", [100, 100_000])
def test_a_truncated_or_missing_file_is_refused(tiny_cohort, params, regions, kept):
    path = tiny_cohort / "volumes" / "S00.nii"
    path.write_bytes(path.read_bytes()[:kept])
    assert "not a readable NIfTI file" in _screen_first(tiny_cohort, params, regions, renew_digest=False).reason
    path.unlink()
    assert _screen_first(tiny_cohort, params, regions, renew_digest=False).reason == "file not found"


def test_the_grid_may_differ_by_rounding_only(make_volume):
    data = reorient(make_volume()).data
    check_volume(Volume(data, mni_ras_affine() + 0.001))
    with pytest.raises(ScanError, match="first voxel at -89, -125, -71 mm"):
        check_volume(Volume(data, mni_ras_affine() + np.array([[0, 0, 0, 1]] * 3 + [[0] * 4])))


def test_the_ratio_scale_leaves_nonspecific_uptake_where_it_is(make_volume, params, regions):
    ratio = params.model_copy(update={"intensity": "nonspecific_ratio"})
    volume = reorient(make_volume())
    for gain in (1, 5):
        image = network_image(Volume(volume.data * gain, volume.affine), ratio, regions)
        assert np.median(image[image > 0.5 / RATIO_AT_WHITE]) == pytest.approx(1 / RATIO_AT_WHITE, rel=0.02)
    assert image.max() == pytest.approx(4 / RATIO_AT_WHITE, rel=0.03)  # a caudate of binding ratio 3


def test_another_input_size_is_met(make_volume, params, regions):
    image = network_image(reorient(make_volume()), params.model_copy(update={"input_size": [128, 96]}), regions)
    assert image.shape == (128, 96, 3)
    assert image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1


def test_what_looks_wrong_is_flagged(make_volume, params, regions):
    low = reorient(make_volume(shift_mm=-8.0))
    assert "peak_outside_slices" in str(measure_quality(low, params, regions)["flags"])
    flat = Volume(reorient(make_volume(caudate=0.0, putamen=0.0)).data - 30, mni_ras_affine())
    assert str(measure_quality(flat, params, regions)["flags"]).endswith("low_contrast negative_values")


def test_the_content_digest_sees_a_single_voxel(rng):
    data = rng.integers(0, 99, (4, 5, 6))
    other = data.copy()
    other[1, 2, 3] += 1
    assert voxel_sha256(Volume(data, np.eye(4))) == voxel_sha256(Volume(data.astype(np.float32), np.eye(4)))
    assert voxel_sha256(Volume(data, np.eye(4))) != voxel_sha256(Volume(other, np.eye(4)))


@pytest.mark.parametrize("beyond", [2.5, 2.0**15, -(2.0**40)])
def test_the_content_digest_sees_what_int16_does_not_hold(rng, beyond):
    data = rng.integers(0, 99, (4, 5, 6)).astype(np.float64)
    data[0, 0, 0] = beyond
    truncated = data.astype(np.int64).astype(np.int16)
    assert voxel_sha256(Volume(data, np.eye(4))) == voxel_sha256(Volume(data.astype(np.float32), np.eye(4)))
    assert voxel_sha256(Volume(data, np.eye(4))) != voxel_sha256(Volume(truncated, np.eye(4)))


def test_smoothing_changes_the_image_and_nothing_that_is_measured(tiny_cohort, params, regions):
    smooth = params.model_copy(update={"smooth_fwhm_mm": 18.0})
    plain, other = (_screen_first(tiny_cohort, each, regions) for each in (params, smooth))
    assert plain.quality == other.quality
    np.testing.assert_array_equal(plain.box, other.box)
    np.testing.assert_array_equal(plain.striatum, other.striatum)
    volume = reorient(read_volume(tiny_cohort / "volumes" / "S00.nii"))
    np.testing.assert_array_equal(other.image, network_image(smoothed(volume, 18.0), params, regions))
    assert np.abs(plain.image - other.image).max() > 0.1
