"""Transforms are what ITK programs read: they bring a marked voxel to the place where this project has it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import affine_transform, gaussian_filter
from tests.normalisation.moved_heads import pose

from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.io.transforms import read_transform, write_transform

TO_SCAN = pose((14, -9, 17), (40, -25, 60), (1.1, 0.95, 1.02))


@pytest.mark.parametrize("ending", ["tfm", "txt"])
@pytest.mark.parametrize("flips", ["", "z", "yz"])
def test_what_is_written_is_read(tmp_path: Path, ending: str, flips: str) -> None:
    to_scan = pose((14, -9, 17), (40, -25, 60), 1.05, flips)
    write_transform(tmp_path / f"a.{ending}", to_scan)
    np.testing.assert_allclose(read_transform(tmp_path / f"a.{ending}"), to_scan, atol=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{ending}"]


def test_the_same_transform_is_the_same_bytes(tmp_path: Path) -> None:
    write_transform(tmp_path / "a.tfm", TO_SCAN)
    write_transform(tmp_path / "b.tfm", TO_SCAN)
    assert (tmp_path / "a.tfm").read_bytes() == (tmp_path / "b.tfm").read_bytes()


def test_itk_brings_a_scan_to_mni_as_this_project_does(tmp_path: Path) -> None:
    """As `antsApplyTransforms -r MNI -i SCAN -t FILE` would; the scan is oblique and marked off its middle."""
    affine = pose((14, -9, 42), (40, -25, 60)) @ np.array(
        [[-3.0, 0, 0, 80], [0, 3.0, 0, -110], [0, 0, 4.0, -60], [0, 0, 0, 1]]
    )
    data = np.zeros((56, 60, 40), np.float32)
    data[20, 41, 27] = 1000
    data = gaussian_filter(data, 1.5)
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "scan.nii")
    nib.save(nib.Nifti1Image(np.zeros(MNI_SHAPE, np.float32), mni_affine()), tmp_path / "mni.nii")
    write_transform(tmp_path / "scan.tfm", TO_SCAN)
    by_itk = SimpleITK.Resample(
        SimpleITK.ReadImage(str(tmp_path / "scan.nii")),
        SimpleITK.ReadImage(str(tmp_path / "mni.nii")),
        SimpleITK.ReadTransform(str(tmp_path / "scan.tfm")),
        SimpleITK.sitkLinear,
    )
    found = SimpleITK.GetArrayFromImage(by_itk).transpose(2, 1, 0)
    to_scan = np.linalg.inv(affine) @ TO_SCAN @ mni_affine()
    ours = affine_transform(data, to_scan[:3, :3], to_scan[:3, 3], MNI_SHAPE, order=1)
    assert np.unravel_index(found.argmax(), MNI_SHAPE) == np.unravel_index(ours.argmax(), MNI_SHAPE)
    np.testing.assert_allclose(found, ours, atol=0.02 * ours.max())
    marked_mm = nib.affines.apply_affine(np.linalg.inv(TO_SCAN) @ affine, (20, 41, 27))
    there_mm = nib.affines.apply_affine(mni_affine(), np.unravel_index(found.argmax(), MNI_SHAPE))
    assert np.linalg.norm(there_mm - marked_mm) < 2 * np.sqrt(3) / 2 + 0.1
