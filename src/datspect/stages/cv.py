"""Stage `cv`: the paper's ten-fold cross-validation, all folds trained as one stack (Table 1)."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect import crossval, results, tracking
from datspect.cohort.table import cohort_title
from datspect.digests import file_digest
from datspect.evaluation.baselines import threshold_predictions, worse_putamen_sbr
from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.metrics import binary_metrics
from datspect.io.models import write_model
from datspect.io.tables import read_table, write_json, write_table
from datspect.io.training_data import TrainingData, TrainingInputs, read_training_data
from datspect.launch import launch
from datspect.modeling.heads import FittedHead, Head, build_head, logits
from datspect.params import PARAMS_PATH, Params, load_params
from datspect.provenance import provenance

log = logging.getLogger("datspect.cv")


def main(
    images_folder: Path,
    features_folder: Path,
    splits_path: Path,
    models_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Train a head per fold; write heads, history, out-of-fold predictions, Table 1 and metrics; then log them."""
    params = load_params(params_path)
    inputs = TrainingInputs.within(images_folder, features_folder, splits_path)
    data = read_training_data(inputs)
    quality = read_table(images_folder / "quality.csv", ["scan_id", "sbr_putamen_left", "sbr_putamen_right"])
    sections = {"classifier": params.classifier, "training": params.training}
    made_of = provenance("cv", sections, [*inputs.paths(), images_folder / "quality.csv"])
    with tracking.open_run(
        "cv",
        stage="cv",
        experiment=params.tracking.experiment,
        params={name: section.model_dump(mode="json") for name, section in sections.items()}
        | {"features": data.bank_record},
        tags=results.run_tags(data, made_of, file_digest(splits_path)),
    ) as run:
        heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)
        fitted = crossval.train(heads, data.bank, data.targets, params.training.batch_size, "cv")
        metrics = _write_results(heads, fitted, data, quality, params, models_folder, reports_folder)
        results.write_run_record(
            reports_folder / "run.json", "cv", data, made_of, run.run_id, params.tracking.experiment
        )
        _log_results(run, heads, fitted, data, metrics, models_folder, reports_folder)


def _write_results(
    heads: list[Head],
    fitted: list[FittedHead],
    data: TrainingData,
    quality: pd.DataFrame,
    params: Params,
    models_folder: Path,
    reports_folder: Path,
) -> dict[str, Any]:
    """Everything to disk; gives the metrics."""
    caption = f"{len(heads)}-fold cross-validation, {cohort_title(data.cohort['kind'])}"
    results.write_curves(reports_folder, crossval.history_table(fitted), caption)
    scores = crossval.out_of_fold_logits(heads, fitted, data.bank[0])
    probabilities = crossval.probabilities(scores)
    predictions = results.predictions_table(data.splits, "fold", scores, probabilities)
    table_1 = crossval.table_1(heads, fitted)
    metrics = {
        "cohort_kind": data.cohort["kind"],
        "cv": crossval.table_1_summary(table_1),
        "out_of_fold": binary_metrics(data.targets, probabilities),
        "putamen_sbr_threshold": _putamen_baseline(data, quality),
    }
    results.write_evaluation(reports_folder, predictions, metrics["out_of_fold"], f"out of fold, {caption}")
    write_table(reports_folder / "table1.csv", table_1)
    write_json(reports_folder / "metrics.json", metrics)
    for head in fitted:
        write_model(models_folder / f"{head.name}.keras", build_head(head.weights, params.classifier.dropout))
    log.info(
        "out of fold: accuracy %.4f, ROC AUC %.4f; putamen-SBR threshold on the same folds: accuracy %.4f (%s)",
        metrics["out_of_fold"]["accuracy"],
        metrics["out_of_fold"]["roc_auc"],
        metrics["putamen_sbr_threshold"]["accuracy"],
        cohort_title(data.cohort["kind"]),
    )
    return metrics


def _putamen_baseline(data: TrainingData, quality: pd.DataFrame) -> dict[str, float]:
    """Accuracy of a threshold on the worse putamen, chosen in each fold on the other folds."""
    ordered = quality.set_index("scan_id").loc[data.splits["scan_id"]]
    predictions = threshold_predictions(worse_putamen_sbr(ordered), data.targets, data.splits["fold"].to_numpy())
    n_right = int(np.sum(predictions == data.targets))
    low, high = wilson_interval(n_right, len(predictions))
    return {"accuracy": n_right / len(predictions), "accuracy_low": low, "accuracy_high": high}


def _log_results(
    run: tracking.Run,
    heads: list[Head],
    fitted: list[FittedHead],
    data: TrainingData,
    metrics: dict[str, Any],
    models_folder: Path,
    reports_folder: Path,
) -> None:
    """The written results to MLflow: means on the parent run, each fold's curves and head on a child of its own."""
    run.log_dataset(data.splits, name=data.cohort["kind"], digest=data.cohort["digest"], context="cross-validation")
    run.log_metrics(results.flat_metrics(metrics))
    run.log_files(sorted(path for path in reports_folder.iterdir() if path.is_file()), "reports")
    clean = data.bank[0].astype(np.float32)
    for head, result in zip(heads, fitted, strict=True):
        with run.child(head.name, params={"seed": head.seed, "n_train": len(head.train_rows)}) as child:
            child.log_metrics({f"fold/{name}": result.history[name][-1] for name in crossval.TABLE_1_MEASURES})
            child.log_history({f"epoch/{name}": curve for name, curve in result.history.items()})
            child.log_keras_model(
                models_folder / f"{head.name}.keras",
                name="head",
                example=clean[head.validation_rows],
                prediction=_as_model_output(result, clean[head.validation_rows]),
            )


def _as_model_output(result: FittedHead, features: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    scores = logits(result.weights, features)
    return np.asarray(crossval.probabilities(scores)[:, None].astype(np.float32))


if __name__ == "__main__":
    launch(main)
