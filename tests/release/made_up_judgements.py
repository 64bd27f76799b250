"""What two made-up experiments say of made-up subjects."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.release.comparing import Contender
from datspect.release.stage_results import JUDGED_SETS, OUT_OF_FOLD, Judged, JudgedSet, measures_of

N = 300


def judgements(
    judged_set: JudgedSet = OUT_OF_FOLD, *, strength: float = 2.0, noise: int = 1, n: int = N, n_folds: int = 10
) -> pd.DataFrame:
    """Log odds of `strength` towards the right class; equal `noise` gives equal errors. Two in three have PD."""
    numbers, is_pd = np.arange(n), np.arange(n) % 3 > 0
    logits = strength * np.where(is_pd, 1, -1) + np.random.default_rng(noise).normal(size=n) * 2
    return pd.DataFrame(
        {
            "scan_id": [f"S{number:03d}" for number in numbers],
            "subject_id": [f"P{number:03d}" for number in numbers],
            "label": np.where(is_pd, "pd", "control"),
            "probability": 1 / (1 + np.exp(-logits)),
            judged_set.place: numbers // 3 % n_folds + 1 if judged_set.out_of_fold else "test",
        }
    )


def judged(table: pd.DataFrame | None, **changes: Any) -> Judged:
    facts: dict[str, Any] = {
        "kind": CohortKind.PHANTOM,
        "cohort": "the cohort",
        "result_id": "a result",
        "n_train": 270.0,
        "sources": {"code": "c", "split": "s", "weights of the backbone": "w"},
        "note": "",
        "table": table,
        "measures": {} if table is None else measures_of(table),
    }
    return Judged(**(facts | changes))


def contender(judged_by: Mapping[JudgedSet, Judged] | None = None, *, name: str = "one", **changes: Any) -> Contender:
    """By default it has judged every set."""
    if judged_by is None:
        judged_by = {each: judged(judgements(each)) for each in JUDGED_SETS}
    facts: dict[str, Any] = {"name": name, "title": f"experiment {name}", "params": {}, "absent": {}}
    return Contender(**(facts | {"judged": judged_by} | changes))
