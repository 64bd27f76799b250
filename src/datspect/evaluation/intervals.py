"""95 % intervals of the measures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, rankdata

CONFIDENCE = 0.95


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion."""
    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def delong_interval(labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """DeLong's interval of the area under the ROC curve, cut to [0, 1]; each class needs two subjects or more.

    With fewer the variance is unknown and the interval is [0, 1].

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988), 837-845; ranks as in Sun and Xu, IEEE SPL 21 (2014).
    """
    positive, negative = scores[labels == 1], scores[labels == 0]
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return 0.0, 1.0
    ranks = rankdata(np.concatenate([positive, negative]))
    of_positives = (ranks[:m] - rankdata(positive)) / n  # share of negatives below each positive
    of_negatives = 1 - (ranks[m:] - rankdata(negative)) / m
    auc = float(of_positives.mean())
    variance = of_positives.var(ddof=1) / m + of_negatives.var(ddof=1) / n
    half_width = float(norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance))
    return max(0.0, auc - half_width), min(1.0, auc + half_width)
