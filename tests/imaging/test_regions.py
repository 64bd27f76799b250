from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import (
    NUCLEI,
    SIDES,
    Ellipsoid,
    VoxelIndices,
    ellipsoid_fractions,
    mni_affine_of,
    occipital_mask,
    striatal_regions,
    striatal_structures,
    structure,
    structure_fractions,
    structure_mask,
)
from datspect.imaging.volume import MNI_SHAPE, mni_affine

UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SMALL_SHAPE = (41, 43, 45)
SMALL_AFFINE = np.array([[2.0, 0, 0, -40], [0, 2, 0, -42], [0, 0, 2, -44], [0, 0, 0, 1]])
semi_axis = st.floats(5, 18)
offset = st.floats(-5, 5)


def mask_of(indices: VoxelIndices) -> np.ndarray:
    mask = np.zeros(MNI_SHAPE, dtype=bool)
    mask[indices] = True
    return mask


@given(st.tuples(offset, offset, offset), st.tuples(semi_axis, semi_axis, semi_axis))
def test_an_ellipsoids_fractions_add_up_to_its_volume_and_centre(centre, semi_axes):
    ellipsoid = Ellipsoid(centre, semi_axes, UPRIGHT)
    fractions = ellipsoid_fractions(ellipsoid, SMALL_SHAPE, SMALL_AFFINE)
    assert fractions.min() >= 0
    assert fractions.max() <= 1
    assert fractions.sum() * 8 == pytest.approx(4 / 3 * np.pi * np.prod(semi_axes), rel=0.06)
    voxels = np.argwhere(fractions > 0)
    weights = fractions[fractions > 0]
    centroid = (voxels * weights[:, None]).sum(axis=0) / weights.sum() * 2 + SMALL_AFFINE[:3, 3]
    assert centroid == pytest.approx(np.array(centre), abs=0.15)


def test_a_turned_ellipsoid_is_the_upright_one_seen_through_a_turned_affine():
    turn = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    upright = Ellipsoid((3, 4, 5), (6, 9, 12), UPRIGHT)
    turned = Ellipsoid((-4, 3, 5), (6, 9, 12), ((0, 1, 0), (-1, 0, 0), (0, 0, 1)))
    expected = ellipsoid_fractions(upright, SMALL_SHAPE, SMALL_AFFINE)
    np.testing.assert_allclose(ellipsoid_fractions(turned, SMALL_SHAPE, turn @ SMALL_AFFINE), expected, atol=1e-5)


def test_scaling_keeps_the_centre_and_moving_keeps_the_size():
    ellipsoid = Ellipsoid((1, 2, 3), (4, 5, 6), UPRIGHT)
    assert ellipsoid.scaled(0.5) == Ellipsoid((1, 2, 3), (2, 2.5, 3), UPRIGHT)
    assert ellipsoid.moved(np.array([1.0, 0, -1])) == Ellipsoid((2, 2, 2), (4, 5, 6), UPRIGHT)


@pytest.mark.parametrize(("name", "millilitres"), [("caudate", 3.9), ("accumbens", 0.55), ("pallidum", 2.0)])
def test_nuclei_have_about_their_published_volume(name, millilitres):
    fractions = structure_fractions(structure(name, "left"), MNI_SHAPE, mni_affine())
    assert fractions.sum() * 8e-3 == pytest.approx(millilitres, rel=0.05)


@pytest.mark.parametrize("nucleus", NUCLEI)
def test_left_and_right_mirror_each_other_and_are_the_patients(nucleus):
    left, right = (structure_fractions(structure(nucleus, side), MNI_SHAPE, mni_affine()) for side in SIDES)
    np.testing.assert_allclose(left, right[::-1], atol=1e-5)
    x_mm = 90 - 2 * np.nonzero(left > 0.5)[0]  # the x axis of this affine runs right to left
    assert x_mm.max() < 0


def test_the_putamens_halves_meet_at_y_0_and_make_the_whole():
    whole, anterior, posterior = (
        structure_fractions(structure(name, "right"), MNI_SHAPE, mni_affine())
        for name in ("putamen", "putamen_anterior", "putamen_posterior")
    )
    np.testing.assert_allclose(anterior + posterior, whole, atol=1e-6)
    y_index_of_0 = 63
    assert not anterior[:, :y_index_of_0].any()
    assert not posterior[:, y_index_of_0 + 1 :].any()


def test_nuclei_barely_overlap():
    total = sum(structure_fractions(s, MNI_SHAPE, mni_affine()) for s in striatal_structures().values())
    # They are fitted to blurred scans, each by itself; what overlaps belongs to one of them in the phantom.
    assert np.maximum(total - 1, 0).sum() < 0.06 * total.sum()


def test_regions_are_the_same_places_on_a_flipped_grid():
    stored = striatal_regions(MNI_SHAPE, mni_affine(), 3.0)
    reoriented = striatal_regions(MNI_SHAPE, mni_ras_affine(), 3.0)
    for name, indices in stored.targets.items():
        np.testing.assert_array_equal(mask_of(indices)[::-1], mask_of(reoriented.targets[name]))
    np.testing.assert_array_equal(mask_of(stored.reference)[::-1], mask_of(reoriented.reference))


@given(st.integers(-8, 8))
def test_a_z_offset_lifts_every_region_by_that_many_slices(n_voxels):
    stored = structure_mask(structure("caudate", "left"), MNI_SHAPE, mni_affine_of(mni_affine(), n_voxels))
    in_mni = structure_mask(structure("caudate", "left"), MNI_SHAPE, mni_affine())
    np.testing.assert_array_equal(stored, np.roll(in_mni, n_voxels, axis=2))


def test_targets_lie_in_the_box_inside_their_nuclei_and_away_from_the_reference():
    regions = striatal_regions(MNI_SHAPE, mni_affine(), 0.0)
    box = np.zeros(MNI_SHAPE, dtype=bool)
    box[regions.striatal_box] = True
    for name, indices in regions.targets.items():
        nucleus, side = name.rsplit("_", 1)
        whole = structure_mask(structure(nucleus, side), MNI_SHAPE, mni_affine())
        assert box[indices].all()
        assert whole[indices].all()
        assert len(indices.x) > 100
    assert not box[regions.reference].any()
    np.testing.assert_array_equal(mask_of(regions.reference), occipital_mask(MNI_SHAPE, mni_affine()))
    for first, second in pairwise(["caudate_left", "caudate_right", "putamen_left", "putamen_right"]):
        assert not (mask_of(regions.targets[first]) & mask_of(regions.targets[second])).any()


@given(st.tuples(*[st.floats(-70, 70)] * 3), st.tuples(*[st.floats(2, 30)] * 3), st.floats(0, 3))
def test_fractions_are_those_of_the_distance_to_the_surface_wherever_the_ellipsoid_lies(centre, semi_axes, angle):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ SMALL_AFFINE
    mm = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(SMALL_SHAPE)) + affine[:3, 3].reshape(3, 1, 1, 1)
    from_centre = (mm - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(semi_axes, (3, 1, 1, 1))
    radius = np.sqrt((from_centre**2).sum(axis=0))
    slope = np.sqrt(((from_centre / np.reshape(semi_axes, (3, 1, 1, 1))) ** 2).sum(axis=0)) / np.maximum(radius, 1e-9)
    expected = np.clip(0.5 - (radius - 1) / np.maximum(slope, 1e-9) / 2.0, 0, 1)
    found = ellipsoid_fractions(Ellipsoid(centre, semi_axes, UPRIGHT), SMALL_SHAPE, affine)
    elsewhere = radius > 1e-3  # at the very centre there is no direction to the surface
    np.testing.assert_allclose(found[elsewhere], expected[elsewhere], atol=1e-3)
