import numpy as np
import pytest

from datspect.imaging.volume import MNI_SHAPE
from datspect.params.data import PhantomParams
from datspect.phantom.acquisition import (
    STORED_VALUES_PER_COUNT,
    Acquisition,
    acquire,
    blur,
    draw_acquisition,
    draw_site,
)

SHAPE = (40, 40, 40)


@pytest.fixture
def uniform() -> np.ndarray:
    activity = np.zeros(SHAPE, dtype=np.float32)
    activity[8:32, 8:32, 8:32] = 1
    return activity


def test_a_points_image_has_the_blurs_width_and_keeps_its_activity():
    point = np.zeros(SHAPE, dtype=np.float32)
    point[20, 20, 20] = 1
    image = blur(point, fwhm_mm=10.0)
    assert image.sum() == pytest.approx(1, abs=1e-3)
    distance_mm = 2.0 * (np.arange(40) - 20)
    for axis in range(3):
        profile = image.sum(axis=tuple(set(range(3)) - {axis}))
        assert 2.355 * np.sqrt((profile * distance_mm**2).sum()) == pytest.approx(10.0, rel=0.02)


def test_blurring_several_volumes_at_once_does_not_mix_them():
    stack = np.random.default_rng(0).random((3, 20, 20, 20)).astype(np.float32)
    for volume, blurred in zip(stack, blur(stack, 6.0), strict=True):
        np.testing.assert_allclose(blurred, blur(volume, 6.0), atol=1e-6)


def test_a_scan_holds_its_counts_times_the_gain(uniform, rng):
    scan = acquire(uniform, Acquisition("site01", 9.0, counts=2e5, gain=1.1), 6.0, rng)
    assert scan.dtype == np.int16
    assert scan.sum(dtype=float) == pytest.approx(2e5 * 1.1 * STORED_VALUES_PER_COUNT, rel=0.01)


def test_more_counts_are_less_noise(uniform, rng):
    def relative_noise(counts: float) -> float:
        inside = acquire(uniform, Acquisition("site01", 4.0, counts, 1.0), 6.0, rng)[14:26, 14:26, 14:26]
        return float(inside.std() / inside.mean())

    assert relative_noise(2e4) / relative_noise(8e4) == pytest.approx(2, rel=0.2)


def test_neighbouring_voxels_share_their_noise(uniform, rng):
    """A Gaussian filter of standard deviation s gives neighbours the correlation exp(-1 / (4 s^2))."""
    scan = acquire(uniform, Acquisition("site01", 4.0, 1e5, 1.0), 6.0, rng).astype(float)[13:27, 13:27, 13:27]
    correlation = np.corrcoef(scan[:-1].ravel(), scan[1:].ravel())[0, 1]
    sd_voxels = 6.0 / 2.355 / 2.0
    assert correlation == pytest.approx(np.exp(-1 / (4 * sd_voxels**2)), abs=0.05)


def test_sites_differ_within_their_ranges(phantom_params):
    sites = [draw_site(f"site{i}", phantom_params, np.random.default_rng(i)) for i in range(200)]
    lowest, highest = phantom_params.site_counts
    counts = np.array([site.counts for site in sites]) / (phantom_params.counts_millions * 1e6)
    widths = np.array([site.intrinsic_fwhm_mm for site in sites]) - phantom_params.intrinsic_fwhm_mm
    gains = np.array([site.gain for site in sites]) - 1
    assert counts.min() >= lowest
    assert counts.max() <= highest
    assert np.abs(widths).max() <= phantom_params.site_fwhm_mm
    assert np.abs(gains).max() <= phantom_params.site_gain
    assert all(values.std() > 0.2 * np.ptp(values) for values in (counts, widths, gains))


def test_site_counts_in_the_wrong_order_are_refused(phantom_params):
    values = phantom_params.model_dump() | {"site_counts": [1.5, 0.6]}
    with pytest.raises(ValueError, match="must not exceed the second"):
        PhantomParams.model_validate(values)


def test_larger_sites_make_more_scans(phantom_params, rng):
    sites = tuple(draw_site(f"site{i:02d}", phantom_params, np.random.default_rng(i)) for i in range(5))
    drawn = [draw_acquisition(sites, rng).site for _ in range(4000)]
    sizes = np.array([site.size for site in sites])
    shares = [drawn.count(site.name) / len(drawn) for site in sites]
    assert shares == pytest.approx(sizes / sizes.sum(), abs=0.03)


def test_the_brightest_scan_fits_into_the_stored_integers(rng):
    hot = np.ones(MNI_SHAPE, dtype=np.float32)
    hot[40:50, 50:60, 40:50] = 15
    assert acquire(hot, Acquisition("site01", 7.5, 7e6, 1.12), 6.0, rng).max() < np.iinfo(np.int16).max
