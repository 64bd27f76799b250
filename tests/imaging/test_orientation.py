import nibabel as nib
import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine

CODES = ["RAS", "LAS", "LPS", "ARS", "SAL", "IPR"]


@pytest.mark.parametrize("codes", CODES)
def test_every_voxel_keeps_its_place_in_space(codes, rng):
    volume = _in_axes(codes, Volume(rng.random((4, 5, 6)), np.diag([2.0, 3.0, 4.0, 1.0])))
    reoriented = reorient(volume)
    assert nib.aff2axcodes(reoriented.affine) == ("R", "A", "S")
    for index in np.ndindex(*volume.data.shape):
        world = volume.affine @ [*index, 1]
        there = np.rint(np.linalg.solve(reoriented.affine, world)).astype(int)[:3]
        assert reoriented.data[tuple(there)] == volume.data[index]


@pytest.mark.parametrize("codes", CODES)
def test_any_axis_order_gives_the_same_ras_volume(codes, rng):
    volume = Volume(rng.random((4, 5, 6)), np.diag([2.0, 2.0, 2.0, 1.0]))
    reoriented = reorient(_in_axes(codes, volume))
    np.testing.assert_array_equal(reoriented.data, volume.data)
    np.testing.assert_allclose(reoriented.affine, volume.affine)


def test_nothing_is_copied():
    volume = Volume(np.zeros(MNI_SHAPE, np.int16), mni_affine())
    assert np.shares_memory(reorient(volume).data, volume.data)


def test_the_mni_grid_starts_left_behind_below():
    np.testing.assert_array_equal(mni_ras_affine() @ [0, 0, 0, 1], [-90, -126, -72, 1])
    np.testing.assert_array_equal(np.diag(mni_ras_affine()), [2, 2, 2, 1])


def test_a_fourth_dimension_is_refused():
    with pytest.raises(ScanError, match=r"expected a 3-D volume, got shape \(4, 5, 6, 2\)"):
        reorient(Volume(np.zeros((4, 5, 6, 2)), np.eye(4)))


@pytest.mark.parametrize("affine", [np.diag([2.0, 2.0, 0.0, 1.0]), np.full((4, 4), np.nan)])
def test_an_affine_without_inverse_is_refused(affine):
    with pytest.raises(ScanError, match="affine"):
        reorient(Volume(np.zeros((4, 5, 6)), affine))


def _in_axes(codes: str, volume: Volume) -> Volume:
    image = nib.Nifti1Image(volume.data, volume.affine)
    target = nib.orientations.axcodes2ornt(codes)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(volume.affine), target))
    return Volume(np.asarray(image.dataobj), image.affine)
