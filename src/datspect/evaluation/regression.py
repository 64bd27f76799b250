"""Fit a ridge logistic regression on standardised columns, in a form that can be kept and applied anywhere."""

from dataclasses import dataclass

import numpy as np

from datspect.arrays import BoolArray, FloatArray, IntArray

_TOLERANCE, _MAX_ITERATIONS = 1e-6, 10_000
"""scikit-learn's tolerance of 1e-4 leaves errors of several in the log odds of separable classes. The limit of
iterations is never reached."""


@dataclass(frozen=True, eq=False)
class Regression:
    """Log odds that are linear in F columns; a missing value counts as the median of those learnt from.

    medians, weights : shape (F,), on the scale of the columns themselves
    """

    medians: FloatArray
    weights: FloatArray
    intercept: float

    def log_odds(self, columns: FloatArray) -> FloatArray:
        """Return log odds, shape (n,), of columns, shape (n, F).

        >>> half = Regression(medians=np.array([4.0]), weights=np.array([0.5]), intercept=-1.0)
        >>> half.log_odds(np.array([[2.0], [np.nan]]))
        array([0., 1.])
        """
        filled = np.where(np.isnan(columns), self.medians, columns)
        return np.asarray(filled @ self.weights + self.intercept)


def fit_regression(columns: FloatArray, targets: IntArray | BoolArray, c: float) -> Regression:
    """Fit to columns, shape (N, F), and targets 0 or 1, shape (N,); `c` is the inverse strength of the ridge.

    Targets of one class give everyone its share, after a subject of each class is added.
    """
    # Here: what is fitted is applied without scikit-learn, which takes a second and 90 MB.
    from sklearn.linear_model import LogisticRegression

    columns, targets = np.asarray(columns, np.float64), np.asarray(targets, np.int64)
    if len(np.unique(targets)) < 2:
        n_positive, n, nothing = int(targets.sum()) + 1, len(targets) + 2, np.zeros(columns.shape[1])
        return Regression(nothing, nothing, float(np.log(n_positive / (n - n_positive))))
    medians = _medians(columns)
    filled = np.where(np.isnan(columns), medians, columns)
    means, sds = filled.mean(axis=0), filled.std(axis=0)
    varies = sds > len(filled) * np.finfo(np.float64).eps * np.abs(means)  # by more than rounding
    scales = np.where(varies, sds, 1.0)
    logistic = LogisticRegression(C=c, tol=_TOLERANCE, max_iter=_MAX_ITERATIONS).fit((filled - means) / scales, targets)
    weights = logistic.coef_[0] / scales
    return Regression(medians, np.asarray(weights), float(logistic.intercept_[0] - means @ weights))


def _medians(columns: FloatArray) -> FloatArray:
    """Return the median of the values of each column, shape (F,); 0 of one without any."""
    missing = np.isnan(columns)
    known = np.where(missing.all(axis=0), 0.0, columns)
    return np.asarray(np.nanmedian(known, axis=0) if missing.any() else np.median(columns, axis=0))
