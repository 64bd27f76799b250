"""Smoothing is a Gaussian in millimetres, whatever the voxels."""

import numpy as np
import pytest

from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import FWHM_PER_SD, Volume, smoothed


@pytest.mark.parametrize("voxel_mm", [(2.0, 2.0, 2.0), (2.0, 3.0, 1.5)])
def test_a_point_becomes_a_gaussian_of_the_width_asked_for(voxel_mm: tuple[float, float, float]) -> None:
    point = np.zeros((41, 41, 41), np.int16)
    point[20, 20, 20] = 1000
    found = smoothed(Volume(point, np.diag([*voxel_mm, 1.0])), 9.0).data / 1000
    assert found.dtype == np.float32
    assert found.sum() == pytest.approx(1, abs=1e-4)
    for axis, size_mm in enumerate(voxel_mm):
        profile = found.sum(axis=tuple({0, 1, 2} - {axis}))
        variance_mm2 = (profile * ((np.arange(41) - 20) * size_mm) ** 2).sum()
        assert np.sqrt(variance_mm2) * FWHM_PER_SD == pytest.approx(9.0, rel=0.01)  # tails beyond 4 sd are cut


def test_smoothing_keeps_what_is_even_and_commutes_with_gain() -> None:
    even = Volume(np.full((9, 9, 9), 7.0), mni_ras_affine())
    np.testing.assert_allclose(smoothed(even, 18.0).data, 7.0, rtol=1e-6)
    noise = Volume(np.random.default_rng(1).random((9, 9, 9)), mni_ras_affine())
    louder = Volume(5 * noise.data, noise.affine)
    np.testing.assert_allclose(smoothed(louder, 6.0).data, 5 * smoothed(noise, 6.0).data, rtol=1e-5)
