import io
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from pydicom import dcmread
from scipy.spatial.transform import Rotation

from datspect.errors import ScanError
from datspect.imaging.orientation import reorient
from datspect.imaging.placement import placed
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.dicom import read_dicom
from datspect.io.native_files import FormCodes, Identity, write_dicom, write_dicom_slices, write_nifti

IDENTITY = Identity("P12345678", is_man=True, age=66.4, site="site03", study="7")


def volume_of(axes: str = "LPS", dtype: str = "uint16", shape: tuple[int, int, int] = (20, 24, 11)) -> Volume:
    """A volume of noise on an oblique grid of unequal voxels, its axes as asked."""
    rng = np.random.default_rng(3)
    data = rng.integers(0, 30_000, shape).astype(dtype)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [9, -4, 6], degrees=True).as_matrix() * (1.37, 2.21, 4.42)
    affine[:3, 3] = (-80.5, 33.25, -1200)
    turned = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
    return Volume(apply_orientation(data, turned), affine @ inv_ornt_aff(turned, shape))


@pytest.mark.parametrize("codes", [FormCodes(1, 1), FormCodes(1, 0), FormCodes(0, 1), FormCodes(2, 2)])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_nifti_read_back_is_what_was_written(tmp_path: Path, codes: FormCodes, dtype: str) -> None:
    volume = volume_of("LAS", dtype)
    write_nifti(tmp_path / "scan.nii.gz", volume, codes)
    image = nib.Nifti1Image.from_filename(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), volume.data)
    assert image.get_data_dtype() == dtype
    np.testing.assert_allclose(image.affine, volume.affine, atol=1e-3)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (codes.sform, codes.qform)
    assert b"PHANTOM" in image.header["descrip"].item()


def test_a_nifti_file_without_a_place_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="expected a code above 0"):
        write_nifti(tmp_path / "scan.nii", volume_of(), FormCodes(0, 0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.dcm"])
def test_same_input_same_bytes(tmp_path: Path, name: str) -> None:
    for folder in ("one", "two"):
        if name.endswith("dcm"):
            write_dicom(tmp_path / folder / name, volume_of(), IDENTITY)
        else:
            write_nifti(tmp_path / folder / name, volume_of(), FormCodes(1, 1))
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def corner_and_steps(header) -> tuple[np.ndarray, np.ndarray]:
    """Column, row and frame steps in RAS mm, as the standard has them (PS3.3 C.7.6.2.1.1 and C.8.4.15)."""
    detector = header.DetectorInformationSequence[0]
    columns, rows = np.array(detector.ImageOrientationPatient, dtype=float).reshape(2, 3)
    down, across = (float(value) for value in header.PixelSpacing)
    stack = np.cross(columns, rows) * float(header.SpacingBetweenSlices)
    steps = np.column_stack([columns * across, rows * down, stack])
    flip = np.diag([-1.0, -1.0, 1.0])
    return flip @ np.array(detector.ImagePositionPatient, dtype=float), flip @ steps


@pytest.mark.parametrize("axes", ["LPS", "LPI", "RAS", "PSR"])
def test_a_dicom_object_leads_every_voxel_to_its_place(tmp_path: Path, axes: str) -> None:
    volume = volume_of(axes, "int16")
    write_dicom(tmp_path / "scan.dcm", volume, IDENTITY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = dcmread(tmp_path / "scan.dcm")
        frames = header.pixel_array
    np.testing.assert_array_equal(frames.transpose(2, 1, 0), volume.data)
    corner, steps = corner_and_steps(header)
    np.testing.assert_allclose(steps, volume.affine[:3, :3], atol=1e-6)
    np.testing.assert_allclose(corner, volume.affine[:3, 3], atol=1e-5)
    assert (float(header.SpacingBetweenSlices) < 0) == (np.linalg.det(volume.affine[:3, :3]) < 0)
    assert list(header.ImageType[:3]) == ["DERIVED", "PRIMARY", "RECON TOMO"]


def test_every_text_of_a_dicom_object_says_phantom_or_nothing(tmp_path: Path) -> None:
    write_dicom(tmp_path / "scan.dcm", volume_of(), IDENTITY)
    header = dcmread(tmp_path / "scan.dcm")
    assert str(header.PatientName) == "PHANTOM"
    assert header.PatientID == "P12345678"
    assert "PHANTOM" in header.SeriesDescription
    assert (header.PatientBirthDate, header.StudyDate, header.PatientAge) == ("", "", "066Y")


def test_slices_stack_to_the_same_volume(tmp_path: Path) -> None:
    volume = volume_of("LPI")
    write_dicom_slices(tmp_path / "P12345678", volume, IDENTITY)
    headers = [dcmread(path) for path in sorted((tmp_path / "P12345678").iterdir())]
    assert len(headers) == volume.data.shape[2]
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    for index, header in enumerate(headers):
        np.testing.assert_array_equal(header.pixel_array.squeeze().T, volume.data[:, :, index])
        corner, _ = corner_and_steps(header)
        np.testing.assert_allclose(corner, apply_affine(volume.affine, (0, 0, index)), atol=1e-4)


def test_floats_are_scaled_into_16_bits(tmp_path: Path) -> None:
    volume = volume_of("LPS", "float32")
    scaled = Volume(volume.data * np.float32(1e-4), volume.affine)
    write_dicom(tmp_path / "scan.dcm", scaled, IDENTITY)
    header = dcmread(tmp_path / "scan.dcm")
    values = header.pixel_array * float(header.RescaleSlope)
    np.testing.assert_allclose(values.transpose(2, 1, 0), scaled.data, atol=scaled.data.max() / 60_000)


def test_nothing_above_zero_cannot_be_scaled(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="one is above 0"):
        write_dicom(tmp_path / "scan.dcm", Volume(np.zeros((4, 4, 4), np.float32), np.eye(4)), IDENTITY)


def test_the_reader_of_downloads_knows_the_object(tmp_path: Path) -> None:
    on_template = Volume(np.arange(np.prod(MNI_SHAPE)).reshape(MNI_SHAPE).astype(np.int16), mni_affine())
    write_dicom(tmp_path / "mni.dcm", on_template, IDENTITY)
    scan = read_dicom(io.BytesIO((tmp_path / "mni.dcm").read_bytes()))
    np.testing.assert_array_equal(scan.frames.transpose(2, 1, 0), on_template.data)
    write_dicom(tmp_path / "native.dcm", volume_of(), IDENTITY)
    native = read_dicom(io.BytesIO((tmp_path / "native.dcm").read_bytes()))
    found, expected = reorient(placed(native.frames, native.geometry)), reorient(volume_of())
    np.testing.assert_array_equal(found.data, expected.data)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-3)
