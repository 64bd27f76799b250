"""What the report is composed of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect.params import Params

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluated:
    """Predictions of the network (a row a subject) and of the baselines (a row a baseline and subject)."""

    network: pd.DataFrame
    baselines: pd.DataFrame


@dataclass(frozen=True)
class Inputs:
    """All that the stages wrote, as read; each field is named after its file, formats as there."""

    params: Params
    cohort: Record
    subjects: pd.DataFrame
    quality: pd.DataFrame
    excluded: pd.DataFrame
    splits: pd.DataFrame
    table_1: pd.DataFrame
    cv_metrics: Record
    final_metrics: Record
    baseline_metrics: Record
    check_metrics: Record
    predictor_metrics: Record
    cv_run: Record
    final_run: Record
    out_of_fold: Evaluated
    holdout: Evaluated

    @property
    def kind(self) -> Literal["phantom", "real"]:
        """Of what kind the cohort is; anything not called real is a phantom."""
        return "real" if self.cohort["kind"] == "real" else "phantom"


def targets(predictions: pd.DataFrame) -> NDArray[np.int64]:
    """1 for PD, 0 for control, shape (N,)."""
    return np.asarray(predictions["label"] == "pd").astype(np.int64)
