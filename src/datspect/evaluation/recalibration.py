"""Measure how well stated probabilities are calibrated: slope, intercept, and what a recalibration would gain."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, gammaincinv, xlogy

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.intervals import CONFIDENCE, with_bounds

STEEPEST = 50.0
"""No slope beyond this, of either sign, is looked for."""

_HALF_DROP = float(gammaincinv(0.5, CONFIDENCE))
"""The log likelihood at an interval's ends lies so far below its maximum: half a quantile of chi squared."""


def calibration_measures(labels: IntArray, probabilities: FloatArray) -> dict[str, float]:
    """Return calibration slope and intercept with 95 % bounds, and the gain in log loss by a recalibration.

    `labels`, 1 for PD, and `probabilities` have shape (N,). All rest on the log odds that were stated, cut where the
    log loss cuts them. The slope is the factor by which they should be multiplied, in a logistic regression of the
    labels on them: below 1 they are too extreme. The intercept is what should be added, their factor being 1: below 0
    they are too high. Bounds are those of the profile likelihood. The gain is the mean log loss minus what is left of
    it after the best slope and intercept on these very subjects; given well calibrated probabilities it is near 1 / N.

    A set of one class has none of them. If the log odds separate the classes, or are all alike, the slope is not known
    and left out.

    >>> measures = calibration_measures(np.repeat([1, 0, 1, 0], [40, 10, 10, 40]), np.repeat([16 / 17, 1 / 17], 50))
    >>> round(measures["calibration_slope"], 3)  # true odds of 4 were stated as their square
    0.5

    References
    ----------
    Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958), 562-565; reported as
    TRIPOD+AI asks: Collins et al., BMJ 385 (2024), e078378, doi:10.1136/bmj-2023-078378.
    """
    if len(np.unique(labels)) < 2:
        return {}
    log_odds = stated_log_odds(probabilities)
    measures = _intercept(labels, log_odds)
    if _separates(labels, log_odds):
        best = _largest_once_separated(labels, log_odds)
    else:
        slope, best = _slope(labels, log_odds)
        measures = slope | measures
    gain = (best - _log_likelihood(labels, log_odds)) / len(labels)
    return measures | {"recalibration_gain": max(0.0, gain)}


def stated_log_odds(probabilities: FloatArray) -> FloatArray:
    """Return log odds, of the shape of `probabilities`, which are cut as for the log loss."""
    epsilon = np.finfo(probabilities.dtype).eps
    cut = np.clip(probabilities, epsilon, 1 - epsilon).astype(np.float64)
    return np.asarray(np.log(cut) - np.log1p(-cut))


def _slope(labels: IntArray, log_odds: FloatArray) -> tuple[dict[str, float], float]:
    """Return the slope with its bounds, and the largest log likelihood."""

    def profile(slope: float) -> float:
        return _log_likelihood(labels, _shifted(labels, slope * log_odds))

    found = minimize_scalar(lambda slope: -profile(slope), bounds=(-STEEPEST, STEEPEST), options={"xatol": 1e-7})
    best = -float(found.fun)
    return with_bounds("calibration_slope", float(found.x), _bounds(profile, float(found.x), best)), best


def _intercept(labels: IntArray, log_odds: FloatArray) -> dict[str, float]:
    def likelihood(intercept: float) -> float:
        return _log_likelihood(labels, log_odds + intercept)

    best = float((_shifted(labels, log_odds) - log_odds)[0])
    return with_bounds("calibration_intercept", best, _bounds(likelihood, best, likelihood(best)))


def _bounds(likelihood: Callable[[float], float], best: float, largest: float) -> tuple[float, float]:
    """Return where a concave likelihood, largest at `best`, has fallen to the ends of the interval."""

    def above(value: float) -> float:
        return likelihood(value) - largest + _HALF_DROP

    ends = []
    for direction in (-1.0, 1.0):
        step = 0.25
        while above(best + direction * step) > 0 and step < 2 * STEEPEST:
            step *= 2
        far = best + direction * step
        ends.append(brentq(above, *sorted((best, far))) if above(far) < 0 else far)
    return float(ends[0]), float(ends[1])


def _shifted(labels: IntArray, log_odds: FloatArray) -> FloatArray:
    """Return log odds plus the intercept at which the expected number of PD is the true one."""
    widest = float(np.abs(log_odds).max()) + STEEPEST
    shift = brentq(lambda shift: expit(log_odds + shift).sum() - labels.sum(), -widest, widest)
    return np.asarray(log_odds + shift)


def _log_likelihood(labels: IntArray, log_odds: FloatArray) -> float:
    return -float(np.logaddexp(0, np.where(labels == 1, -log_odds, log_odds)).sum())


def _separates(labels: IntArray, log_odds: FloatArray) -> bool:
    positive, negative = log_odds[labels == 1], log_odds[labels == 0]
    return bool(positive.min() >= negative.max() or positive.max() <= negative.min())


def _largest_once_separated(labels: IntArray, log_odds: FloatArray) -> float:
    """Return what the log likelihood of an ever steeper slope comes near to: only ties of both classes are unsure."""
    shared = np.intersect1d(log_odds[labels == 1], log_odds[labels == 0])
    tied = labels[np.isin(log_odds, shared)]
    return float(xlogy(tied, tied.mean()).sum() + xlogy(1 - tied, 1 - tied.mean()).sum()) if len(tied) else 0.0
