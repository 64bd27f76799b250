"""What a training stage leaves on disk and says of itself to the tracker."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect.evaluation.curves import mean_curves, pr_points, roc_points
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.plots import pr_figure, roc_figure, training_figure
from datspect.io.figures import write_figure
from datspect.io.tables import write_json, write_table
from datspect.io.training_data import TrainingData
from datspect.provenance import Provenance

_NAMES = np.array(["control", "pd"])


def predictions_table(
    splits: pd.DataFrame, place: str, logits: NDArray[np.floating[Any]], probabilities: NDArray[np.floating[Any]]
) -> pd.DataFrame:
    """Columns scan_id, subject_id, label, `place` (fold, dev_fold or role), logit, probability and prediction."""
    table = splits[["scan_id", "subject_id", "label", place]].copy()
    table["logit"], table["probability"] = logits, probabilities
    table["prediction"] = _NAMES[predicted_labels(probabilities)]
    return table


def write_curves(folder: Path, history: pd.DataFrame, caption: str) -> None:
    """history.csv (all heads), curves.csv (their means) and training.png."""
    write_table(folder / "history.csv", history)
    write_table(folder / "curves.csv", mean_curves(history))
    write_figure(folder / "training.png", training_figure(history, caption))


def write_evaluation(
    folder: Path, predictions: pd.DataFrame, metrics: Mapping[str, float], caption: str, suffix: str = ""
) -> None:
    """predictions.csv and, as tables and pictures, ROC, precision-recall and confusion."""
    targets = (predictions["label"] == "pd").to_numpy().astype(np.int64)
    roc = roc_points(targets, predictions["probability"].to_numpy())
    pr = pr_points(targets, predictions["probability"].to_numpy())
    roc_text = f"ROC AUC {metrics['roc_auc']:.4f} ({metrics['roc_auc_low']:.4f} to {metrics['roc_auc_high']:.4f})"
    write_table(folder / f"predictions{suffix}.csv", predictions)
    write_table(folder / "roc.csv", roc)
    write_table(folder / "pr.csv", pr)
    write_table(
        folder / "confusion.csv", pd.DataFrame({"actual": predictions["label"], "predicted": predictions["prediction"]})
    )
    write_figure(folder / "roc.png", roc_figure(roc, roc_text, caption))
    write_figure(folder / "pr.png", pr_figure(pr, float(targets.mean()), f"PR AUC {metrics['pr_auc']:.4f}", caption))


def write_run_record(
    path: Path, stage: str, data: TrainingData, made_of: Provenance, run_id: str | None, experiment: str
) -> None:
    """run.json: what the result was made from and the MLflow run that was open then; never changed afterwards."""
    write_json(
        path,
        {
            "stage": stage,
            "result_id": made_of.result_id,
            **asdict(made_of),
            "cohort": data.cohort,
            "features": data.bank_record,
            "mlflow": {"run_id": run_id, "experiment": experiment},
        },
    )


def run_tags(data: TrainingData, made_of: Provenance, splits_sha256: str) -> dict[str, str]:
    """Tags of a run: what the result was made from."""
    record = data.bank_record
    return {
        "datspect.result_id": made_of.result_id,
        "datspect.code_sha256": made_of.code_sha256,
        "datspect.params_sha256": made_of.params_sha256,
        "datspect.data_sha256": str(data.cohort["digest"]),
        "datspect.splits_sha256": splits_sha256,
        "datspect.cohort_kind": str(data.cohort["kind"]),
        "datspect.weights_source": str(record["backbone_source"]),
        "datspect.weights_sha256": str(record["backbone_tensor_digest"]),
        "datspect.precision": str(record["precision"]),
    }


def flat_metrics(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested metrics as `outer/inner` numbers, text left out."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flat_metrics(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            flat[f"{prefix}{name}"] = float(value)
    return flat
