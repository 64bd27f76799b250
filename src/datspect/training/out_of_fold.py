"""What the folds of a cross-validation say of the subjects that they have not seen, and how it is written up."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from datspect.cohort.scope import Scope
from datspect.evaluation.metrics import binary_metrics, fold_mean_auc
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.modeling.heads import FittedHead, Head, build_head
from datspect.modeling.model_files import write_model
from datspect.params.fitting import FittingParams
from datspect.training import crossval, results
from datspect.training.data import TrainingData
from datspect.training.fitting import Sources, WholeModels
from datspect.training.fold_files import write_fold
from datspect.training.record import saved_model


@dataclass(frozen=True)
class Evaluation:
    """What the trained folds say: predictions out of fold, the last epoch of every fold, and the measures."""

    predictions: pd.DataFrame
    table_1: pd.DataFrame
    metrics: dict[str, Any]


def evaluate(
    heads: list[Head],
    fitted: list[FittedHead],
    data: TrainingData,
    scope: Scope,
    parameters_from: Mapping[str, Any] | None = None,
    place: str = "fold",
) -> Evaluation:
    """Judge every subject by the fold that has not seen it.

    `parameters_from`: what `record.origin_of_parameters` gives; `place`: the column of the splits that holds the folds.
    """
    scores = crossval.out_of_fold_logits(heads, fitted, data.bank[0])
    probabilities = crossval.probabilities(scores)
    table_1 = crossval.table_1(heads, fitted)
    by_fold = fold_mean_auc(data.targets, probabilities, data.splits[place].to_numpy())
    metrics: dict[str, Any] = {
        **scope.record,
        "cv": crossval.table_1_summary(table_1) | by_fold,
        "out_of_fold": binary_metrics(data.targets, probabilities),
    }
    if parameters_from:
        metrics["parameters_from"] = parameters_from
    return Evaluation(results.predictions_table(data.splits, place, scores, probabilities), table_1, metrics)


def write_reports(
    evaluation: Evaluation, fitted: list[FittedHead], folds: str, scope: Scope, training: str, folder: Path
) -> None:
    """Write all but the models and run.json; `folds`, in words, and `training` are for titles and legends."""
    caption = f"{folds}, {scope.caption}"
    results.write_curves(folder, crossval.history_table(fitted), caption, training)
    out_of_fold = evaluation.metrics["out_of_fold"]
    results.write_evaluation(folder, evaluation.predictions, out_of_fold, f"out of fold, {caption}")
    write_table(folder / "table1.csv", evaluation.table_1)
    write_json(folder / "metrics.json", evaluation.metrics)


def write_models(
    fitted: list[FittedHead], sources: Sources, params: FittingParams, folder: Path
) -> list[dict[str, Any]]:
    """Write a file for each fold (its head, the layers that were trained, or the whole model); return their entries."""
    dropout, saved = params.classifier.dropout, []
    whole = (
        WholeModels(sources, params) if params.model == "paper" and params.tracking.log_fold_models == "all" else None
    )
    for head in fitted:
        path, shape = folder / f"{head.name}.keras", [len(head.weights.kernel)]
        if whole:
            write_model(path, whole.build(head))
            shape = list(whole.image_shape)
        elif head.layers:
            path = path.with_suffix(".npz")
            write_fold(path, head, features=False)
        else:
            write_model(path, build_head(head.weights, dropout))
        saved.append(saved_model(path, head.name, shape))
    return saved
