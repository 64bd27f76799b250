import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from datspect.imaging.alterations import (
    ALTERATIONS,
    GLAND_MM,
    NOISE_FWHM_MM,
    Original,
    Row,
    altered,
    rows,
)
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import mni_affine_of, striatal_regions
from datspect.imaging.striatal_box import brain_uptake, brain_voxels
from datspect.imaging.volume import FWHM_PER_SD, MNI_SHAPE

Z_OFFSET = 4.0
AFFINE = mni_affine_of(mni_ras_affine(), Z_OFFSET)


def blob(at_mm, fwhm_mm=12.0, uptake=100.0):
    """Uptake of a Gaussian spot, MNI mm, on a scan that lies as the cohort's."""
    grids = np.meshgrid(*(np.arange(n) for n in MNI_SHAPE), indexing="ij", sparse=True)
    squares = sum(
        ((AFFINE[axis, axis] * grid + AFFINE[axis, 3]) - at) ** 2
        for axis, (grid, at) in enumerate(zip(grids, at_mm, strict=True))
    )
    return (uptake * np.exp(-0.5 * squares * (FWHM_PER_SD / fwhm_mm) ** 2)).astype(np.float32)


def row(name, which=-1):
    return rows([name])[which]


def original(data, scan_id="S1", seed=1):
    return Original(data, Z_OFFSET, seed, scan_id)


def centre_mm(data):
    return (AFFINE @ [*center_of_mass(data), 1.0])[:3]


def fwhm_mm(data, axis):
    other = tuple(each for each in range(3) if each != axis)
    profile = data.sum(axis=other)
    places = 2.0 * np.arange(len(profile))
    mean = np.average(places, weights=profile)
    return FWHM_PER_SD * np.sqrt(np.average((places - mean) ** 2, weights=profile))


SPOT = blob((20.0, 10.0, 6.0))


@pytest.fixture(scope="module")
def head():
    """A level brain of uptake 50 in air, hotter striata."""
    data = np.zeros(MNI_SHAPE, np.float32)
    data[12:79, 15:95, 10:82] = 50.0
    return data + blob((25, 5, 0)) + blob((-25, 5, 0))


def test_blurs_add_as_widths_of_gaussians_and_keep_all_counts():
    for one in rows(["blur"]):
        after = altered(original(SPOT), one)
        for axis in range(3):
            assert fwhm_mm(after, axis) == pytest.approx(np.hypot(12.0, one.strength), rel=0.01)
        assert after.sum() == pytest.approx(SPOT.sum(), rel=1e-4)


def test_noise_has_its_sd_at_the_brains_uptake_and_grows_with_the_root_of_the_counts():
    level = np.full(MNI_SHAPE, 100.0, np.float32)
    for one in rows(["noise"]):
        inside = (altered(original(level), one) - level)[10:-10, 10:-10, 10:-10]
        assert inside.std() == pytest.approx(one.strength, rel=0.05)  # per cent of 100
        assert inside.mean() == pytest.approx(0, abs=0.05 * one.strength)
    level[:45] = 25.0
    level[45] = 100.0
    uptake = brain_uptake(level, brain_voxels(Z_OFFSET))
    difference = altered(original(level), row("noise", 0)) - level
    quiet, loud = difference[10:40, 10:-10, 10:-10].std(), difference[50:80, 10:-10, 10:-10].std()
    assert loud / quiet == pytest.approx(2, rel=0.1)
    assert loud == pytest.approx(0.03 * np.sqrt(uptake * 100.0), rel=0.07)


def test_noise_is_correlated_as_what_a_filter_leaves():
    noise = original(SPOT).noise
    for axis in range(3):
        apart = NOISE_FWHM_MM / 2  # voxels of 2 mm: as far apart as the filter is wide
        n = round(apart)
        one, other = (noise.take(range(start, start + 80), axis) for start in (0, n))
        expected = np.exp(-0.25 * (2.0 * n * FWHM_PER_SD / NOISE_FWHM_MM) ** 2)
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(expected, abs=0.03)


def test_noise_of_all_strengths_is_one_pattern_that_seed_and_scan_alone_decide():
    level = np.full(MNI_SHAPE, 100.0, np.float32)
    weak, strong = (altered(original(level), one) - level for one in (row("noise", 0), row("noise", -1)))
    np.testing.assert_allclose(strong, weak * (10.0 / 3.0), atol=0.01)
    np.testing.assert_array_equal(original(SPOT).noise, original(2 * SPOT).noise)
    for other in (original(SPOT, "S2"), original(SPOT, seed=2)):
        assert abs(np.corrcoef(original(SPOT).noise.ravel(), other.noise.ravel())[0, 1]) < 0.01


def test_grey_levels_are_as_many_as_said_and_the_peak_stays(head):
    for one in rows(["grey_levels"]):
        after = altered(original(head), one)
        step = head.max() / (one.strength - 1)
        assert len(np.unique(after)) <= one.strength
        assert after.max() == pytest.approx(head.max(), rel=1e-6)
        assert np.abs(after - head).max() <= step / 2 + 1e-3


def test_moves_shift_the_centre_by_as_much_and_keep_all_counts():
    before = centre_mm(SPOT)
    for name, axis in (("up", 2), ("aside", 0)):
        for one in rows([name]):
            scan = original(SPOT)
            after = altered(scan, one)
            moved = centre_mm(after) - before
            sign = 1 if name == "up" else scan.side
            assert moved[axis] == pytest.approx(sign * one.strength, abs=0.02)
            assert np.abs(np.delete(moved, axis)).max() < 0.01
            assert after.sum() == pytest.approx(SPOT.sum(), rel=1e-3)


def test_turns_are_right_handed_by_as_many_degrees_about_the_origin():
    at = np.array([20.0, 10.0, 6.0])
    for name, axis in (("nod", 0), ("tilt", 1), ("turn", 2)):
        for one in rows([name]):
            scan = original(SPOT)
            first, second = ((1, 2), (2, 0), (0, 1))[axis]
            angle = np.deg2rad(scan.side * one.strength)
            expected = at.copy()
            expected[first] = np.cos(angle) * at[first] - np.sin(angle) * at[second]
            expected[second] = np.sin(angle) * at[first] + np.cos(angle) * at[second]
            after = altered(scan, one)
            np.testing.assert_allclose(centre_mm(after), expected, atol=0.03)
            assert after.sum() == pytest.approx(SPOT.sum(), rel=2e-3)
            assert fwhm_mm(after, axis) == pytest.approx(12.0, rel=0.02)


def test_sizes_stretch_places_and_widths_about_the_origin():
    at = np.array([20.0, 10.0, 6.0])
    for name, sign in (("larger", 1), ("smaller", -1)):
        for one in rows([name]):
            after = altered(original(SPOT), one)
            factor = 1 + sign * one.strength / 100
            np.testing.assert_allclose(centre_mm(after), factor * at, atol=0.03)
            assert fwhm_mm(after, 1) == pytest.approx(factor * fwhm_mm(SPOT, 1), rel=0.01)
    after = altered(original(SPOT), row("narrower"))
    np.testing.assert_allclose(centre_mm(after), at * [0.94, 1, 1], atol=0.03)
    assert fwhm_mm(after, 0) == pytest.approx(0.94 * fwhm_mm(SPOT, 0), rel=0.01)
    assert fwhm_mm(after, 2) == pytest.approx(fwhm_mm(SPOT, 2), rel=0.001)


def test_gain_and_offset_change_all_voxels_alike(head):
    scan = original(head)
    np.testing.assert_allclose(altered(scan, row("gain")), 4 * head, rtol=1e-6)
    np.testing.assert_allclose(altered(scan, row("offset")) - head, 0.2 * scan.uptake, rtol=1e-4)


def test_the_hot_voxel_is_alone_in_the_brain_at_the_height_of_the_papers_slices(head):
    boxes = striatal_regions(MNI_SHAPE, mni_ras_affine(), Z_OFFSET).striatal_box
    for number in range(20):
        scan = original(head, f"S{number}")
        changed = np.argwhere(altered(scan, row("hot_voxel")) != head)
        assert len(changed) == 1
        assert head[tuple(changed[0])] > 0
        assert changed[0][2] in (40, 41, 42)
        assert not all(part.start <= at < part.stop for part, at in zip(boxes, changed[0], strict=True))
    assert altered(scan, row("hot_voxel")).max() == pytest.approx(4 * head.max())


def test_the_gland_lies_to_one_side_and_leaves_the_striata_as_they_are(head):
    scan = original(head)
    added = altered(scan, row("gland")) - head
    x, y, z = GLAND_MM
    np.testing.assert_allclose(centre_mm(added), [scan.side * x, y, z], atol=0.5)
    assert added.max() == pytest.approx(2 * head.max(), rel=0.02)
    assert added[striatal_regions(MNI_SHAPE, mni_ras_affine(), Z_OFFSET).striatal_box].max() < 1e-3 * head.max()


def test_a_field_of_view_ends_above_and_below_and_holds_the_striata(head):
    for one in rows(["field_of_view"]):
        after = altered(original(head + 1), one)
        seen = np.flatnonzero(after.any(axis=(0, 1)))
        assert 2 * len(seen) == pytest.approx(one.strength, abs=2)
        np.testing.assert_array_equal(after[:, :, seen], (head + 1)[:, :, seen])
        assert {36, 41, 46} <= set(seen)


def test_sides_exchanged_twice_are_the_scan_itself(head):
    head = head + blob((40, -20, 0))
    once = altered(original(head), row("sides"))
    assert not np.array_equal(once, head)
    np.testing.assert_array_equal(altered(original(once), row("sides")), head)


def test_sides_and_halves_are_drawn_evenly():
    scans = [original(np.ones((1, 1, 1)), f"S{number}") for number in range(400)]
    assert abs(np.mean([scan.side for scan in scans])) < 0.15
    assert np.mean([scan.is_chosen for scan in scans]) == pytest.approx(0.5, abs=0.08)
    assert abs(np.corrcoef([scan.side for scan in scans], [scan.is_chosen for scan in scans])[0, 1]) < 0.15


def test_no_alteration_writes_into_the_original(head):
    scan, kept = original(head), head.copy()
    for one in rows(ALTERATIONS):
        after = altered(scan, one)
        assert after.shape == MNI_SHAPE
        assert after.dtype == np.float32
        assert np.isfinite(after).all()
    np.testing.assert_array_equal(scan.data, kept)


def test_rows_have_names_of_their_own_and_say_what_was_done():
    names = [one.name for one in rows(ALTERATIONS)]
    assert len(set(names)) == len(names)
    assert row("blur").name == "blur_8"
    assert row("blur").text == "blurred by 8 mm FWHM more"
    assert row("blur").title == "blur, 8 mm FWHM"
    assert row("sides").name == row("sides").title == "sides"
    assert [one.is_largest for one in rows(["blur"])] == [False, False, True]
    assert Row(ALTERATIONS["blur"], 18.0).name == "blur_18"
