"""A search tells its pace, over all processes and without pauses."""

from datetime import datetime, timedelta

import pytest

from datspect.tuning.search import seconds_a_trial
from datspect.tuning.trials import State, Trial

START = datetime(2026, 1, 1)


def ended(number: int, minute: float, seconds: float = 90, state: State = "complete") -> Trial:
    end = START + timedelta(minutes=minute)
    return Trial(number, state, {}, started=end - timedelta(seconds=seconds), ended=end)


def test_the_pace_is_that_of_all_processes_together() -> None:
    """Two processes, 90 s a trial each: one ends every 45 s."""
    trials = [ended(number, 1 + 0.75 * number) for number in range(8)]
    assert seconds_a_trial(trials, START) == pytest.approx(45)


def test_the_pace_is_the_latest_one_and_knows_no_pause_before_this_start() -> None:
    before = [ended(number, number) for number in range(5)]
    slow = [ended(5 + number, 100 + 10 * number) for number in range(5)]
    fast = [ended(10 + number, 150 + number / 2) for number in range(10)]
    assert seconds_a_trial([*before, *slow, *fast], START + timedelta(minutes=90)) == pytest.approx(30)


def test_pruned_trials_count_and_failed_ones_do_not() -> None:
    trials = [ended(0, 1), ended(1, 2, state="pruned"), ended(2, 2.1, state="failed"), ended(3, 3)]
    assert seconds_a_trial(trials, START) == pytest.approx(60)


def test_the_first_trial_is_its_own_measure() -> None:
    assert seconds_a_trial([ended(0, 2, seconds=70)], START) == 70
    assert seconds_a_trial([], START) == 0
