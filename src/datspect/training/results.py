"""What a training stage reports beside its models: predictions, curves and pictures."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from datspect.arrays import FloatArray
from datspect.cohort.table import label_names, targets
from datspect.evaluation.curves import mean_curves, pr_points, roc_points
from datspect.evaluation.metrics import predicted_labels
from datspect.figures.curves import pr_figure, roc_figure, training_figure
from datspect.io.png import write_figure
from datspect.io.tables import write_table


def predictions_table(splits: pd.DataFrame, place: str, logits: FloatArray, probabilities: FloatArray) -> pd.DataFrame:
    """Return a row for each row of `splits`, with what was predicted for it.

    The columns are scan_id, subject_id, label, `place` (fold, dev_fold or role), logit, probability and prediction;
    `logits` and `probabilities` have shape (N,).
    """
    table = splits[["scan_id", "subject_id", "label", place]].copy()
    table["logit"], table["probability"] = logits, probabilities
    table["prediction"] = label_names(predicted_labels(probabilities))
    return table


def write_curves(folder: Path, history: pd.DataFrame, caption: str, training: str) -> None:
    """Write history.csv (all heads), curves.csv (their means) and training.png; `training` is for its legend."""
    write_table(folder / "history.csv", history)
    write_table(folder / "curves.csv", mean_curves(history))
    write_figure(folder / "training.png", training_figure(history, caption, training))


def write_evaluation(folder: Path, predictions: pd.DataFrame, metrics: Mapping[str, float], caption: str) -> None:
    """Write predictions.csv and, as tables and pictures, ROC, precision-recall and confusion."""
    truth = targets(predictions["label"])
    roc = roc_points(truth, predictions["probability"].to_numpy())
    pr = pr_points(truth, predictions["probability"].to_numpy())
    roc_text = f"ROC AUC {metrics['roc_auc']:.4f} ({metrics['roc_auc_low']:.4f} to {metrics['roc_auc_high']:.4f})"
    # Sorted, so that a row says nothing of whose it is.
    confusion = predictions[["label", "prediction"]].set_axis(["actual", "predicted"], axis=1)
    write_table(folder / "predictions.csv", predictions)
    write_table(folder / "roc.csv", roc)
    write_table(folder / "pr.csv", pr)
    write_table(folder / "confusion.csv", confusion.sort_values(["actual", "predicted"]))
    write_figure(folder / "roc.png", roc_figure(roc, roc_text, caption))
    write_figure(folder / "pr.png", pr_figure(pr, float(truth.mean()), f"PR AUC {metrics['pr_auc']:.4f}", caption))
