import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.processing import fwhm2sigma, sigma2fwhm

from datspect.errors import ScanError
from datspect.imaging.orientation import reorient
from datspect.imaging.resampling import resampled_to_mni
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine

WIDTH_MM = 10.0
"""Full width at half maximum of a hot spot in DaT SPECT."""


TIGHT = ((-75.0, -109.0, -45.0), (75.0, 77.0, 83.0))
"""Corners of a view that holds the brain and little else."""


def grid(spacing_mm: float, low=(-95.0, -130.0, -75.0), high=(95.0, 95.0, 112.0)):
    """Return shape and affine (RAS+) of a grid that spans the given corners."""
    shape = tuple(int(np.ceil((top - bottom) / spacing_mm)) + 1 for bottom, top in zip(low, high, strict=True))
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return shape, affine


def world(shape, affine):
    return np.moveaxis(apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1)), -1, 0)


def straight(shape, affine):
    """Return world coordinates of a grid along the world's axes, as three arrays that broadcast."""
    return np.ix_(*(affine[axis, axis] * np.arange(size) + affine[axis, 3] for axis, size in enumerate(shape)))


def spot(points, centre_mm=(27.0, -3.0, 5.0), fwhm_mm=WIDTH_MM):
    x, y, z = (
        np.exp(-0.5 * ((place - centre) / fwhm2sigma(fwhm_mm)) ** 2)
        for place, centre in zip(points, centre_mm, strict=True)
    )
    return (1000 * x * y * z).astype(np.float32)


def measured_fwhm(data, axis):
    """Return the width of a spot from its second moment along one axis, in mm, on the template grid."""
    profile = data.sum(axis=tuple({0, 1, 2} - {axis}))
    place = 2.0 * np.arange(len(profile))
    mean = (profile * place).sum() / profile.sum()
    return sigma2fwhm(np.sqrt((profile * (place - mean) ** 2).sum() / profile.sum()))


def test_a_volume_on_the_template_comes_back_as_it_is(rng):
    volume = Volume(rng.integers(-50, 3000, MNI_SHAPE).astype(np.int16), mni_affine())
    for given in (volume, reorient(volume)):
        result = resampled_to_mni(given)
        np.testing.assert_allclose(result.data, volume.data, atol=1e-3)
        np.testing.assert_array_equal(result.affine, mni_affine())


@pytest.mark.parametrize("spacing_mm", [1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_spot_stays_where_it_is_and_is_no_wider_than_the_larger_voxels_ask(spacing_mm):
    shape, affine = grid(spacing_mm, *TIGHT)
    result = resampled_to_mni(Volume(spot(straight(shape, affine)), affine)).data.astype(np.float64)
    for axis, places in enumerate(straight(MNI_SHAPE, mni_affine())):
        assert (places * result).sum() / result.sum() == pytest.approx((27.0, -3.0, 5.0)[axis], abs=0.05)
        expected = np.sqrt(WIDTH_MM**2 + max(4 - spacing_mm**2, 0))
        assert measured_fwhm(result, axis) == pytest.approx(expected, abs=0.1)


def test_counts_per_volume_are_kept():
    shape, affine = grid(1.0, *TIGHT)
    fine = spot(straight(shape, affine))
    assert resampled_to_mni(Volume(fine, affine)).data.sum() * 8 == pytest.approx(fine.sum(), rel=1e-3)


@pytest.mark.parametrize("cycles_per_mm", [0.02, 0.3, 0.4, 0.5])
def test_detail_that_the_grid_cannot_hold_is_weakened_as_theory_says(cycles_per_mm):
    """A wave passes a Gaussian with exp(-2 (pi sigma f)^2) of its height; sampling at 1 mm repeats it around f = 1."""
    shape, affine = grid(1.0, *TIGHT)
    wave = np.cos(2 * np.pi * cycles_per_mm * straight(shape, affine)[1].astype(np.float32))
    result = resampled_to_mni(Volume(np.broadcast_to(wave, shape), affine)).data[30:60, 30:80, 35:60]
    at = np.add.outer((0.0, cycles_per_mm), (-1.0, 0.0, 1.0))
    nothing, expected = np.exp(-2 * (np.pi * fwhm2sigma(np.sqrt(3.0)) * at) ** 2).sum(axis=1)
    assert np.abs(result).max() == pytest.approx(expected / nothing, abs=0.01)
    assert (expected < 0.4) == (cycles_per_mm > 0.25)


def test_the_grid_of_the_voxels_may_be_turned():
    shape, affine = grid(3.0, low=(-130.0, -160.0, -110.0), high=(130.0, 130.0, 150.0))
    angle = np.radians(12.0)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    result = resampled_to_mni(Volume(spot(world(shape, turn @ affine)), turn @ affine)).data
    np.testing.assert_allclose(result, spot(straight(MNI_SHAPE, mni_affine())), atol=15)


def test_no_value_beyond_those_given_appears(rng):
    shape, affine = grid(3.0)  # white noise, on which splines overshoot most
    result = resampled_to_mni(Volume(rng.integers(0, 32000, shape).astype(np.int16), affine)).data
    assert 0 <= result.min() <= result.max() <= 32000


def test_beyond_the_view_there_is_nothing():
    shape, affine = grid(2.0, low=(-72.0, -106.0, -42.0), high=(72.0, 74.0, 80.0))
    result = resampled_to_mni(Volume(np.ones(shape), affine)).data
    x, y, z = np.broadcast_arrays(*straight(MNI_SHAPE, mni_affine()))
    assert (result[(np.abs(x) > 72) | (y < -106) | (y > 74) | (z < -42) | (z > 80)] == 0).all()
    np.testing.assert_allclose(result[(np.abs(x) < 72) & (y > -106) & (y < 74) & (z > -42) & (z < 80)], 1, atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "missing"),
    [
        ((-95, -130, -75), (95, 95, 58), "18 mm at the top"),
        ((-95, -130, -20), (95, 95, 110), "19 mm at the bottom"),
        ((-95, -130, -75), (95, 40, 110), "31 mm at the front"),
        ((-95, -80, -75), (95, 95, 110), "23 mm at the back"),
        ((-40, -130, -75), (95, 95, 110), "29 mm at one side"),
    ],
)
@pytest.mark.parametrize("is_flipped", [True, False])
def test_a_view_without_the_whole_brain_is_refused_with_what_is_missing(low, high, missing, is_flipped):
    shape, affine = grid(2.0, low=low, high=high)
    volume = Volume(np.ones(shape, np.int16), affine)
    if is_flipped:
        flip = np.diag([-1.0, -1.0, -1.0, 1.0])
        flip[:3, 3] = np.subtract(shape, 1)
        volume = Volume(volume.data, affine @ flip)
    with pytest.raises(ScanError, match="does not cover the brain") as caught:
        resampled_to_mni(volume)
    assert f": {missing} " in str(caught.value)


def test_a_volume_elsewhere_misses_the_brain_altogether():
    shape, affine = grid(2.0)
    affine[2, 3] = 900.0
    with pytest.raises(ScanError, match="at the bottom"):
        resampled_to_mni(Volume(np.ones(shape, np.int16), affine))


def test_an_affine_that_is_none_is_refused():
    with pytest.raises(ScanError, match="affine"):
        resampled_to_mni(Volume(np.ones((3, 3, 3)), np.full((4, 4), np.nan)))
