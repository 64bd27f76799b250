"""From a network's log odds to probabilities that mean what they say, and to the cases that are left undecided."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.metrics import THRESHOLD, predicted_labels


@dataclass(frozen=True)
class Calibration:
    """Calibrated log odds are slope x log odds + intercept; the slope is never negative."""

    slope: float
    intercept: float

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Calibrated probabilities of PD, in double precision."""
        return np.asarray(expit(self.slope * np.asarray(logits, np.float64) + self.intercept))


@dataclass(frozen=True)
class Band:
    """Calibrated probabilities nearer to `THRESHOLD` than `half_width` are inconclusive."""

    half_width: float

    def holds(self, probabilities: FloatArray) -> BoolArray:
        """Whether each is inconclusive."""
        return np.asarray(np.abs(probabilities - THRESHOLD) < self.half_width)


def log_odds(probabilities: FloatArray) -> FloatArray:
    """Log odds of float32 probabilities, those at 0 and 1 cut to the nearest below and above."""
    cut = np.clip(probabilities.astype(np.float64), np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)
    return np.asarray(np.log(cut) - np.log1p(-cut))


def fit_calibration(labels: IntArray, logits: FloatArray) -> Calibration:
    """Platt's calibration of log odds of subjects that the model has not seen; both of shape (N,), both classes there.

    Labels are softened to (n + 1) / (n + 2) as he advises, so that separable classes give finite figures. Scores that
    rank the classes the wrong way round, or not at all, tell nothing: slope 0, and the share of PD as the probability.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers (1999), 61-74.
    """
    n_positive, n = int(labels.sum()), len(labels)
    soft = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (n - n_positive + 2))
    # Every subject once as PD and once as control, weighted by its soft label.
    column = np.concatenate([logits, logits]).astype(np.float64)[:, None]
    targets, weights = np.repeat([1, 0], n), np.concatenate([soft, 1 - soft])
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(column, targets, sample_weight=weights)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope > 0:
        return Calibration(slope, intercept)
    return Calibration(0.0, float(np.log(soft.sum() / (n - soft.sum()))))


def cross_calibrated(labels: IntArray, logits: FloatArray, folds: IntArray) -> FloatArray:
    """Calibrated probabilities of all subjects, shape (N,), each by a calibration fitted on the other folds."""
    result = np.full(len(labels), np.nan)
    for fold in np.unique(folds):
        held_out = folds == fold
        result[held_out] = fit_calibration(labels[~held_out], logits[~held_out]).probabilities(logits[held_out])
    return result


def inconclusive_band(probabilities: FloatArray, coverage: float) -> Band:
    """The widest band that leaves at least the share `coverage` of `probabilities`, shape (N,), conclusive."""
    distances = np.sort(np.abs(probabilities - THRESHOLD))
    n_undecided = int(np.floor((1 - coverage) * len(distances) + 1e-9))
    return Band(float(distances[n_undecided]) if n_undecided < len(distances) else 1.0)


def decision_measures(labels: IntArray, probabilities: FloatArray, inconclusive: BoolArray) -> dict[str, float]:
    """Share of conclusive subjects and the accuracy among them and among all, with Wilson's 95 % bounds.

    Every array has shape (N,). Without a conclusive subject there is no accuracy among them, and the key is missing.
    """
    conclusive = ~inconclusive
    right = predicted_labels(probabilities) == labels
    n, n_conclusive, n_right = len(labels), int(conclusive.sum()), int((right & conclusive).sum())
    measures = with_bounds("coverage", n_conclusive / n, wilson_interval(n_conclusive, n))
    measures |= with_bounds("accuracy", float(right.mean()), wilson_interval(int(right.sum()), n))
    if n_conclusive:
        bounds = wilson_interval(n_right, n_conclusive)
        measures |= with_bounds("conclusive_accuracy", n_right / n_conclusive, bounds)
    return measures
