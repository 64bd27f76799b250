import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datspect.imaging.augmentation import Augmentations, draw_augmentations, draw_order
from datspect.params.network import AugmentParams

SHAPE = (109, 91)


def params(**changes: Any) -> AugmentParams:
    values: dict[str, Any] = {
        "draws": 8,
        "width_shift": 0.05,
        "height_shift": 0.1,
        "horizontal_flip": True,
        "brightness": 0.2,
        "seed": 3,
    }
    return AugmentParams(**(values | changes))


def fields(augmentations: Augmentations) -> dict[str, np.ndarray]:
    return vars(augmentations)


def test_draws_fill_their_ranges_evenly() -> None:
    drawn = draw_augmentations(params(draws=50), 200, SHAPE)
    for values, limit in ((drawn.shift_rows, 10.9), (drawn.shift_columns, 4.55), (drawn.brightness - 1, 0.2)):
        assert values.shape == (50, 200)
        assert np.abs(values).max() <= limit + 1e-6
        assert np.std(values) == pytest.approx(limit / np.sqrt(3), rel=0.03)
        assert np.mean(values) == pytest.approx(0, abs=0.03 * limit)
    assert np.mean(drawn.flip) == pytest.approx(0.5, abs=0.02)


def test_shifts_are_fractional_and_independent_of_each_other() -> None:
    drawn = draw_augmentations(params(draws=50), 200, SHAPE)
    assert not np.allclose(drawn.shift_rows, np.round(drawn.shift_rows), atol=0.1)
    kinds = np.stack([values.astype(float).ravel() for values in fields(drawn).values()])
    assert np.abs(np.corrcoef(kinds) - np.eye(4)).max() < 0.05


def test_more_draws_and_more_subjects_leave_the_others_unchanged() -> None:
    few, many = draw_augmentations(params(draws=3), 4, SHAPE), draw_augmentations(params(draws=9), 7, SHAPE)
    for name, values in fields(few).items():
        np.testing.assert_array_equal(values, fields(many)[name][:3, :4], err_msg=name)


def test_another_seed_draws_otherwise_and_the_same_seed_the_same() -> None:
    drawn = draw_augmentations(params(), 4, SHAPE)
    np.testing.assert_array_equal(drawn.shift_rows, draw_augmentations(params(), 4, SHAPE).shift_rows)
    assert not np.any(drawn.shift_rows == draw_augmentations(params(seed=4), 4, SHAPE).shift_rows)


def test_switching_the_flip_off_changes_nothing_else() -> None:
    with_flip, without = (draw_augmentations(params(horizontal_flip=on), 5, SHAPE) for on in (True, False))
    assert with_flip.flip.any()
    assert not without.flip.any()
    assert fields(replace(with_flip, flip=without.flip)).keys() == fields(without).keys()
    np.testing.assert_array_equal(with_flip.brightness, without.brightness)
    np.testing.assert_array_equal(with_flip.shift_columns, without.shift_columns)


def test_ranges_of_zero_change_nothing() -> None:
    drawn = draw_augmentations(
        params(width_shift=0.0, height_shift=0.0, brightness=0.0, horizontal_flip=False), 3, SHAPE
    )
    assert not drawn.shift_rows.any()
    assert not drawn.shift_columns.any()
    assert not drawn.flip.any()
    assert (drawn.brightness == 1).all()


def test_selection_takes_the_same_elements_of_each_kind() -> None:
    drawn = draw_augmentations(params(), 4, SHAPE)
    some = drawn[np.array([1, 5]), np.array([0, 3])]
    assert some.flip.tolist() == [drawn.flip[1, 0], drawn.flip[5, 3]]
    assert some.brightness.tolist() == [drawn.brightness[1, 0], drawn.brightness[5, 3]]


@pytest.mark.parametrize(("n_epochs", "n_draws"), [(500, 16), (3, 16), (32, 16), (7, 1), (40, 500)])
def test_no_draw_repeats_before_all_were_used(n_epochs: int, n_draws: int) -> None:
    order = draw_order(1, 20, n_epochs, n_draws)
    assert order.shape == (n_epochs, 20)
    for start in range(0, n_epochs, n_draws):
        cycle = np.sort(order[start : start + n_draws], axis=0)
        assert (np.diff(cycle, axis=0) > 0).all()
        assert cycle.min() >= 0
        assert cycle.max() < n_draws


def test_each_cycle_and_each_subject_has_an_order_of_its_own() -> None:
    order = draw_order(1, 50, 160, 16)
    cycles = order.reshape(10, 16, 50)
    assert not np.array_equal(cycles[0], cycles[1])
    assert len({tuple(cycles[0, :, subject]) for subject in range(50)}) == 50


def test_every_draw_is_equally_likely_in_every_epoch() -> None:
    counts = np.apply_along_axis(np.bincount, 1, draw_order(5, 8000, 8, 8), minlength=8)
    assert np.abs(counts - 1000).max() < 150  # 5 sd


def test_more_subjects_and_more_epochs_leave_a_subjects_order_unchanged() -> None:
    np.testing.assert_array_equal(draw_order(1, 5, 20, 8), draw_order(1, 9, 50, 8)[:20, :5])


def test_orders_follow_the_seed() -> None:
    np.testing.assert_array_equal(draw_order(2, 5, 20, 8), draw_order(2, 5, 20, 8))
    assert not np.array_equal(draw_order(2, 5, 20, 8), draw_order(3, 5, 20, 8))


def test_the_order_of_a_whole_head_takes_a_fifth_of_a_second_at_most() -> None:
    started = time.process_time()
    draw_order(1, 659, 500, 16)
    assert time.process_time() - started < 0.2
