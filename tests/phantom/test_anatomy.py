import numpy as np
import pytest

from datspect.imaging.regions import mni_affine_of, striatal_regions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.phantom.anatomy import build_head, draw_anatomy
from datspect.phantom.binding import MEASURED


def test_without_variation_the_head_lies_at_mni_lifted_by_the_offset(still_params, plain_head, rng):
    anatomy = draw_anatomy(still_params, rng)
    np.testing.assert_allclose(anatomy.to_atlas, mni_affine_of(mni_affine(), 3.0), atol=1e-9)
    head = build_head(anatomy, plain_head)
    outside = np.ones(MNI_SHAPE, dtype=bool)
    outside[head.box] = False
    np.testing.assert_allclose(
        head.base[:, :, 3:][outside[:, :, 3:]], plain_head[:, :, :-3][outside[:, :, 3:]], atol=1e-5
    )


def test_a_binding_ratio_of_b_makes_its_nucleus_b_times_brighter_than_the_rest(still_params, plain_head, rng):
    head = build_head(draw_anatomy(still_params, rng), plain_head)
    regions = striatal_regions(MNI_SHAPE, mni_affine(), still_params.z_offset_voxels)
    true = np.arange(1.0, 7.0)
    activity = head.activity(true)
    for name, ratio in zip(MEASURED, true, strict=True):
        assert activity[regions.targets[name]].mean() == pytest.approx(1 + ratio, rel=0.03)
    np.testing.assert_array_equal(head.activity(np.zeros(6)), head.base)


def test_components_hold_each_voxel_at_most_once(phantom_params, plain_head, rng):
    head = build_head(draw_anatomy(phantom_params, rng), plain_head)
    assert head.components.min() >= 0
    assert head.components.sum(axis=0).max() <= 1 + 1e-5
    edges = [head.components[:, [0, -1]], head.components[:, :, [0, -1]], head.components[:, :, :, [0, -1]]]
    assert not any(edge.any() for edge in edges), "a striatum is cut off by its box"


def test_heads_differ_but_only_a_little(phantom_params):
    anatomies = [draw_anatomy(phantom_params, np.random.default_rng(seed)) for seed in range(40)]
    striatum = np.array([45.0, 66, 41, 1])
    places = np.array([anatomy.to_atlas @ striatum for anatomy in anatomies])[:, :3]
    assert (places.std(axis=0) > 0.5).all()
    assert (places.std(axis=0) < 2.0).all()


def test_the_undeformed_head_has_scalp_and_brain_of_the_right_uptake(plain_head):
    assert set(np.unique(plain_head[45, :, 40])) >= {np.float32(0), np.float32(0.83), np.float32(1.0)}
    assert plain_head[45, 54, 52] == pytest.approx(1.15)  # white matter
    assert plain_head[45, 52, 29] == pytest.approx(1.5)  # midbrain
    assert plain_head.min() == 0
