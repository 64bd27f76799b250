"""The printed tables hold the right numbers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.evaluation.metrics import binary_metrics
from datspect.reporting.paper_tables import (
    BASELINES,
    IN_BRIEF,
    STACK,
    baselines_in_brief,
    heading,
    holdout_differences,
    measures_table,
    ordered_baselines,
    p_value,
    table_1,
    table_2,
    with_interval,
)
from datspect.reporting.printed import HOLDOUT_ASIDE, printed_tables

MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
POOLED = binary_metrics(np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.2, 0.1]))


def metrics(kind: str = "phantom") -> dict[str, Any]:
    """Return the metrics of stages cv and final in one."""
    summary = {f"{name}_{what}": 0.25 for name in MEASURES for what in ("mean", "sd")}
    return {"cohort_kind": kind, "cv": summary, "out_of_fold": POOLED, "holdout": POOLED}


def baselines() -> dict[str, Any]:
    difference = {
        f"{name}_difference{end}": value
        for name in ("accuracy", "loss")
        for end, value in (("", 0.0151), ("_low", -0.02), ("_high", 0.05))
    }
    measures = {"accuracy": 0.9, "loss": 0.25, "network_minus_this": difference}
    of_models: dict[str, Any] = dict.fromkeys(reversed(BASELINES), measures)
    of_models[STACK] = measures | {"this_minus_sbr_regression": difference}
    return {"out_of_fold": of_models}


def folds(n: int) -> pd.DataFrame:
    return pd.DataFrame({"fold": range(1, n + 1), "n_validation": 66, **dict.fromkeys(MEASURES, 0.5)})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_ten_folds_stand_beside_the_papers_ten_rows() -> None:
    lines = table_1(folds(10), metrics()).splitlines()
    assert len(lines) == 2 + 10 + 2
    assert cells(lines[2])[:2] == ["1", "66"]
    assert "0.9400" in lines[4]  # the paper's third fold
    assert "0.9645" in lines[-2]
    assert "0.0128" in lines[-1]
    assert len({len(line) for line in lines}) == 1


def test_another_number_of_folds_has_no_rows_of_the_paper_beside_it() -> None:
    lines = table_1(folds(3), metrics()).splitlines()
    assert "0.9400" not in "".join(lines)
    assert "0.9645" in lines[-2]


def test_table_2_shows_intervals_of_both_sides() -> None:
    accuracy = next(line for line in table_2(metrics()).splitlines() if line.startswith("| accuracy"))
    assert "0.7500 (0.3006 to 0.9544)" in accuracy  # Wilson for 3 of 4
    assert "0.9848 (0.9464 to 0.9958)" in accuracy  # and for the paper's 130 of 132


def test_all_measures_leave_the_mean_over_folds_empty_where_no_fold_holds_both_classes() -> None:
    values = metrics()
    line = next(line for line in measures_table(values, values).splitlines() if "over folds" in line)
    assert cells(line)[1:] == ["", ""]
    values["cv"] |= {"roc_auc_fold_mean": 0.97, "roc_auc_fold_sd": 0.012}
    line = next(line for line in measures_table(values, values).splitlines() if "over folds" in line)
    assert cells(line)[1:] == ["0.9700 ± 0.0120", ""]


def test_a_number_stands_with_its_interval_where_it_has_one() -> None:
    values = {"x": 0.5, "y": 0.5, "y_low": 0.25, "y_high": 0.75}
    assert with_interval(values, "x") == "0.5000"
    assert with_interval(values, "y") == "0.5000 (0.2500 to 0.7500)"
    assert with_interval(values, "y", signed=True) == "+0.5000 (+0.2500 to +0.7500)"
    assert with_interval(values, "z") == ""


def test_baselines_in_brief_follow_the_network_in_their_order() -> None:
    lines = baselines_in_brief(metrics(), baselines()).splitlines()
    assert [cells(line)[0] for line in lines[2:]] == ["network", *(BASELINES[key] for key in IN_BRIEF)]
    assert cells(lines[3])[1:] == ["0.9000", "", "0.2500", *["+0.0151 (-0.0200 to +0.0500)"] * 2]


def test_a_baseline_without_a_name_of_its_own_comes_last() -> None:
    assert ordered_baselines(["new", "age_sex", "voxel_svm"]) == ["voxel_svm", "age_sex", "new"]


def test_counts_of_the_holdout_are_whole_numbers_and_p_values_never_zero() -> None:
    difference = {"n_only_network_right": 3.0, "n_only_other_right": 0.0, "mcnemar_p": 0.25, "delong_p": 0.0}
    line = holdout_differences({"voxel_svm": {"network_minus_this": difference}}).splitlines()[2]
    assert cells(line)[2:] == ["3", "0", "0.2500", "", "\\< 0.0001"]
    assert p_value(0.0001) == "0.0001"


@pytest.mark.parametrize(("kind", "said"), [("phantom", True), ("real", False)])
def test_a_phantom_is_called_a_phantom(kind: str, said: bool) -> None:
    assert ("PHANTOM" in heading(Scope(CohortKind.of(kind)))) is said
    text = printed_tables(folds(10), metrics(kind), metrics(kind), baselines(), holdout=True)
    assert ("PHANTOM" in text) is said
    assert text.startswith("**PHANTOM") is said


def test_parameters_of_a_study_are_said_below_table_1_and_only_then() -> None:
    origin = {"study": "a_b", "trial": 7, "same_split": True, "note": "80 % took part in the tuning (study a_b)."}
    plain = printed_tables(folds(10), metrics(), metrics(), baselines(), holdout=True)
    tuned = printed_tables(folds(10), metrics() | {"parameters_from": origin}, metrics(), baselines(), holdout=True)
    assert "took part in the tuning" not in plain
    before, note, after = tuned.partition("80 % took part in the tuning (study a\\_b).\n\n")
    assert before + after == plain
    assert note
    assert before.rstrip().splitlines()[-1].startswith("| sd ")


def test_the_tables_leave_room_in_the_readme() -> None:
    assert len(printed_tables(folds(10), metrics(), metrics(), baselines(), holdout=True).splitlines()) <= 50


def test_the_holdout_is_shown_only_where_it_is_asked_for() -> None:
    aside = printed_tables(folds(10), metrics(), metrics(), baselines(), holdout=False)
    assert HOLDOUT_ASIDE in aside
    assert "0.7500 (0.3006 to 0.9544)" not in aside  # the accuracy on the holdout
    shown = printed_tables(folds(10), metrics(), metrics(), baselines(), holdout=True)
    assert "0.7500 (0.3006 to 0.9544)" in shown
    assert shown.startswith(aside.partition(HOLDOUT_ASIDE)[0])
