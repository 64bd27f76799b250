"""What the report is composed of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.params.base import Sections
from datspect.params.data import PreprocessParams, SplitParams
from datspect.params.network import AugmentParams, BackboneParams, ClassifierParams, TrainingParams

Record = Mapping[str, Any]


class ReportParams(Sections):
    """The sections that the report tells of."""

    preprocess: PreprocessParams
    split: SplitParams
    backbone: BackboneParams
    augment: AugmentParams
    classifier: ClassifierParams
    training: TrainingParams


@dataclass(frozen=True)
class Evaluated:
    """Predictions of the network (a row a subject) and of the baselines (a row a baseline and subject)."""

    network: pd.DataFrame
    baselines: pd.DataFrame


@dataclass(frozen=True)
class Inputs:
    """All that the stages wrote, as read; each field is named after its file, formats as there."""

    params: ReportParams
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
    def kind(self) -> CohortKind:
        """Of what kind the cohort is; anything not called real is a phantom."""
        return CohortKind.of(self.cohort["kind"])
