from dataclasses import replace

import numpy as np
import pytest

from datspect.imaging.regions import mni_affine_of, striatal_regions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.phantom.anatomy import build_head, draw_anatomy, undeformed_anatomy
from datspect.phantom.binding import MEASURED, draw_person


def test_without_variation_the_scan_lies_at_mni_lifted_by_the_offset(still_params, healthy, rng):
    anatomy = draw_anatomy(still_params, healthy, rng)
    expected = mni_affine_of(mni_affine(), still_params.z_offset_voxels)
    np.testing.assert_allclose(anatomy.to_atlas, expected, atol=1e-9)
    assert not anatomy.is_misregistered
    assert anatomy.brain_uptake == 1


def test_a_binding_ratio_of_b_makes_its_nucleus_b_times_brighter_than_the_rest(plain_head):
    head = build_head(undeformed_anatomy(), plain_head)
    regions = striatal_regions(MNI_SHAPE, mni_affine(), 0.0)
    true = np.arange(1.0, 7.0)
    activity = head.activity(true)
    for name, ratio in zip(MEASURED, true, strict=True):
        assert activity[regions.targets[name]].mean() == pytest.approx(1 + ratio, rel=0.06)
    np.testing.assert_array_equal(head.activity(np.zeros(6)), head.base)


def test_a_head_outside_its_striata_is_the_background(plain_head):
    head = build_head(undeformed_anatomy(), plain_head)
    outside = np.ones(MNI_SHAPE, dtype=bool)
    outside[head.box] = False
    np.testing.assert_array_equal(head.base[outside], plain_head.of(0.0)[outside])


def test_striata_lie_inside_of_their_box(phantom_params, plain_head, healthy, rng):
    head = build_head(draw_anatomy(phantom_params, healthy, rng), plain_head)
    assert head.components.min() >= 0
    edges = [head.components[:, [0, -1]], head.components[:, :, [0, -1]], head.components[:, :, :, [0, -1]]]
    assert not any(edge.any() for edge in edges), "a striatum is cut off by its box"


def test_heads_differ_but_only_a_little(phantom_params, healthy):
    anatomies = [draw_anatomy(phantom_params, healthy, np.random.default_rng(seed)) for seed in range(40)]
    striatum = np.array([45.0, 66, 41, 1])
    places = np.array([anatomy.to_atlas @ striatum for anatomy in anatomies])[:, :3]
    assert (places.std(axis=0) > 0.5).all()
    assert (places.std(axis=0) < 2.0).all()
    uptakes = np.array([anatomy.brain_uptake for anatomy in anatomies])
    assert uptakes.std() == pytest.approx(phantom_params.brain_uptake_sd, rel=0.3)


def test_a_failed_registration_is_far_off_and_says_so(phantom_params, healthy):
    failing = phantom_params.model_copy(update={"misregistered": 0.3})
    anatomies = [draw_anatomy(failing, healthy, np.random.default_rng(seed)) for seed in range(150)]
    middle = np.linalg.inv(mni_affine_of(mni_affine(), failing.z_offset_voxels)) @ [0, -4, 4, 1]
    distances = np.array([np.linalg.norm((anatomy.to_atlas @ middle)[:3] - [0, -4, 4]) for anatomy in anatomies])
    failed = np.array([anatomy.is_misregistered for anatomy in anatomies])
    assert failed.mean() == pytest.approx(0.3, abs=0.1)
    assert distances[~failed].max() < 5
    assert 8 < distances[failed].mean() < 13
    # Nobody else's head changes by it.
    never = [draw_anatomy(phantom_params, healthy, np.random.default_rng(seed)) for seed in range(150)]
    for one, other in zip(never, anatomies, strict=True):
        assert one.patterns == other.patterns
        if not other.is_misregistered:
            np.testing.assert_array_equal(one.to_atlas, other.to_atlas)


def test_more_uptake_of_the_brain_lowers_the_ratio(plain_head):
    usual = build_head(undeformed_anatomy(), plain_head)
    more = build_head(replace(undeformed_anatomy(), brain_uptake=1.1), plain_head)
    np.testing.assert_array_equal(usual.components, more.components)
    assert more.base[45, 54, 52] == pytest.approx(1.1 * usual.base[45, 54, 52], rel=1e-5)


def test_a_vascular_head_has_one_hole_in_the_striatum_of_its_worse_side(phantom_params, plain_head):
    for seed in range(6):
        patient, spared = (
            replace(draw_person("control", "typical", 0.0, np.random.default_rng(seed)), label=label)
            for label in ("vascular", "swedd")
        )
        anatomy = draw_anatomy(phantom_params, patient, np.random.default_rng(seed))
        whole = draw_anatomy(phantom_params, spared, np.random.default_rng(seed))
        assert whole.lesion is None
        hole, intact = build_head(anatomy, plain_head), build_head(whole, plain_head)
        np.testing.assert_array_equal(hole.base, intact.base)
        lost = 1 - hole.components.sum(axis=(1, 2, 3)) / intact.components.sum(axis=(1, 2, 3))
        worse = [name.endswith(patient.worse_side) for name in MEASURED]
        assert lost[worse].max() > 0.2
        assert lost[np.logical_not(worse)].max() < 0.01
        emptied = (intact.components.sum(axis=0) > 0.3) & (hole.components.sum(axis=0) == 0)
        assert emptied.sum() * 8 > 400, "cubic millimetres that bind nothing"
