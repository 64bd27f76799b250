"""The small network does not tell left from right, looks at each scan alone and steps as AdamW does."""

import numpy as np
import pytest
from keras import ops

from datspect.imaging.slabs import SLABS_SHAPE, peaks
from datspect.modeling.striatal_layout import NAMES, Size
from datspect.modeling.striatal_network import (
    Rules,
    SlabBatches,
    both_scales,
    initial_state,
    initial_weights,
    log_odds,
    readings,
    train_epoch,
)

SIZE = Size(maps=4, units=5)


@pytest.fixture
def views(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 4, (6, *SLABS_SHAPE)).astype(np.float32)


@pytest.fixture
def weights() -> list[np.ndarray]:
    return initial_weights(SIZE, seed=3)


def said(weights: list[np.ndarray], views: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(log_odds(weights, views)))


def test_exchanged_sides_have_the_same_answer(views: np.ndarray, weights: list[np.ndarray]) -> None:
    np.testing.assert_allclose(said(weights, views), said(weights, views[:, ::-1].copy()), atol=1e-5)


def test_a_scan_alone_has_the_answer_that_it_has_among_others(views: np.ndarray, weights: list[np.ndarray]) -> None:
    together = said(weights, views)
    assert together.std() > 0
    for row in range(len(views)):
        np.testing.assert_allclose(said(weights, views[row : row + 1])[0], together[row], atol=1e-5)


def test_readings_are_the_larger_and_the_smaller_value_of_each_unit(
    views: np.ndarray, weights: list[np.ndarray]
) -> None:
    read = np.asarray(ops.convert_to_numpy(readings(weights, views)))
    assert read.shape == (6, 2 * SIZE.units)
    assert (read >= 0).all()
    assert (read[:, : SIZE.units] >= read[:, SIZE.units :]).all()
    np.testing.assert_allclose(read @ weights[8] + weights[9], said(weights, views), atol=1e-5)


def test_one_scale_follows_the_uptake_and_the_other_the_scans_own_peak(views: np.ndarray) -> None:
    plain, doubled = (np.asarray(ops.convert_to_numpy(both_scales(each))) for each in (views, 2 * views))
    assert plain.shape == (6, 28, 24, 8)
    assert (doubled[..., :4] > plain[..., :4]).all()
    np.testing.assert_allclose(doubled[..., 4:], plain[..., 4:], atol=1e-5)
    own = views / peaks(views)[:, None, None, None]
    rest = (plain[..., 4:] - own.mean()) / own
    assert np.isfinite(rest).all()
    np.testing.assert_allclose(np.corrcoef(plain[..., 4:].ravel(), own.ravel())[0, 1], 1.0, atol=1e-6)


def test_kernels_decay_and_biases_do_not_where_no_gradient_moves_them(views: np.ndarray) -> None:
    weights = [weight + np.float32(0.5) for weight in initial_weights(SIZE, seed=3)]
    seen = views.reshape(3, 2, -1).astype(np.float32)
    ones = np.ones((3, 2), np.float32)
    nothing_kept = np.zeros((3, 2, 2 * SIZE.units), np.float32)
    rules = Rules(*(np.float32(number) for number in (0.1, 0.2, 0.0)))
    state, _ = train_epoch(initial_state(weights), SlabBatches(seen, ones, ones, nothing_kept), rules)
    assert float(ops.convert_to_numpy(state.n_steps)) == 3
    for name, before, after in zip(NAMES, weights, state.weights, strict=True):
        now = np.asarray(ops.convert_to_numpy(after))
        if name == "out_bias":
            assert now > before  # all targets are pd
        elif name.endswith("bias"):
            np.testing.assert_array_equal(now, before, err_msg=name)
        else:
            np.testing.assert_allclose(now, before * (1 - 0.1 * 0.2) ** 3, rtol=1e-5, err_msg=name)


def test_places_that_are_filled_up_change_nothing(views: np.ndarray, weights: list[np.ndarray]) -> None:
    flat = views.reshape(6, -1).astype(np.float32)
    rules = Rules(*(np.float32(number) for number in (0.01, 0.0, 0.01)))

    def trained(last_row: int, last_target: float) -> list[np.ndarray]:
        seen, target = flat[np.array([[0, 1, last_row]])], np.array([[1, 0, last_target]], np.float32)
        weight, keep = np.array([[1, 1, 0]], np.float32), np.ones((1, 3, 2 * SIZE.units), np.float32)
        state, sums = train_epoch(initial_state(weights), SlabBatches(seen, target, weight, keep), rules)
        return [*(np.asarray(ops.convert_to_numpy(each)) for each in state.weights), np.asarray(sums)]

    for one, other in zip(trained(2, 0.0), trained(5, 1.0), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
