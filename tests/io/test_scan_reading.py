import gzip
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.io.dicom_files import IDENTIFIERS, PROJECTIONS, all_axis_orders, dicom_bytes, frames_of, turned

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.orientation import reorient
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.io.scan_reading import LARGEST_SCALED, read_scan
from datspect.io.sources import Source
from datspect.io.volumes import read_volume, write_volume

STORED = np.random.default_rng(8).integers(-99, 3000, MNI_SHAPE).astype(np.int16)
RAS = STORED[::-1]
FRAMES = frames_of(STORED)


def nifti_bytes(data, affine=None) -> bytes:
    image = nib.Nifti1Image(data, mni_affine() if affine is None else affine)
    image.header.set_sform(image.affine, 4)
    return image.to_bytes()


@pytest.fixture
def read(tmp_path):
    """Write bytes to a file of a telling name and read them as a scan."""

    def write_and_read(content: bytes, name: str = "DOE_JANE_73519.dat"):
        path = tmp_path / name
        path.write_bytes(content)
        return read_scan(Source(path, None, path.name, len(content)))

    return write_and_read


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(all_axis_orders())), st.sampled_from(["detector", "top", "both"]))
def test_every_order_and_direction_of_axes_in_a_dicom_file_leads_to_the_same_volume(read, order_and_signs, place):
    frames, orientation, stacking = turned(RAS, *order_and_signs)
    scanner_like = (-231.5, 77.0, 1010.0)
    content = dicom_bytes(
        frames, orientation=orientation, slice_spacing=2.0 * stacking, position=scanner_like, place=place
    )
    scan = read(content)
    np.testing.assert_array_equal(reorient(scan.volume).data, RAS)
    np.testing.assert_array_equal(scan.volume.affine, mni_affine())
    assert (scan.placed_by, scan.space, scan.scale) == ("header", "mni", 1.0)


def test_a_dicom_file_without_orientation_is_placed_by_the_convention(read):
    scan = read(dicom_bytes(FRAMES))
    np.testing.assert_array_equal(scan.volume.data, STORED)
    np.testing.assert_array_equal(scan.volume.affine, mni_affine())
    assert (scan.placed_by, scan.space, scan.scale) == ("convention", "mni", 1.0)


@pytest.mark.parametrize("name", ["scan.dcm", "scan.nii", "scan.nii.gz", "scan"])
def test_the_format_is_told_by_the_content_and_not_by_the_name(read, name):
    for content in (dicom_bytes(FRAMES), nifti_bytes(STORED), gzip.compress(nifti_bytes(STORED), 1)):
        np.testing.assert_array_equal(read(content, name).volume.data, STORED)


def test_a_scan_within_a_zip_is_read(tmp_path):
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", dicom_bytes(FRAMES))
        archive.writestr("b.nii.gz", gzip.compress(nifti_bytes(STORED), 1))
        infos = archive.infolist()
    for info in infos:
        scan = read_scan(Source(path, info.filename, info.filename, info.file_size))
        np.testing.assert_array_equal(scan.volume.data, STORED)


@pytest.mark.parametrize(
    "voxels",
    [
        STORED.astype(np.float32),
        STORED.astype(np.int32),
        STORED.clip(0).astype(np.uint16),
        np.where(STORED > 2900, 32767, -32767).astype(np.float64),
    ],
)
def test_whole_numbers_that_fit_stay_as_they_are(read, voxels):
    scan = read(nifti_bytes(voxels))
    np.testing.assert_array_equal(scan.volume.data, voxels)
    assert scan.volume.data.dtype == np.int16
    assert scan.scale == 1.0


@pytest.mark.parametrize(
    "voxels",
    [
        (STORED / 1000).astype(np.float32),
        STORED.astype(np.float64) * -1e-200,
        STORED.astype(np.int32) * 1000,
        (STORED.astype(np.uint16) >> 1) + 30000,
        np.where(STORED > 0, -32768, 5).astype(np.int16),
    ],
)
def test_other_numbers_are_scaled_by_one_factor_and_keep_their_sign(read, voxels):
    scan = read(nifti_bytes(voxels))
    data = scan.volume.data
    assert data.dtype == np.int16
    assert np.abs(data.astype(int)).max() == LARGEST_SCALED
    assert scan.scale == pytest.approx(LARGEST_SCALED / np.abs(voxels.astype(float)).max())
    assert np.abs(data - voxels * scan.scale).max() <= 0.5 + 1e-9 * LARGEST_SCALED


def test_unsigned_counts_above_the_limit_of_int16_are_scaled_in_dicom_too(read):
    frames = np.random.default_rng(4).integers(0, 65535, FRAMES.shape).astype(np.uint16)
    scan = read(dicom_bytes(frames))
    assert scan.scale < 0.5
    np.testing.assert_allclose(frames_of(scan.volume.data), frames * scan.scale, atol=0.5)


def test_what_was_read_can_be_written_and_comes_back(read, tmp_path):
    scan = read(nifti_bytes((STORED / 7).astype(np.float32)))
    write_volume(tmp_path / "out.nii", scan.volume)
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii").data, scan.volume.data)


@pytest.mark.parametrize(
    ("wrong", "reason"), [(np.nan, "NaN in 1 of the voxels inside"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_voxels_that_are_no_numbers_are_refused(read, wrong, reason):
    voxels = STORED.astype(np.float32)
    voxels[4, 5, 6] = wrong
    with pytest.raises(ScanError, match=reason):
        read(nifti_bytes(voxels))


@pytest.mark.parametrize("value", [0, -5, 1.5, 40000])
def test_a_constant_volume_is_refused(read, value):
    with pytest.raises(ScanError, match="same value"):
        read(nifti_bytes(np.full(MNI_SHAPE, value, np.float32)))


def test_a_constant_dicom_scan_is_refused(read):
    with pytest.raises(ScanError, match="same value"):
        read(dicom_bytes(np.zeros_like(FRAMES)))


@pytest.mark.parametrize(("kind", "smallest"), [(np.float64, 5e-324), (np.float32, 1e-44)])
def test_numbers_too_small_to_be_scaled_are_refused(read, kind, smallest):
    with pytest.raises(ScanError, match="too small"):
        read(nifti_bytes((STORED * smallest).astype(kind)))


def test_projections_are_ineligible_and_rubbish_is_not(read):
    with pytest.raises(IneligibleError):
        read(dicom_bytes(FRAMES, **PROJECTIONS))
    with pytest.raises(ScanError, match="neither a DICOM nor a NIfTI") as caught:
        read(b"Image Data ID,Subject\n" * 99)
    assert type(caught.value) is ScanError


def test_no_identifier_outlives_the_reading(read, tmp_path):
    scan = read(dicom_bytes(FRAMES, orientation=(1, 0, 0, 0, 1, 0)))
    write_volume(tmp_path / "out" / "scan.nii", scan.volume)
    content = Path(tmp_path / "out" / "scan.nii").read_bytes()[:352] + repr(scan).encode()
    assert not [value for value in IDENTIFIERS.values() if len(value) > 2 and value.encode() in content]
