"""Each schedule gives the learning rates that its formula says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.modeling.schedules import learning_rates
from datspect.params.network import LearningRateParams

SCHEDULES = ["step", "cosine", "exponential", "constant"]


def params(schedule: str, drops: int = 3, initial: float = 1e-3, final: float = 1e-6) -> LearningRateParams:
    return LearningRateParams.model_validate({"initial": initial, "final": final, "schedule": schedule, "drops": drops})


def test_the_papers_step_decay_holds_four_levels_a_tenth_apart_for_equally_long() -> None:
    rates = learning_rates(params("step"), 500)
    np.testing.assert_allclose(rates[[0, 124, 125, 249, 250, 374, 375, 499]], np.repeat([1e-3, 1e-4, 1e-5, 1e-6], 2))
    assert np.unique(rates.round(12)).size == 4


def test_the_middle_of_cosine_and_exponential_are_the_two_means() -> None:
    assert learning_rates(params("cosine"), 101)[50] == pytest.approx((1e-3 + 1e-6) / 2)
    assert learning_rates(params("exponential"), 101)[50] == pytest.approx(np.sqrt(1e-3 * 1e-6))


@given(st.sampled_from(SCHEDULES), st.integers(1, 5), st.integers(6, 60), st.floats(1e-7, 1e-2), st.floats(0.001, 1))
def test_every_schedule_falls_from_initial_to_final(
    schedule: str, drops: int, n_epochs: int, initial: float, ratio: float
) -> None:
    final = initial * ratio
    rates = learning_rates(params(schedule, drops, initial, final), n_epochs)
    assert rates.shape == (n_epochs,)
    assert np.all(np.diff(rates) <= 1e-12)
    assert rates[0] == pytest.approx(initial)
    assert rates[-1] == pytest.approx(initial if schedule == "constant" else final)


def test_one_cycle_rises_from_a_tenth_to_its_highest_rate_and_falls_to_the_last() -> None:
    rates = learning_rates(params("one_cycle", initial=4e-3, final=1e-5), 41)
    assert rates[[0, 10, -1]] == pytest.approx([4e-4, 4e-3, 1e-5])
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()


def test_one_epoch_has_one_rate() -> None:
    assert learning_rates(params("cosine"), 1).tolist() == [pytest.approx(1e-3)]
