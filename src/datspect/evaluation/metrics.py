"""Measure probabilities and scores: the measures of the paper's tables, their intervals and building blocks."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.intervals import (
    delong_interval,
    percentile_interval,
    resampled_counts,
    wilson_interval,
    with_bounds,
)

THRESHOLD = 0.5
"""At or above this probability a subject is called PD."""
N_CALIBRATION_BINS = 10
TABLE_1_MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
"""Columns of the paper's Table 1."""


@dataclass(frozen=True)
class ConfusionCounts:
    """Right and wrong answers; PD is the positive class."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    def proportions(self) -> dict[str, tuple[int, int]]:
        """Return successes and trials of each proportion by name; trials may be 0."""
        tp, fp, tn, fn = self.true_positive, self.false_positive, self.true_negative, self.false_negative
        return {
            "accuracy": (tp + tn, tp + fp + tn + fn),
            "sensitivity": (tp, tp + fn),
            "specificity": (tn, tn + fp),
            "precision": (tp, tp + fp),
        }


def predicted_labels(probabilities: FloatArray) -> IntArray:
    """Return 1 (PD) where the probability reaches `THRESHOLD`, else 0, of the shape of `probabilities`."""
    return (probabilities >= THRESHOLD).astype(np.int64)


def confusion_counts(labels: IntArray, predictions: IntArray) -> ConfusionCounts:
    """Return the counts of the four outcomes; `labels` and `predictions` have shape (N,), 1 for PD."""
    from sklearn.metrics import confusion_matrix  # here, as in `fit_regression`

    (tn, fp), (fn, tp) = confusion_matrix(labels, predictions, labels=[0, 1])
    return ConfusionCounts(int(tp), int(fp), int(tn), int(fn))


def binary_metrics(labels: IntArray, probabilities: FloatArray) -> dict[str, float]:
    """Return the measures of Table 2, the Brier score, and how well calibrated it is, with 95 % intervals.

    `labels`, 1 for PD, and `probabilities` have shape (N,). Bounds are `<name>_low` and `<name>_high`: Wilson's for
    proportions, DeLong's for ROC AUC, and for PR AUC, loss, Brier score and calibration error the percentile bootstrap
    over subjects, stratified by class. Calibration slope, intercept and the gain by recalibration are those of
    `calibration_measures`. All are conditional on the fitted model. PR AUC is average precision. Measures that a
    one-class set does not have are left out.

    The bootstrap interval of the calibration error lies too high: a resample adds noise to every bin, and the error
    counts noise of either sign. In small sets, or with a well calibrated model, the estimate may lie below it.

    >>> metrics = binary_metrics(np.array([1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.3, 0.4, 0.1]))
    >>> metrics["accuracy"], metrics["specificity"], round(metrics["roc_auc"], 4)  # 4 of 5, 2 of 2, 5 of 6 pairs
    (0.8, 1.0, 0.8333)
    """
    from sklearn.metrics import log_loss  # here, as in `fit_regression`

    from datspect.evaluation.recalibration import calibration_measures

    counts = resampled_counts(labels)
    metrics = _decision_metrics(labels, predicted_labels(probabilities))
    metrics |= _ranking_metrics(labels, probabilities, counts)
    losses, squares = log_losses(labels, probabilities), (probabilities - labels) ** 2
    loss = float(log_loss(labels, probabilities, labels=[0, 1]))
    metrics |= with_bounds("loss", loss, percentile_interval(weighted_means(losses, counts)))
    metrics |= with_bounds("brier", float(squares.mean()), percentile_interval(weighted_means(squares, counts)))
    error = float(calibration_errors(labels, probabilities, np.ones((1, len(labels)), np.int64))[0])
    errors = calibration_errors(labels, probabilities, counts)
    metrics |= with_bounds("calibration_error", error, percentile_interval(errors))
    return metrics | calibration_measures(labels, probabilities)


def score_metrics(labels: IntArray, predictions: IntArray, scores: FloatArray) -> dict[str, float]:
    """Return the measures of `binary_metrics` but those of loss and calibration, which need probabilities.

    `predictions`: 1 is PD; `scores`: higher means more like PD, on any scale. All arrays have shape (N,).
    """
    return _decision_metrics(labels, predictions) | _ranking_metrics(labels, scores, resampled_counts(labels))


def fold_mean_auc(labels: IntArray, scores: FloatArray, folds: IntArray) -> dict[str, float]:
    """Return mean and standard deviation (ddof 0) of the ROC AUC within each fold; all folds weigh the same.

    All arrays have shape (N,). Pooled out-of-fold scores come from different models, whose scales may differ; this mean
    compares no subject across folds. The folds share training subjects, so their spread is not an interval. A fold of
    one class has no AUC and is left out; without any fold the result is empty.
    """
    from sklearn.metrics import roc_auc_score  # here, as in `fit_regression`

    inside = [folds == fold for fold in np.unique(folds)]
    areas = [roc_auc_score(labels[fold], scores[fold]) for fold in inside if _has_both_classes(labels[fold])]
    if not areas:
        return {}
    return {"roc_auc_fold_mean": float(np.mean(areas)), "roc_auc_fold_sd": float(np.std(areas))}


def weighted_mean_and_sd(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Return the mean over folds weighted by their size, and the plain standard deviation (ddof 0), as in Table 1.

    `values` and `weights` have shape (folds,).

    >>> weighted_mean_and_sd(np.array([1.0, 3.0]), weights=np.array([3.0, 1.0]))
    (1.5, 1.0)
    """
    return float(np.average(values, weights=weights)), float(np.std(values))


def log_losses(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return the cross-entropy (natural logarithm) of each subject, shape (N,), clipped as in sklearn's `log_loss`."""
    epsilon = np.finfo(probabilities.dtype).eps
    of_truth = np.where(labels == 1, probabilities, 1 - probabilities)
    return np.asarray(-np.log(np.clip(of_truth, epsilon, 1 - epsilon)))


def weighted_means(values: FloatArray, counts: IntArray) -> FloatArray:
    """Return the mean of `values`, shape (N,), over each resample of `counts`, shape (R, N); shape (R,)."""
    return np.asarray(counts @ values / counts.sum(axis=1))


def roc_areas(labels: IntArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    """Return the ROC AUC over each resample of `counts`, shape (R, N), which must hold both classes; shape (R,)."""
    true_positive, false_positive = _counts_above(labels, scores, counts)
    heights = (true_positive[:, 1:] + true_positive[:, :-1]) / 2  # a tie counts half
    area = np.sum(np.diff(false_positive, axis=1) * heights, axis=1)
    return np.asarray(area / (true_positive[:, -1] * false_positive[:, -1]))


def average_precisions(labels: IntArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    """Return the average precision over each resample of `counts`, shape (R, N), which must hold PD; shape (R,)."""
    true_positive, false_positive = _counts_above(labels, scores, counts)
    # A threshold with nobody above it adds no recall: its precision may be anything finite.
    precision = true_positive / np.maximum(true_positive + false_positive, 1)
    return np.asarray(np.sum(np.diff(true_positive, axis=1) * precision[:, 1:], axis=1) / true_positive[:, -1])


def calibration_errors(labels: IntArray, probabilities: FloatArray, counts: IntArray) -> FloatArray:
    """Return the expected calibration error over each resample of `counts`, shape (R, N); shape (R,).

    Subjects, sorted by probability, are cut into `N_CALIBRATION_BINS` bins of equal size (as np.array_split does). The
    error is the mean over bins, weighted by size, of |mean probability - share of PD|. Equal probabilities that a cut
    divides are shared between the bins in proportion, so the order of the rows does not matter.
    Every row of `counts` must have the same sum.
    """
    order = np.argsort(probabilities, kind="stable")
    ends = _last_of_ties(probabilities[order])
    in_order = counts[:, order]
    excess = (probabilities - labels)[order]
    positions = _with_zero(np.cumsum(in_order, axis=1)[:, ends])
    excesses = _with_zero(np.cumsum(in_order * excess, axis=1)[:, ends])
    n = int(positions[0, -1])
    sizes = [len(part) for part in np.array_split(np.arange(n), N_CALIBRATION_BINS)]
    cuts = np.cumsum([0, *sizes])
    # Bin size times |mean probability - share of PD| is the bin's |sum of excess|; within ties the sum grows evenly.
    at_cuts = np.stack([np.interp(cuts, *row) for row in zip(positions, excesses, strict=True)])
    return np.asarray(np.abs(np.diff(at_cuts, axis=1)).sum(axis=1) / n)


def _decision_metrics(labels: IntArray, predictions: IntArray) -> dict[str, float]:
    """Return n, the four counts, and the proportions that have a denominator."""
    counts = confusion_counts(labels, predictions)
    metrics: dict[str, float] = {"n": len(labels), **asdict(counts)}
    for name, (successes, trials) in counts.proportions().items():
        if trials:
            metrics |= with_bounds(name, successes / trials, wilson_interval(successes, trials))
    return metrics


def _ranking_metrics(labels: IntArray, scores: FloatArray, counts: IntArray) -> dict[str, float]:
    """Return ROC AUC and PR AUC, or nothing for a set of one class."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # here, as in `fit_regression`

    if not _has_both_classes(labels):
        return {}
    area, precision = float(roc_auc_score(labels, scores)), float(average_precision_score(labels, scores))
    metrics = with_bounds("roc_auc", area, delong_interval(labels, scores))
    precisions = average_precisions(labels, scores, counts)
    return metrics | with_bounds("pr_auc", precision, percentile_interval(precisions))


def _counts_above(labels: IntArray, scores: FloatArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return true and false positives at each threshold from above all scores to the lowest.

    Both have shape (R, distinct scores + 1); ties are one threshold.
    """
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_ties(scores[order])
    in_order = counts[:, order]
    true_positive = np.cumsum(in_order * labels[order], axis=1)[:, ends]
    called = np.cumsum(in_order, axis=1)[:, ends]
    return _with_zero(true_positive), _with_zero(called - true_positive)


def _last_of_ties(ordered: FloatArray) -> IntArray:
    """Return the index of the last member of each run of equal values."""
    return np.flatnonzero(np.append(np.diff(ordered) != 0, True))


def _with_zero(cumulative: NDArray[Any]) -> NDArray[Any]:
    return np.pad(cumulative, ((0, 0), (1, 0)))


def _has_both_classes(labels: IntArray) -> bool:
    return bool(0 < np.sum(labels) < len(labels))
