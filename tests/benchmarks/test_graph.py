"""What a stage costs, from what had been used when it and the next one began."""

import pytest
from benchmarks.graph import GOAL_SECONDS, Moment, StageCost, costs_between, parts


def test_a_stage_costs_what_was_used_until_the_next_one_began() -> None:
    moments = [Moment("split", 10.0, 1.0), Moment("cv", 13.0, 5.5), Moment("", 23.0, 24.5)]
    split, cv = costs_between(moments, {"": 9.0, "cv": 1.25})
    assert split == StageCost("split", 3.0, 4.5, 0.0)
    assert cv == StageCost("cv", 10.0, 19.0, 1.25)


@pytest.mark.parametrize(("seconds", "met"), [(GOAL_SECONDS - 1, "met"), (GOAL_SECONDS, "MISSED")])
def test_the_goal_is_on_the_sum_and_names_the_longest_stages_where_it_is_missed(seconds: float, met: str) -> None:
    costs = [StageCost("cv", seconds - 1, 2 * seconds, 1.5), StageCost("split", 1.0, 0.0, 0.2)]
    table, goal = parts(costs)
    assert f"{seconds:.1f}" in table
    assert met in goal
    assert ("cv takes" in goal) == (met == "MISSED")
