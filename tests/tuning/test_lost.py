"""Trials that ended before they were done: which of their values are lost, how often, and why."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datspect.tuning.lost import MOST_AT_ONCE, again, disturbed, given_up, lost
from datspect.tuning.trials import State, Trial

PAPER = {"dropout": 0.5, "width": 64}


def trial(number: int, state: State = "failed", values: dict[str, Any] | None = None, **more: Any) -> Trial:
    return Trial(number, state, PAPER if values is None else values, **{"begun": True, **more})


def test_a_trial_that_nobody_finished_is_lost_with_all_its_attempts() -> None:
    (found,) = lost([trial(0), trial(1, "complete", {"dropout": 0.1}), trial(2), trial(3)])
    assert (found.first, found.number, found.values, found.at_once) == (0, 3, PAPER, True)
    assert found.why == "its process was killed (by the machine, by somebody or for want of memory) 3 times"
    (often,) = lost([trial(number) for number in range(MOST_AT_ONCE + 1)])
    assert not often.at_once


@pytest.mark.parametrize("state", ["complete", "pruned", "running", "waiting"])
@pytest.mark.parametrize("number", [0, 2])
def test_what_another_trial_has_or_will_have_is_not_lost(state: State, number: int) -> None:
    assert lost([trial(number, state), trial(1)]) == []
    assert lost([trial(number, state, {}, asked=PAPER), trial(1)]) == []


def test_values_that_a_trial_was_queued_with_are_lost_before_it_drew_them() -> None:
    (found,) = lost([trial(0, values={}, asked=PAPER, begun=False)])
    assert found.values == PAPER
    (half,) = lost([trial(0, values={"dropout": 0.5}, asked=PAPER)])
    assert half.values == PAPER


def test_a_trial_killed_while_it_drew_is_that_which_has_what_it_had() -> None:
    assert lost([trial(0, values={"dropout": 0.5}), trial(1, "complete")]) == []
    (found,) = lost([trial(0, values={"dropout": 0.5}), trial(1)])
    assert (found.values, len(found.attempts)) == (PAPER, 2)


def test_a_later_trial_with_some_of_the_values_takes_none_away() -> None:
    (found,) = lost([trial(0, "complete", {"dropout": 0.5}), trial(1), trial(2, values={"dropout": 0.5})])
    assert (found.values, found.number, len(found.attempts)) == (PAPER, 1, 2)


def test_what_drew_nothing_and_what_somebody_added_lost_nothing() -> None:
    assert lost([trial(0, values={}), trial(1, begun=False)]) == []
    assert disturbed([trial(0, values={}), trial(1, begun=False)]) is None


def test_it_is_said_how_each_attempt_ended() -> None:
    endings = ["KeyboardInterrupt", "Stopped", "OSError", "OSError", None]
    (found,) = given_up([trial(number, ended_by=ending) for number, ending in enumerate(endings)])
    assert found["attempts"] == [0, 1, 2, 3, 4]
    assert found["why"] == (
        "was stopped by Ctrl-C once; was asked to end once; error OSError twice; "
        "its process was killed (by the machine, by somebody or for want of memory) once"
    )


def test_a_study_with_an_early_end_says_that_its_sampling_is_another_even_when_nothing_is_lost() -> None:
    found = disturbed([trial(0, "complete", {"dropout": 0.1}), trial(1), trial(2, "complete")])
    assert found is not None
    assert (found["n_ended_early"], found["first"]) == (1, 1)
    assert "sampling differs from that of an undisturbed study" in found["note"]
    assert disturbed([trial(0, "complete"), trial(1, "pruned"), trial(2, "running")]) is None


def test_waiting_trials_that_repeat_a_failed_one_are_told_from_others() -> None:
    repeats, other = trial(2, "waiting", {}, asked=PAPER), trial(3, "waiting", {}, asked={"dropout": 0.1})
    assert again([trial(0), repeats, other]) == [repeats]


STATES = st.sampled_from(["complete", "pruned", "failed", "running", "waiting"])
VALUES = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 1), min_size=1)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(STATES, VALUES), max_size=12))
def test_every_value_is_finished_to_be_tried_or_lost_and_lost_once(drawn: list[tuple[State, dict[str, int]]]) -> None:
    trials = [trial(number, state, values) for number, (state, values) in enumerate(drawn)]
    found = lost(trials)
    queued = [trial(len(trials) + k, "waiting", {}, asked=each.values) for k, each in enumerate(found)]
    assert lost([*trials, *queued]) == []
    for each in trials:
        held_by = [other for other in (*trials, *queued) if other.state != "failed"]
        assert any(each.tried.items() <= other.tried.items() for other in held_by)
    assert len({each.number for each in found}) == len(found)
