"""The benchmark of altered scans out of fold: differences are paired, and goals are met at their bounds."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.robustness_parts.ranges import RANGES

from benchmarks import robustness
from datspect.evaluation.robustness import UNALTERED
from datspect.imaging.alterations import ALTERATIONS, rows
from datspect.params.base import read_params
from datspect.params.fitting import FittingParams

N = 200
LABELS = np.arange(N) % 3 > 0


def answers(worse: int, by: float = 1.0) -> pd.DataFrame:
    """Every row but one as sure as the unaltered; in `turn_10` the log odds of `worse` scans are `-by` times theirs."""
    odds = np.where(LABELS, 3.0, -3.0)
    turned = odds.copy()
    turned[:worse] *= -by
    names = [UNALTERED, *(row.name for row in rows(ALTERATIONS) if row.is_largest)]
    return pd.concat(
        pd.DataFrame(
            {
                "row": name,
                "scan_id": [f"S{k:03d}" for k in rng_order(name)],
                "target": LABELS[rng_order(name)].astype(int),
                "network": (turned if name == "turn_10" else odds)[rng_order(name)],
                "regression": odds[rng_order(name)],
            }
        )
        for name in names
    )


def rng_order(name: str) -> np.ndarray:
    """Scans come in another order in every row."""
    return np.random.default_rng(len(name)).permutation(N)


def measures(found: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    return {name: robustness._measures(group, found) for name, group in found.groupby("row", sort=False)}


@pytest.mark.parametrize(("worse", "met"), [(0, True), (2, True), (3, False)])
def test_one_scan_in_a_hundred_may_change_its_class(worse: int, met: bool) -> None:
    # log odds of -0.01 times what they were: another class at hardly any cost in log loss
    goals = {goal.name: goal.met for goal in robustness._goals(measures(answers(worse, 0.01)))}
    assert goals.pop("turn_10") == met
    assert all(goals.values())
    assert set(goals) == set(robustness.ASKED) - {"turn_10"}


def test_a_row_is_held_against_the_same_scans_unaltered() -> None:
    found = measures(answers(10, 1.0))["turn_10"]["network"]
    assert found["accuracy_difference"] == pytest.approx(-10 / N)
    assert found["loss_difference"] == pytest.approx(3.0 * 10 / N)  # each of the ten costs 3 in log loss more
    assert found["accuracy_difference_low"] < -10 / N < found["accuracy_difference_high"]


def test_the_recipe_is_among_the_ranges_that_were_tried() -> None:
    alter = read_params(FittingParams).striatum.alter.model_dump()
    assert RANGES["the recipe"].items() <= alter.items()
