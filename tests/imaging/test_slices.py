import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.slices import axial_slices, resize
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine


def _ras(data):
    return Volume(data, mni_ras_affine())


def test_a_known_voxel_lands_at_its_pixel():
    data = np.zeros(MNI_SHAPE, np.int16)
    data[10, 100, 41] = 5  # left, anterior
    image = axial_slices(_ras(data), [40, 41, 42])
    assert image.shape == (109, 91, 3)
    assert np.argwhere(image).tolist() == [[8, 10, 1]]


def test_rows_run_anterior_to_posterior_and_columns_left_to_right_in_mm():
    x, y, _ = np.meshgrid(*(np.arange(size) for size in MNI_SHAPE), indexing="ij")
    affine = mni_ras_affine()
    image_x = axial_slices(_ras(affine[0, 0] * x + affine[0, 3]), [40])[:, :, 0]
    image_y = axial_slices(_ras(affine[1, 1] * y + affine[1, 3]), [40])[:, :, 0]
    np.testing.assert_array_equal(image_x[0], np.arange(-90, 91, 2))
    np.testing.assert_array_equal(image_y[:, 0], np.arange(90, -127, -2))


def test_a_horizontal_flip_is_a_left_right_flip(rng):
    data = rng.random(MNI_SHAPE)
    image = axial_slices(_ras(data), [40, 41, 42])
    mirrored = axial_slices(_ras(data[::-1]), [40, 41, 42])
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    np.testing.assert_array_equal(mirrored[:, ::-1], image)


def test_stored_left_to_right_or_right_to_left_gives_the_same_image(rng):
    data = rng.random(MNI_SHAPE)
    las = Volume(data[::-1], mni_affine())
    np.testing.assert_array_equal(axial_slices(reorient(las), [1, 2, 3]), axial_slices(_ras(data), [1, 2, 3]))


def test_slices_count_from_zero_and_keep_their_order():
    data = np.broadcast_to(np.arange(91), MNI_SHAPE)
    assert axial_slices(_ras(data), [0, 90, 41])[0, 0].tolist() == [0, 90, 41]


def test_a_slice_beyond_the_volume_is_refused():
    with pytest.raises(ScanError, match=r"\[91\] do not exist; the volume has slices 0 to 90"):
        axial_slices(_ras(np.zeros(MNI_SHAPE)), [40, 41, 91])


def test_resizing_to_the_same_size_changes_nothing(rng):
    image = rng.random((109, 91, 3))
    np.testing.assert_allclose(resize(image, 109, 91), image, atol=1e-12)


def test_resizing_a_ramp_keeps_the_ramp():
    ramp = np.tile(np.arange(20.0)[:, None, None], (1, 8, 3))
    larger = resize(ramp, 40, 8)
    np.testing.assert_allclose(np.diff(larger[1:-1, 0, 0]), 0.5)
    assert larger.mean() == pytest.approx(ramp.mean())


def test_shrinking_fades_a_checkerboard_to_its_mean():
    checkerboard = np.indices((64, 64)).sum(0)[..., None] % 2 * np.ones(3)
    np.testing.assert_allclose(resize(checkerboard, 16, 16)[2:-2, 2:-2], 0.5, atol=0.02)


def test_resizing_stays_in_range_and_commutes_with_a_flip(rng):
    image = rng.random((109, 91, 3))
    for size in [(256, 256), (75, 75), (299, 80)]:
        resized = resize(image, *size)
        assert resized.shape == (*size, 3)
        assert resized.min() >= 0
        assert resized.max() <= 1
        np.testing.assert_allclose(resize(image[:, ::-1], *size), resized[:, ::-1], atol=1e-12)
