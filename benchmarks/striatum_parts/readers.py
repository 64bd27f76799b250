"""Who reads a cohort out of fold: networks, regressions on measured and on true binding, and a stack of two."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datspect.arrays import FloatArray, IntArray
from datspect.cohort.table import TRUE
from datspect.evaluation.baselines import (
    SBR,
    Baseline,
    fold_parts,
    held_out_predictions,
    logistic_regression,
    ordered_sides,
)
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import binary_metrics, predicted_labels
from datspect.io.tables import read_table
from datspect.modeling.ensemble import fit_ensemble
from datspect.modeling.heads import FittedHead, Head
from datspect.params.base import Sections, read_params
from datspect.params.fitting import FittingParams
from datspect.params.judging import BaselinesParams
from datspect.training import crossval
from datspect.training.curves import Curves
from datspect.training.data import TrainingData, in_order
from datspect.training.fitting import Kept, Sources, fit_folds, slabs_of

RATIOS, TRUTH, STRIATUM, PAPER, STACK = "ratios", "ceiling", "striatum", "paper", "stack"
WORDS = {
    PAPER: "the paper's recipe",
    STRIATUM: "striatum",
    RATIOS: "regression on measured binding",
    STACK: "stack of striatum and measured binding",
    TRUTH: "regression on true binding (ceiling)",
}


class _Read(Sections):
    baselines: BaselinesParams


def ridge() -> Any:
    """Return the regression that the project holds its networks against."""
    return logistic_regression(read_params(_Read, Path("params.yaml")).baselines.logistic_c)


def binding(images: Path, scan_ids: "pd.Series[str]") -> dict[str, FloatArray]:
    """Return logs of measured and of true binding by ordered sides, shape (N, F) each."""
    tables = {RATIOS: ("quality.csv", SBR), TRUTH: ("truth.csv", TRUE)}
    return {
        name: ordered_sides(in_order(read_table(images / file, ["scan_id"]), scan_ids, images / file), prefix)
        for name, (file, prefix) in tables.items()
    }


def read_by_regression(columns: FloatArray, labels: IntArray, folds: IntArray) -> FloatArray:
    """Return log odds out of fold, shape (N,), of the regression on `columns`, shape (N, F)."""
    return held_out_predictions(Baseline("reader", columns, ridge()), labels, fold_parts(folds)).scores


def fit(
    heads: Sequence[Head], data: TrainingData, params: FittingParams, sources: Sources, unfinished: Path
) -> list[FittedHead]:
    """Fit heads as stage `cv` does; finished folds lie in `unfinished` until all are done."""
    kept = Kept(unfinished, hashlib.sha256(params.model_dump_json().encode()).hexdigest()[:16])
    fitted = fit_folds("cv", heads, data, sources, params, kept, Curves(heads))
    kept.forget()
    return fitted


def ensemble_log_odds(heads: Sequence[Head], data: TrainingData, params: FittingParams) -> FloatArray:
    """Return log odds out of fold, shape (N,), of ensembles that are fitted one after the other in this process."""
    material = slabs_of(data, params)
    return crossval.out_of_fold_logits(heads, [fit_ensemble(head, material) for head in heads], data.bank[0])


def said(log_odds: FloatArray) -> Predictions:
    """Return predictions for log odds, shape (N,)."""
    probabilities = crossval.probabilities(np.asarray(log_odds))
    return Predictions(predicted_labels(probabilities), np.asarray(log_odds), probabilities)


def measures(labels: IntArray, log_odds: FloatArray) -> Mapping[str, float]:
    """Return all measures with their intervals."""
    return binary_metrics(labels, crossval.probabilities(np.asarray(log_odds)))
