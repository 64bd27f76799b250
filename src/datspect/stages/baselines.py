"""Stage `baselines`: simple models on the network's folds and test set, and how far the network is ahead of them."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.cohort.scope import Scope
from datspect.cohort.table import TRUE, label_names, targets
from datspect.errors import CohortError
from datspect.evaluation.baselines import (
    SBR,
    Baseline,
    age_sex_columns,
    fit_threshold,
    fold_parts,
    held_out_predictions,
    linear_svm,
    logistic_regression,
    ordered_sides,
    worse_putamen_sbr,
)
from datspect.evaluation.comparison import Predictions, compare_holdout, compare_out_of_fold
from datspect.evaluation.metrics import binary_metrics, fold_mean_auc, score_metrics
from datspect.io.arrays import read_array
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.judging import BaselinesParams
from datspect.reporting.paper_tables import CEILING, READER, STACK, with_interval
from datspect.running.launch import launch
from datspect.running.progress import progress
from datspect.training.data import TrainingData, TrainingInputs, in_order, read_training_data

Part = tuple[BoolArray, BoolArray]

log = logging.getLogger("datspect.baselines")


class Read(Sections):
    """The sections that the stage reads."""

    baselines: BaselinesParams


@dataclass(frozen=True)
class _Evaluation:
    """One way of holding subjects out, and what the network says of them.

    subjects : the held-out rows of the split table with their `place` (fold or role), in the order of the bank
    parts : pairs of masks of shape (N,), who trains and who is held out
    network : its predictions, in the order of `subjects`
    logits : log odds of every subject by a network that has not seen it, in the order of the bank, shape (N,)
    """

    name: str
    place: str
    file: str
    subjects: pd.DataFrame
    parts: list[Part]
    network: Predictions
    logits: FloatArray
    compare: Callable[[IntArray, Predictions, Predictions], dict[str, float]]


def main(
    images_folder: Path,
    features_folder: Path,
    splits_path: Path,
    cv_folder: Path,
    final_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Fit every baseline out of fold and for the test set; write predictions, metrics and the paired comparisons."""
    params = read_params(Read, params_path).baselines
    data = read_training_data(TrainingInputs.within(images_folder, features_folder, splits_path), memory_mapped=True)
    columns = _columns(images_folder, data)
    baselines = _baselines(columns, data, params)
    evaluations = [_out_of_fold(data.splits, cv_folder), _holdout(data.splits, final_folder)]
    scope = Scope.of(read_json(cv_folder / "metrics.json"))
    metrics: dict[str, Any] = {**scope.record}
    n_fits = (len(baselines) + 1) * sum(len(evaluation.parts) for evaluation in evaluations)
    bar: tqdm[None] = progress(None, total=n_fits, what="baselines", unit="fits")
    # One thread for the matrix products: they are small, and threads that wait for each other take ten times as long.
    with bar, threadpool_limits(limits=1):
        for evaluation in evaluations:
            said = {
                baseline.name: held_out_predictions(baseline, data.targets, _counted(evaluation.parts, bar))
                for baseline in (*baselines, _stack(columns, evaluation, params))
            }
            write_table(reports_folder / evaluation.file, _predictions_table(said, evaluation))
            metrics[evaluation.name] = {name: _measures(one, evaluation) for name, one in said.items()}
            metrics[evaluation.name][STACK]["this_minus_sbr_regression"] = evaluation.compare(
                evaluation.subjects["target"].to_numpy(np.int64), said[STACK], said[READER]
            )
    write_json(reports_folder / "metrics.json", metrics)
    _log_summary(metrics["out_of_fold"], scope.caption)


@dataclass(frozen=True)
class _Columns:
    """What baselines see of all subjects, rows in the order of the bank.

    worse_putamen : binding ratio, shape (N, 1); ordered_sbr : logs of binding ratios by side, shape (N, 8)
    true_binding : the same of what was simulated, or None where nothing is true; age_sex : shape (N, F)
    voxels : of the striatal box, shape (N, F)
    """

    worse_putamen: FloatArray
    ordered_sbr: FloatArray
    true_binding: FloatArray | None
    age_sex: FloatArray
    voxels: FloatArray


def _columns(images_folder: Path, data: TrainingData) -> _Columns:
    scan_ids = data.splits["scan_id"]
    quality, truth, subjects = (
        in_order(read_table(images_folder / name, ["scan_id", *columns]), scan_ids, images_folder / name)
        for name, columns in (("quality.csv", ()), ("truth.csv", ()), ("subjects.csv", ("sex", "age")))
    )
    voxels = read_array(images_folder / "striatum.npy")
    if len(voxels) != len(scan_ids):
        raise CohortError(
            f"{images_folder / 'striatum.npy'} holds {len(voxels)} scans, the cohort {len(scan_ids)}; run dvc repro"
        )
    has_truth = any(column.startswith(TRUE) for column in truth.columns)
    return _Columns(
        worse_putamen=worse_putamen_sbr(quality)[:, None],
        ordered_sbr=ordered_sides(quality, SBR),
        true_binding=ordered_sides(truth, TRUE) if has_truth else None,
        age_sex=age_sex_columns(subjects),
        voxels=voxels.reshape(len(voxels), -1),
    )


def _baselines(columns: _Columns, data: TrainingData, params: BaselinesParams) -> list[Baseline]:
    """Return all baselines that are the same out of fold and for the test set."""
    logistic = logistic_regression(params.logistic_c)
    seen = "feature" if data.lowered is None else "slab"
    baselines = [
        Baseline("putamen_sbr_threshold", columns.worse_putamen, fit_threshold),
        Baseline(READER, columns.ordered_sbr, logistic),
        Baseline(f"{READER}_age_sex", np.column_stack([columns.ordered_sbr, columns.age_sex]), logistic),
        Baseline("voxel_svm", columns.voxels, linear_svm(params.svm_c)),
        Baseline(f"{seen}_logistic_regression", data.bank[0].astype(np.float64), logistic),
        Baseline("age_sex", columns.age_sex, logistic),
    ]
    if columns.true_binding is not None:
        baselines.append(Baseline(CEILING, columns.true_binding, logistic))
    return baselines


def _stack(columns: _Columns, evaluation: _Evaluation, params: BaselinesParams) -> Baseline:
    """Return the regression on the network's log odds and the binding ratios together."""
    both = np.column_stack([evaluation.logits, columns.ordered_sbr])
    return Baseline(STACK, both, logistic_regression(params.logistic_c))


def _out_of_fold(splits: pd.DataFrame, cv_folder: Path) -> _Evaluation:
    network = _network_predictions(cv_folder / "predictions.csv", splits, "fold")
    return _Evaluation(
        name="out_of_fold",
        place="fold",
        file="predictions.csv",
        subjects=splits,
        parts=fold_parts(splits["fold"].to_numpy()),
        network=network,
        logits=network.scores,
        compare=compare_out_of_fold,
    )


def _holdout(splits: pd.DataFrame, final_folder: Path) -> _Evaluation:
    is_test = (splits["role"] == "test").to_numpy()
    network = _network_predictions(final_folder / "predictions.csv", splits[is_test], "role")
    development = _network_predictions(final_folder / "dev_predictions.csv", splits[~is_test], "dev_fold")
    logits = np.empty(len(splits))
    logits[is_test], logits[~is_test] = network.scores, development.scores
    return _Evaluation(
        name="holdout",
        place="role",
        file="holdout_predictions.csv",
        subjects=splits[is_test],
        parts=[(~is_test, is_test)],
        network=network,
        logits=logits,
        compare=compare_holdout,
    )


def _network_predictions(path: Path, subjects: pd.DataFrame, place: str) -> Predictions:
    """Return what the network said of `subjects`, found by scan_id.

    Raises
    ------
    CohortError : it spoke of other scans, or of other folds.
    """
    table = in_order(
        read_table(path, ["scan_id", place, "logit", "probability", "prediction"]), subjects["scan_id"], path
    )
    moved = table["scan_id"][(table[place].to_numpy() != subjects[place].to_numpy())]
    if len(moved):
        raise CohortError(f"{path}: another {place} than in the split table: {', '.join(moved)}; run dvc repro")
    return Predictions(
        predictions=targets(table["prediction"]),
        scores=table["logit"].to_numpy(np.float64),
        probabilities=table["probability"].to_numpy(np.float64),
    )


def _counted(parts: Iterable[Part], bar: "tqdm[None]") -> Iterator[Part]:
    for part in parts:
        yield part
        bar.update()


def _predictions_table(said: dict[str, Predictions], evaluation: _Evaluation) -> pd.DataFrame:
    """Return a row for each baseline and subject; the probability is empty where a baseline has none."""
    tables = []
    for name, predictions in said.items():
        table = evaluation.subjects[["scan_id", "subject_id", "label", evaluation.place]].copy()
        table.insert(0, "baseline", name)
        table["score"] = predictions.scores
        table["probability"] = np.nan if predictions.probabilities is None else predictions.probabilities
        table["prediction"] = label_names(predictions.predictions)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _measures(said: Predictions, evaluation: _Evaluation) -> dict[str, Any]:
    labels = evaluation.subjects["target"].to_numpy(np.int64)
    measures: dict[str, Any] = {}
    if said.probabilities is None:
        measures |= score_metrics(labels, said.predictions, said.scores)
    else:
        measures |= binary_metrics(labels, said.probabilities)
    if evaluation.place == "fold":
        measures |= fold_mean_auc(labels, said.scores, evaluation.subjects["fold"].to_numpy())
    measures["network_minus_this"] = evaluation.compare(labels, evaluation.network, said)
    return measures


def _log_summary(measures: dict[str, dict[str, Any]], title: str) -> None:
    log.info("out of fold, %s, with 95 %% intervals", title)
    for baseline, values in measures.items():
        log.info(
            "  %-28s accuracy %s   ROC AUC %s   network minus this: accuracy %s",
            baseline,
            with_interval(values, "accuracy"),
            with_interval(values, "roc_auc"),
            with_interval(values["network_minus_this"], "accuracy_difference", signed=True),
        )


if __name__ == "__main__":
    launch(main, "reports_folder")
