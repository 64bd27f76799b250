import numpy as np
import pytest

from datspect.phantom.acquisition import Camera
from datspect.phantom.background import Activity
from datspect.phantom.projector import (
    GRID_MM,
    N_ANGLES,
    N_BINS,
    SCATTER_FRACTION,
    build_projector,
    collimator_sd_mm,
    outline,
    scattered,
    transmitted,
    ways_out,
)

SHAPE = (46, 55, 12)


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    """Return a cylinder of 60 mm radius about the axis of rotation, shape SHAPE, bool."""
    x, y = (GRID_MM * (np.arange(size) - (size - 1) / 2) for size in SHAPE[:2])
    return np.repeat((np.hypot(x[:, np.newaxis], y) < 60)[:, :, np.newaxis], SHAPE[2], axis=2)


def test_without_attenuation_every_angle_sees_all_the_activity(disc):
    activity = disc.astype(np.float32)
    for blurred in (False, True):
        counts = build_projector(SHAPE, blurred=blurred).forward(activity)[:, :, 3:9].sum(axis=(1, 2))
        assert counts == pytest.approx(activity[:, :, 3:9].sum(), rel=0.02)


def test_backprojection_is_the_transpose_of_projection(camera: Camera, rng):
    """<A x, y> = <x, A' y>, of the whole and of a subset of angles."""
    x = rng.random(camera.true.shape).astype(np.float32)
    for angles in (None, range(1, N_ANGLES, 8)):
        y = rng.random((len(angles or range(N_ANGLES)), N_BINS, x.shape[2])).astype(np.float32)
        left = (camera.true.forward(x, angles).astype(float) * y).sum()
        right = (x.astype(float) * camera.true.back(y, angles)).sum()
        assert left == pytest.approx(right, rel=1e-5)


def test_the_way_out_of_a_disc_is_its_radius_from_the_middle_and_shorter_towards_the_detector(disc):
    ways = GRID_MM * ways_out(disc).reshape(N_ANGLES, *SHAPE).astype(float)
    assert ways[:, 23, 27, 5] == pytest.approx(60, abs=6)
    nearer = [ways[0, 23, y, 5] for y in (17, 27, 37)]  # the first detector stands at the far end of y
    assert nearer == pytest.approx([100, 60, 20], abs=6)
    assert not ways_out(np.zeros_like(disc)).any()


def test_water_lets_through_what_the_law_of_beer_says():
    share = transmitted(np.array([[[0, 10]]], dtype=np.uint8), per_mm=0.015)
    assert share.ravel() == pytest.approx([1, np.exp(-0.015 * 10 * GRID_MM)])


def test_blur_grows_with_the_distance_from_the_detector():
    widths_mm = 2.355 * collimator_sd_mm(np.array([60.0, 140.0, 220.0]))
    assert (np.diff(widths_mm) > 1).all()
    assert widths_mm[1] == pytest.approx(9, abs=1)


def test_scatter_is_broad_and_holds_its_share(striatal_activity: Activity, camera: Camera):
    primary = camera.true.forward(striatal_activity)
    scatter = scattered(primary)
    assert scatter.sum() / (primary.sum() + scatter.sum()) == pytest.approx(SCATTER_FRACTION, abs=0.06)
    assert np.ptp(np.diff(scatter, axis=1)) < 0.2 * np.ptp(np.diff(primary, axis=1))


def test_the_outline_is_the_head_with_what_lies_inside_of_it(disc):
    hollow = disc.astype(np.float32)
    hollow[20:26, 24:30] = 0
    head = outline(hollow)
    assert head[23, 27].all()
    assert abs(int(head.sum()) - int(disc.sum())) < 0.15 * disc.sum()
    assert not head[:3].any()


@pytest.mark.parametrize("knows", ["attenuation and blur", "neither"])
def test_heads_that_are_projected_together_have_the_bits_of_each_alone(camera: Camera, knows: str, rng):
    model = camera.true if knows == "attenuation and blur" else camera.plain
    heads = rng.random((*model.shape[:2], 3, model.shape[2])).astype(np.float32)
    for angles in (None, range(2, N_ANGLES, 8)):
        together = model.forward(heads, angles)
        assert together.shape[2:] == heads.shape[2:]
        back, scatter = model.back(together, angles), scattered(together)
        for head in range(3):
            alone = model.forward(heads[:, :, head], angles)
            np.testing.assert_array_equal(together[:, :, head], alone)
            np.testing.assert_array_equal(back[:, :, head], model.back(alone, angles))
            np.testing.assert_array_equal(scatter[:, :, head], scattered(alone))
