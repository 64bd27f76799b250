"""What a volume looks like apart from its striata, against what was put into it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from datspect.errors import EmptyRegionError
from datspect.imaging.appearance import APPEARANCE, appearance
from datspect.imaging.striatal_box import brain_voxels
from datspect.imaging.volume import FWHM_PER_SD, MNI_SHAPE


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """Uptake 1 in a large ellipsoid, none around it."""
    x, y, z = np.ogrid[tuple(slice(size) for size in MNI_SHAPE)]
    inside = ((x - 45) / 38) ** 2 + ((y - 54) / 48) ** 2 + ((z - 46) / 40) ** 2 < 1
    return inside.astype(np.float64)


def noisy(head: np.ndarray, sd: float) -> np.ndarray:
    return head + sd * np.random.default_rng(1).standard_normal(MNI_SHAPE)


def test_an_even_brain_in_empty_air_without_noise_has_none_of_it(head: np.ndarray) -> None:
    assert appearance(head, 4.0) == dict.fromkeys(APPEARANCE, pytest.approx(0.0, abs=1e-6))


def test_the_scale_of_a_scan_does_not_matter(head: np.ndarray) -> None:
    scan = noisy(head, 0.1)
    assert appearance(4 * scan, 4.0) == pytest.approx(appearance(scan, 4.0), rel=1e-4)


def test_grain_is_the_noise_between_the_filters(head: np.ndarray) -> None:
    """White noise of sd 1: what is left of it has the difference of the filters' impulse responses, squared, summed."""
    point = np.zeros((41, 41, 41))
    point[20, 20, 20] = 1
    fine, coarse = (gaussian_filter(point, mm / FWHM_PER_SD / 2) for mm in (4, 8))
    expected = 0.1 * np.sqrt(((fine - coarse) ** 2).sum())
    assert appearance(noisy(head, 0.1), 4.0)["grain"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("z_offset_voxels", [2.5, -20.0, 25.0])  # at the others a filter reaches beyond the volume
def test_grain_is_that_of_filters_over_the_whole_volume(head: np.ndarray, z_offset_voxels: float) -> None:
    scan, brain = noisy(np.ones_like(head), 0.1).astype(np.float32), brain_voxels(z_offset_voxels)
    fine, coarse = (gaussian_filter(scan, mm / FWHM_PER_SD / 2, truncate=3.0) for mm in (4, 8))
    band = (fine - coarse)[brain]
    deviation = float(np.median(np.abs(band - np.median(band))))
    expected = 1.4826 * deviation / float(np.median(scan[brain]))
    assert appearance(scan, z_offset_voxels)["grain"] == pytest.approx(expected, rel=1e-4)


def test_the_order_of_axes_in_memory_does_not_matter(head: np.ndarray) -> None:
    scan = noisy(head, 0.1).astype(np.float32)
    assert appearance(np.asfortranarray(scan), 4.0) == appearance(scan, 4.0)


def test_blur_and_few_grey_levels_lower_the_grain(head: np.ndarray) -> None:
    scan = gaussian_filter(noisy(head, 1.0), 1.5)
    plain = appearance(scan, 4.0)["grain"]
    assert appearance(gaussian_filter(scan, 2.0), 4.0)["grain"] < 0.5 * plain
    brain = np.abs(scan - 1) < 0.5  # noise that does not reach the next grey level is lost
    assert brain[brain_voxels(4.0)].all()
    assert appearance(np.rint(scan), 4.0)["grain"] < 0.01 * plain


def test_a_hot_voxel_and_a_hot_striatum_change_nothing(head: np.ndarray) -> None:
    scan = noisy(head, 0.1)
    hot = scan.copy()
    hot[38:52, 52:70, 38:44] += 3
    hot[30, 40, 60] = 1000 * scan.max()
    before, after = appearance(scan, 4.0), appearance(hot, 4.0)
    assert after["grain"] == pytest.approx(before["grain"], rel=0.02)
    assert after["air"] == pytest.approx(before["air"])


def test_a_cut_through_the_brain_and_another_scale_make_it_uneven(head: np.ndarray) -> None:
    scan = noisy(head, 0.1) + 0.2 * (np.arange(109)[:, None] > 54)
    cut = scan.copy()
    cut[:, :, :40] = 0
    plain = appearance(scan, 4.0)["unevenness"]
    assert appearance(cut, 4.0)["unevenness"] > 2 * plain
    assert appearance(np.maximum(scan, 0) ** 2, 4.0)["unevenness"] > 1.5 * plain
    assert appearance(scan + 2, 4.0)["unevenness"] == pytest.approx(plain / 3, rel=0.1)


def test_air_is_what_an_offset_adds_over_the_brain(head: np.ndarray) -> None:
    assert appearance(head + 0.5, 4.0)["air"] == pytest.approx(0.5 / 1.5)
    assert appearance(head - 0.5, 4.0)["air"] == pytest.approx(1.0)  # whatever its sign


def test_a_head_that_lies_elsewhere_fills_the_air(head: np.ndarray) -> None:
    assert appearance(np.roll(head, 20, axis=0), 4.0)["air"] > 0.02


def test_without_a_brain_there_is_nothing_to_measure(head: np.ndarray) -> None:
    head = head.copy()
    head[brain_voxels(4.0)] = 0
    with pytest.raises(EmptyRegionError, match="median over the brain is 0"):
        appearance(head, 4.0)
