"""How good probabilities are: the measures of the paper's tables and their building blocks."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss, roc_auc_score

from datspect.evaluation.intervals import delong_interval, wilson_interval

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

THRESHOLD = 0.5
"""At or above this probability a subject is called PD."""


@dataclass(frozen=True)
class ConfusionCounts:
    """Right and wrong answers; PD is the positive class."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


def predicted_labels(probabilities: FloatArray) -> IntArray:
    """1 (PD) where the probability reaches `THRESHOLD`, else 0."""
    return (probabilities >= THRESHOLD).astype(np.int64)


def confusion_counts(labels: IntArray, predictions: IntArray) -> ConfusionCounts:
    """Counts of the four outcomes."""
    (tn, fp), (fn, tp) = confusion_matrix(labels, predictions, labels=[0, 1])
    return ConfusionCounts(int(tp), int(fp), int(tn), int(fn))


def binary_metrics(labels: IntArray, probabilities: FloatArray) -> dict[str, float]:
    """The measures of Table 2 with 95 % intervals as `<name>_low` and `<name>_high`.

    Proportions carry Wilson's interval, ROC AUC DeLong's; all are conditional on the fitted model. PR AUC is average
    precision. Measures that a one-class set does not have are left out.
    """
    counts = confusion_counts(labels, predicted_labels(probabilities))
    tp, fp = counts.true_positive, counts.false_positive
    tn, fn = counts.true_negative, counts.false_negative
    proportions = {
        "accuracy": (tp + tn, len(labels)),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "precision": (tp, tp + fp),
    }
    metrics: dict[str, float] = {"n": len(labels), **asdict(counts)}
    for name, (successes, trials) in proportions.items():
        if trials:
            metrics[name] = successes / trials
            metrics |= _bounds(name, wilson_interval(successes, trials))
    metrics["loss"] = float(log_loss(labels, probabilities, labels=[0, 1]))
    if 0 < np.sum(labels) < len(labels):
        metrics["roc_auc"] = float(roc_auc_score(labels, probabilities))
        metrics |= _bounds("roc_auc", delong_interval(labels, probabilities))
        metrics["pr_auc"] = float(average_precision_score(labels, probabilities))
    return metrics


def weighted_mean_and_sd(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Mean over folds weighted by their size, and the plain standard deviation over folds (ddof 0), as in Table 1."""
    return float(np.average(values, weights=weights)), float(np.std(values))


def _bounds(name: str, interval: tuple[float, float]) -> dict[str, float]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}
