"""Turn a network's log odds into probabilities that mean what they say, and count undecided answers."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.errors import PrevalenceError
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.metrics import predicted_labels


@dataclass(frozen=True)
class Calibration:
    """Calibrated log odds: slope x log odds + intercept; the slope is never negative."""

    slope: float
    intercept: float

    def log_odds(self, logits: FloatArray) -> FloatArray:
        """Return calibrated log odds of PD, in double precision, of the shape of `logits`."""
        return np.asarray(self.slope * np.asarray(logits, np.float64) + self.intercept)

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Return calibrated probabilities of PD, in double precision, of the shape of `logits`."""
        return np.asarray(expit(self.log_odds(logits)))


def prevalence_shift(trained: float, asked: float) -> float:
    """Return what to add to log odds that are right at prevalence `trained` so that they are right at `asked`.

    Both are shares of PD, between 0 and 1. It holds if PD and controls look the same at both places, and only their
    numbers differ.

    >>> odds = 4.0  # at a prevalence of one half the odds are the likelihood ratio
    >>> float(np.exp(np.log(odds) + prevalence_shift(0.5, 0.2)).round(6))  # 4 times 0.2 / 0.8
    1.0

    Raises
    ------
    PrevalenceError : `asked` does not lie between 0 and 1.

    References
    ----------
    Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
    Computation 14 (2002), 21-41, doi:10.1162/089976602753284446. What it costs not to: Godau et al., "Navigating
    prevalence shifts in image analysis algorithm deployment", Medical Image Analysis 102 (2025), 103504,
    doi:10.1016/j.media.2025.103504. They fit slope and intercept anew with the classes weighted to the prevalence; with
    right log odds that comes to this shift.
    """
    if not 0 < asked < 1:
        raise PrevalenceError(f"prevalence {asked:g}: expected a share of PD between 0 and 1, such as 0.1 for 10 %")
    return float(logit(asked) - logit(trained))


def log_odds(probabilities: FloatArray) -> FloatArray:
    """Return the log odds of float32 probabilities, any shape; 0 and 1 count as their nearest neighbours within."""
    cut = np.clip(probabilities.astype(np.float64), np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)
    return np.asarray(np.log(cut) - np.log1p(-cut))


def fit_calibration(labels: IntArray, logits: FloatArray) -> Calibration:
    """Fit Platt's calibration to log odds of subjects that the model has not seen.

    `labels` and `logits` have shape (N,), and both classes must be there. Labels are softened to (n + 1) / (n + 2) as
    he advises, so that separable classes give finite figures. Scores that rank the classes the wrong way round, or not
    at all, tell nothing: the slope is then 0, and the probability is the share of PD.

    >>> wrong_way_round = fit_calibration(np.array([0, 0, 1, 1]), np.array([2.0, 1.0, -1.0, -2.0]))
    >>> wrong_way_round.probabilities(np.array([-3.0, 3.0]))
    array([0.5, 0.5])

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers (1999), 61-74.
    """
    from sklearn.linear_model import LogisticRegression  # here, as in `fit_regression`

    n_positive, n = int(labels.sum()), len(labels)
    soft = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (n - n_positive + 2))
    # Every subject counts once as PD and once as control, weighted by its soft label.
    column = np.concatenate([logits, logits]).astype(np.float64)[:, None]
    targets, weights = np.repeat([1, 0], n), np.concatenate([soft, 1 - soft])
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(column, targets, sample_weight=weights)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope > 0:
        return Calibration(slope, intercept)
    return Calibration(0.0, float(np.log(soft.sum() / (n - soft.sum()))))


def cross_calibrated(labels: IntArray, logits: FloatArray, folds: IntArray) -> FloatArray:
    """Return calibrated probabilities, shape (N,), of all subjects, each by a calibration fitted on the other folds."""
    result = np.full(len(labels), np.nan)
    for fold in np.unique(folds):
        held_out = folds == fold
        result[held_out] = fit_calibration(labels[~held_out], logits[~held_out]).probabilities(logits[held_out])
    return result


def decision_measures(labels: IntArray, probabilities: FloatArray, inconclusive: BoolArray) -> dict[str, float]:
    """Return the share of conclusive subjects and the accuracy among them and among all, with Wilson's 95 % bounds.

    Every array has shape (N,). Without a conclusive subject the accuracy among them is missing.
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
