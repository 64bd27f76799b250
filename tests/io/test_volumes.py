import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.volumes import read_volume, write_volume


@pytest.fixture
def stored(tmp_path, rng):
    path = tmp_path / "scan.nii"
    volume = Volume(rng.integers(-5, 3000, MNI_SHAPE), mni_affine())
    write_volume(path, volume)
    return path, volume


def test_a_written_volume_comes_back(stored):
    path, volume = stored
    read = read_volume(path)
    np.testing.assert_array_equal(read.data, volume.data)
    np.testing.assert_array_equal(read.affine, volume.affine)
    assert read.data.dtype == np.int16


def test_an_uncompressed_volume_stays_on_disk(stored):
    assert isinstance(read_volume(stored[0]).data, np.memmap)


def test_bytes_repeat_and_nothing_else_is_left_behind(stored, tmp_path):
    path, volume = stored
    again = tmp_path / "again.nii"
    write_volume(again, volume)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.nii", "scan.nii"]


def test_a_scaling_in_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.eye(4))
    image.header.set_slope_inter(2.5, 1)
    nib.save(image, tmp_path / "scan.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "scan.nii").data, 3.5)


def test_a_compressed_file_is_read(stored, tmp_path):
    path, volume = stored
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii.gz").data, volume.data)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("kept", [0, 100, 352, 5000])
def test_a_truncated_file_is_refused_without_its_path(stored, tmp_path, name, kept):
    content = stored[0].read_bytes()
    if name.endswith("gz"):
        content = gzip.compress(content)
    path = tmp_path / "DOE_JOHN" / name
    path.parent.mkdir()
    path.write_bytes(content[:kept])
    with pytest.raises(ScanError, match="not a readable NIfTI file") as caught:
        read_volume(path)
    assert "DOE" not in str(caught.value)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.txt"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a scan " * 100)
    with pytest.raises(ScanError, match="not a readable NIfTI file"):
        read_volume(tmp_path / name)


def test_a_damaged_compressed_file_is_refused(stored, tmp_path):
    content = bytearray(gzip.compress(stored[0].read_bytes()))
    content[2000:2100] = b"\xff" * 100
    (tmp_path / "scan.nii.gz").write_bytes(content)
    with pytest.raises(ScanError, match="not a readable NIfTI file"):
        read_volume(tmp_path / "scan.nii.gz")


def test_a_missing_file_is_named_as_missing(tmp_path):
    with pytest.raises(ScanError, match=r"^file not found$"):
        read_volume(tmp_path / "absent.nii")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "scan.nii")
    for path in (tmp_path / "scan.nii", tmp_path, Path(os.devnull)):
        with pytest.raises(ScanError, match="no plain file"):
            read_volume(path)


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_must_be_real_numbers(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), dtype), np.eye(4)), tmp_path / "scan.nii")
    with pytest.raises(ScanError, match="real numbers"):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize("value", [40000.0, -40000.0, np.nan, np.inf])
def test_values_that_do_not_fit_are_not_written(tmp_path, value):
    with pytest.raises(ScanError, match="int16"):
        write_volume(tmp_path / "scan.nii", Volume(np.full((3, 4, 5), value), np.eye(4)))
    assert not list(tmp_path.iterdir())
