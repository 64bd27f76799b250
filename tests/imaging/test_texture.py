"""Texture: it follows the noise of a scan, and neither its gain nor what the striata do."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from datspect.imaging.striatal_box import BOX_CENTRES_MM, BOX_SHAPE, VOXEL_MM
from datspect.imaging.texture import FAR_MM, NEAR_MM, texture


def noisy(rng: np.random.Generator, sd: float, fwhm_mm: float = 0.0) -> np.ndarray:
    noise = rng.normal(size=BOX_SHAPE)
    if fwhm_mm:
        noise = gaussian_filter(noise, fwhm_mm / 2.3548 / VOXEL_MM)
        noise /= noise.std()
    return 1 + sd * noise


def test_white_noise_of_a_known_size_is_measured(rng):
    found = texture(noisy(rng, 0.1))
    assert found.roughness == pytest.approx(0.1 * np.sqrt(2), rel=0.02)
    assert found.fineness == pytest.approx(1.0, abs=0.02)


def test_a_slope_has_the_fineness_of_its_distances():
    slope = np.broadcast_to(1 + 0.01 * np.arange(BOX_SHAPE[0])[:, None, None], BOX_SHAPE)
    found = texture(slope)
    assert found.fineness == pytest.approx(NEAR_MM / FAR_MM)
    assert found.roughness == pytest.approx(0.01 * FAR_MM / VOXEL_MM / np.sqrt(3), rel=1e-6)  # flat along two axes


def test_smoother_noise_is_less_fine(rng):
    fineness = [texture(noisy(rng, 0.1, fwhm_mm)).fineness for fwhm_mm in (4, 6, 8, 12)]
    assert fineness == sorted(fineness, reverse=True)


def test_what_the_striata_do_changes_nothing(rng):
    scan = noisy(rng, 0.1, 6)
    x, y, z = np.meshgrid(
        *(np.linspace(*ends, n) for ends, n in zip(BOX_CENTRES_MM, BOX_SHAPE, strict=True)), indexing="ij"
    )
    striata = ((np.abs(x) - 22) / 12) ** 2 + ((y - 2) / 20) ** 2 + ((z - 2) / 10) ** 2 < 1
    assert texture(scan + 3 * striata) == texture(scan)


def test_an_empty_box_has_none():
    assert texture(np.ones(BOX_SHAPE)) == (0.0, 0.0)
