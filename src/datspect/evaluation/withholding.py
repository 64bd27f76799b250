"""Tell which scans a model should not answer at all, by measures in which they lie far outside of the training cohort.

A limit is made of medians, quantiles and one factor of many subjects; it is no single subject's value.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray, FloatArray

N_PARTS = 10
"""Each tenth of the subjects is measured by the reach of the others."""

Range = tuple[float | None, float | None]
"""Lowest and highest value at which a scan is answered; None: no limit on that side."""


@dataclass(frozen=True)
class Withholding:
    """The limits beyond which a scan is not answered.

    ranges : of each measure
    at_most : a new subject of the cohort lies beyond one of them with this chance, or a smaller one
    """

    ranges: Mapping[str, Range]
    at_most: float

    def beyond(self, measures: Mapping[str, float]) -> tuple[tuple[str, bool], ...]:
        """Return each measure beyond its limits, and whether it is too high; one that is no number is too high.

        >>> limits = Withholding({"noise": (0.01, 0.08), "air": (None, 0.1)}, at_most=0.01)
        >>> limits.beyond({"noise": 0.2, "air": 0.0}), limits.beyond({"noise": 0.05, "air": 0.0})
        ((('noise', True),), ())
        """
        found = []
        for name, (low, high) in self.ranges.items():
            value = measures[name]
            if not math.isfinite(value) or (high is not None and value > high):
                found.append((name, True))
            elif low is not None and value < low:
                found.append((name, False))
        return tuple(found)


def fit_withholding(
    measures: pd.DataFrame,
    share: float,
    *,
    tail: float,
    one_sided: frozenset[str] = frozenset(),
    even: frozenset[str] = frozenset(),
) -> Withholding:
    """Return limits that a new subject of the cohort exceeds with a chance of at most `share`, whichever it is.

    `measures`: a row a subject, each measured by what was not fitted on it. Those that are `one_sided` have no limit
    below, those that are `even` reach as far on either side. How far a subject is out is the largest of its measures'
    distances from their medians, each in units of the distance of the quantile `tail`, or of its mirror below, as the
    other nine tenths of the subjects have them: an extreme subject would stretch its own measure. All limits lie at one
    such distance: halfway from the subject which split conformal prediction names to the next, so that no subject's own
    value is kept. Of fewer than 1 / share - 1 subjects none can keep the share; the limit is then beyond the furthest.

    References
    ----------
    Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-free predictive inference for regression", J. Am. Stat.
    Assoc. 113 (2018), 1094-1111, doi:10.1080/01621459.2017.1307116.
    """
    n = len(measures)
    columns = {str(name): measures[name].to_numpy(dtype=float) for name in measures}

    def reached(rows: BoolArray) -> dict[str, tuple[float, float, float]]:
        return {
            name: _reach(values[rows], tail, one_sided=name in one_sided, even=name in even)
            for name, values in columns.items()
        }

    out = np.empty(n)
    for part in range(min(N_PARTS, n)):
        held_out = np.arange(n) % N_PARTS == part
        reach = reached(~held_out if n > 1 else held_out)
        out[held_out] = np.max([_distances(values[held_out], *reach[name]) for name, values in columns.items()], axis=0)
    reach = reached(np.ones(n, bool))
    rank = min(math.ceil((n + 1) * (1 - share) - 1e-9), n)
    factor = _between(np.sort(out), rank)
    ranges = {name: _range(*each, factor) for name, each in reach.items()}
    return Withholding(ranges, (n + 1 - rank) / (n + 1))


def _between(ascending: FloatArray, rank: int) -> float:
    """Return the middle between the value of a rank, counted from 1, and the next; after the last by the gap before.

    >>> _between(np.array([1.0, 2.0, 4.0]), 2), _between(np.array([1.0, 2.0, 4.0]), 3)
    (3.0, 5.0)
    """
    value = float(ascending[rank - 1])
    if rank < len(ascending):
        return (value + float(ascending[rank])) / 2
    return value + (value - float(ascending[max(rank - 2, 0)])) / 2


def _reach(values: FloatArray, tail: float, *, one_sided: bool, even: bool) -> tuple[float, float, float]:
    """Return the median of values, shape (N,), and how far they reach below and above it; 0 below: no limit there.

    A side without any reach has that of the other.
    """
    low, median, high = (float(each) for each in np.quantile(values, [1 - tail, 0.5, tail]))
    below, above = median - low, high - median
    if even:
        below = above = max(below, above)
    return median, 0.0 if one_sided else below or above, above or below


def _distances(values: FloatArray, median: float, below: float, above: float) -> FloatArray:
    centred = values - median
    upwards = centred / above if above else np.zeros_like(centred)
    return np.asarray(np.maximum(upwards, -centred / below if below else 0.0))


def _range(median: float, below: float, above: float, factor: float) -> Range:
    return median - factor * below if below else None, median + factor * above if above else None
