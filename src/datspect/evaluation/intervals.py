"""Compute 95 % intervals of the measures and of their differences.

All are conditional on the fitted models: the subjects vary, the models do not. They do not hold how much another
training run would change a measure.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from datspect.arrays import FloatArray, IntArray

CONFIDENCE = 0.95
N_RESAMPLES = 2000
"""With so many a bound varies from seed to seed by about 6 % of a standard error: sqrt(0.025 * 0.975 / 2000) over the
normal density at 1.96."""
BOOTSTRAP_SEED = 20260
"""It is fixed, so that the same predictions give the same bounds."""
_Z = float(ndtri((1 + CONFIDENCE) / 2))


@dataclass(frozen=True)
class Difference:
    """A difference, first minus second, with its interval and two-sided p value."""

    estimate: float
    low: float
    high: float
    p_value: float


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion.

    >>> low, high = wilson_interval(0, 10)
    >>> low, round(high, 4)  # 1.96^2 / (10 + 1.96^2)
    (0.0, 0.2775)
    """
    from scipy.stats import binomtest  # here, as in `fit_regression`

    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def paired_proportions_interval(n_only_first: int, n_only_second: int, n: int) -> tuple[float, float]:
    """Return the interval of the difference of two proportions over the same n subjects, first minus second.

    It is Wald's interval after half a subject is added to each cell of the 2 x 2 table, cut to [-1, 1]. So its centre
    is a little nearer to 0 than the difference itself, and it has a width even where the two never differ.

    `n_only_first`, `n_only_second`: subjects whom only the first, or only the second, got right.

    References
    ----------
    Agresti, Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine 24
    (2005), 729-740, doi:10.1002/sim.1781.
    """
    net = n_only_first - n_only_second
    centre = net / (n + 2)
    half_width = _Z * float(np.sqrt(n_only_first + n_only_second + 1 - net**2 / (n + 2))) / (n + 2)
    return max(-1.0, centre - half_width), min(1.0, centre + half_width)


def delong_interval(labels: IntArray, scores: FloatArray) -> tuple[float, float]:
    """Return DeLong's interval of the area under the ROC curve, cut to [0, 1].

    `labels` and `scores` have shape (N,). With fewer than two subjects of a class the variance is unknown and the
    interval is [0, 1]. Scores that separate the classes without a slip have variance 0 and the interval [1, 1]: it is
    then too narrow, and small classes make that likely.

    >>> delong_interval(np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    (1.0, 1.0)

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988), 837-845; ranks as in Sun and Xu, IEEE SPL 21 (2014).
    """
    if not _has_variance(labels):
        return 0.0, 1.0
    area, standard_error = _mean_and_error(*_placements(labels, scores))
    return max(0.0, area - _Z * standard_error), min(1.0, area + _Z * standard_error)


def delong_difference(labels: IntArray, first: FloatArray, second: FloatArray) -> Difference:
    """Return the difference of the areas under two ROC curves of the same subjects, cut to [-1, 1].

    All arrays have shape (N,), and both classes must be there. Without a spread (the same ranks in both) the interval
    is the difference itself, and p is 1 if that is 0, else 0. A class of one subject leaves the variance unknown: the
    interval is [-1, 1] and p is 1.

    References
    ----------
    As in `delong_interval`.
    """
    (positives, negatives), (others, other_negatives) = _placements(labels, first), _placements(labels, second)
    if not _has_variance(labels):
        return Difference(float(positives.mean() - others.mean()), -1.0, 1.0, 1.0)
    difference, standard_error = _mean_and_error(positives - others, negatives - other_negatives)
    if standard_error == 0:
        return Difference(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    low, high = max(-1.0, difference - _Z * standard_error), min(1.0, difference + _Z * standard_error)
    return Difference(difference, low, high, float(2 * ndtr(-abs(difference) / standard_error)))


def resampled_counts(labels: IntArray) -> IntArray:
    """Return how often each bootstrap resample holds each subject, shape (`N_RESAMPLES`, N); `labels` has shape (N,).

    Subjects are drawn with replacement within each class, so every resample keeps the size of both classes: the share
    of PD in a cohort is chosen by its design and is not a property of the model.

    >>> counts = resampled_counts(np.array([0, 0, 0, 1]))
    >>> set(counts[:, :3].sum(axis=1).tolist()), set(counts[:, 3].tolist())
    ({3}, {1})
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    counts = np.zeros((N_RESAMPLES, len(labels)), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn = rng.choice(members, (N_RESAMPLES, len(members)))
        np.add.at(counts, (np.arange(N_RESAMPLES)[:, None], drawn), 1)
    return counts


def percentile_interval(values: FloatArray) -> tuple[float, float]:
    """Return the bounds of the middle `CONFIDENCE` of a measure's values over resamples, shape (`N_RESAMPLES`,).

    A measure at its limit in every resample, such as the PR AUC of scores that separate the classes without a slip, has
    an interval of no width, which claims too much.

    References
    ----------
    Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def with_bounds(name: str, estimate: float, interval: tuple[float, float]) -> dict[str, float]:
    """Return an estimate under its name and its interval as `<name>_low` and `<name>_high`, as in all metrics."""
    return {name: estimate, f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _has_variance(labels: IntArray) -> bool:
    n_positive = int(np.sum(labels == 1))
    return min(n_positive, len(labels) - n_positive) >= 2


def _placements(labels: IntArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return for each positive the share of negatives below it, for each negative that of positives above it.

    Ties count half. Both have the area under the ROC curve as their mean. Shapes (P,) and (N - P,).
    """
    from scipy.stats import rankdata  # here, as in `fit_regression`

    positive, negative = scores[labels == 1], scores[labels == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    return (ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m


def _mean_and_error(of_positives: FloatArray, of_negatives: FloatArray) -> tuple[float, float]:
    """Return DeLong's area, or difference of areas, and its standard error, from placements or their differences."""
    variance = of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives)
    return float(of_positives.mean()), float(np.sqrt(variance))
