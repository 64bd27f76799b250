"""The printed tables."""

from typing import Any

import pandas as pd
import pytest

from datspect.evaluation.metrics import binary_metrics
from datspect.evaluation.tables import both_tables, heading, table_1, table_2

MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def cv_metrics(kind: str = "phantom") -> dict[str, Any]:
    summary = {f"{name}_{what}": 0.25 for name in MEASURES for what in ("mean", "sd")}
    import numpy as np

    pooled = binary_metrics(np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.2, 0.1]))
    return {
        "cohort_kind": kind,
        "cv": summary,
        "out_of_fold": pooled,
        "putamen_sbr_threshold": {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95},
        "holdout": pooled,
    }


def folds(n: int) -> pd.DataFrame:
    return pd.DataFrame({"fold": range(1, n + 1), "n_validation": 66, **dict.fromkeys(MEASURES, 0.5)})


def test_ten_folds_stand_beside_the_papers_ten_rows() -> None:
    lines = table_1(folds(10), cv_metrics()).splitlines()
    assert len(lines) == 2 + 10 + 2
    assert lines[2].split("|")[1:3] == [" 1    ", " 66  "]
    assert "0.9400" in lines[4]  # the paper's third fold
    assert "0.9645" in lines[-2]
    assert "0.0128" in lines[-1]
    assert len({len(line) for line in lines}) == 1


def test_another_number_of_folds_has_no_rows_of_the_paper_beside_it() -> None:
    lines = table_1(folds(3), cv_metrics()).splitlines()
    assert "0.9400" not in "".join(lines)
    assert "0.9645" in lines[-2]


def test_table_2_shows_intervals_and_the_papers_values() -> None:
    text = table_2(cv_metrics())
    accuracy = next(line for line in text.splitlines() if line.startswith("| accuracy"))
    assert "0.7500 (0.3006 to 0.9544)" in accuracy  # Wilson for 3 of 4
    assert "0.9848" in accuracy


@pytest.mark.parametrize(("kind", "said"), [("phantom", True), ("real", False)])
def test_a_phantom_is_called_a_phantom(kind: str, said: bool) -> None:
    assert ("PHANTOM" in heading(kind)) is said
    assert ("PHANTOM" in both_tables(folds(10), cv_metrics(kind), cv_metrics(kind))) is said
