"""What the report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.params.base import Sections
from datspect.params.data import PreprocessParams, SplitParams
from datspect.params.network import AugmentParams, BackboneParams, ClassifierParams, TrainingParams
from datspect.params.striatum import Model, StriatumParams

JsonObject = Mapping[str, Any]


class ReportParams(Sections):
    """The sections that the report tells of."""

    model: Model
    striatum: StriatumParams
    preprocess: PreprocessParams
    split: SplitParams
    backbone: BackboneParams
    augment: AugmentParams
    classifier: ClassifierParams
    training: TrainingParams


@dataclass(frozen=True)
class HeldOut:
    """Predictions of the network (a row a subject) and of the baselines (a row a baseline and subject)."""

    network: pd.DataFrame
    baselines: pd.DataFrame


@dataclass(frozen=True)
class Inputs:
    """All that the stages wrote, as read; each field has the name and the format of its file."""

    params: ReportParams
    cohort: JsonObject
    subjects: pd.DataFrame
    quality: pd.DataFrame
    excluded: pd.DataFrame
    splits: pd.DataFrame
    table_1: pd.DataFrame
    cv_metrics: JsonObject
    final_metrics: JsonObject
    baseline_metrics: JsonObject
    check_metrics: JsonObject
    predictor_metrics: JsonObject
    other_group_metrics: JsonObject
    robustness_metrics: JsonObject
    grouped_metrics: JsonObject
    cv_run: JsonObject
    final_run: JsonObject
    out_of_fold: HeldOut
    holdout: HeldOut

    @property
    def kind(self) -> CohortKind:
        """The kind of the cohort; anything not called real is a phantom."""
        return CohortKind.of(self.cohort["kind"])

    @property
    def scope(self) -> Scope:
        """What every figure of the report is of."""
        return Scope(self.kind, Scope.of(self.cv_metrics).recipe)

    @property
    def of_striatum(self) -> bool:
        """Whether the model is an ensemble of small networks on slabs."""
        return self.params.model == "striatum"
