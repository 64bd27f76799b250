import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from datspect.imaging.passes import along, blurring, moving, turned

SHAPE = (40, 44, 36)


@pytest.fixture
def lump():
    rng = np.random.default_rng(3)
    data = np.zeros(SHAPE, np.float32)
    data[16:24, 17:27, 15:21] = rng.random((8, 10, 6))
    return gaussian_filter(data, 2.0)


def test_blurring_is_a_gaussian_filter(lump):
    expected = gaussian_filter(lump, 1.7, mode="nearest", truncate=8)
    for axis, n in enumerate(SHAPE):
        expected_along = gaussian_filter(lump, [1.7 if each == axis else 0 for each in range(3)], truncate=8)
        np.testing.assert_allclose(along(lump, axis, blurring(n, 1.7 * 2.3548)), expected_along, atol=2e-4)
    blurred = lump
    for axis, n in enumerate(SHAPE):
        blurred = along(blurred, axis, blurring(n, 1.7 * 2.3548))
    np.testing.assert_allclose(blurred, expected, atol=5e-4)


def test_a_constant_stays_where_it_is_blurred():
    np.testing.assert_allclose(along(np.ones(SHAPE, np.float32), 1, blurring(44, 5.0)), 1, rtol=1e-5)


def test_moving_by_whole_voxels_is_a_roll_and_air_comes_in(lump):
    for axis, n in enumerate(SHAPE):
        np.testing.assert_allclose(along(lump, axis, moving(n, 2.0)), np.roll(lump, 2, axis), atol=1e-6)
        assert not along(np.ones(SHAPE, np.float32), axis, moving(n, 2.0)).take([0, 1], axis).any()


def test_moving_forth_and_back_by_parts_of_a_voxel_gives_nearly_the_same(lump):
    back = along(along(lump, 0, moving(40, 0.5)), 0, moving(40, -0.5))
    np.testing.assert_allclose(back, lump, atol=0.01 * lump.max())


def test_stretching_keeps_the_centre():
    data = np.zeros(SHAPE, np.float32)
    data[20, 22, 18] = 1
    smooth = gaussian_filter(data, 2.0)
    stretched = along(smooth, 0, moving(40, 0.0, 1.1, 20.0))
    profile = stretched.sum(axis=(1, 2))
    assert np.average(np.arange(40), weights=profile) == pytest.approx(20, abs=0.01)
    assert np.average((np.arange(40) - 20.0) ** 2, weights=profile) == pytest.approx((1.1 * 2) ** 2, rel=0.02)


def test_turning_is_what_scipy_does_and_back_again(lump):
    centre = tuple((n - 1) / 2 for n in SHAPE)
    for axis, degrees in ((0, 7.0), (1, -7.0), (2, 7.0)):  # scipy turns from the first axis to the second
        planes = tuple(each for each in range(3) if each != axis)
        expected = rotate(lump, degrees, axes=planes, reshape=False, order=3)
        found = turned(lump, axis, 7.0, centre)
        np.testing.assert_allclose(found, expected, atol=0.02 * lump.max())
        np.testing.assert_allclose(turned(found, axis, -7.0, centre), lump, atol=0.02 * lump.max())


def test_turning_by_a_right_angle_moves_voxels():
    data = np.zeros((9, 9, 9), np.float32)
    data[6, 4, 4] = 1  # along x from the centre
    np.testing.assert_allclose(turned(data, 2, 90.0, (4, 4, 4))[4, 6, 4], 1, atol=1e-6)  # to y
