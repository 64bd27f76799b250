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
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    targets = np.asarray(targets, np.int64)
    n_features = columns.shape[1]
    if len(np.unique(targets)) < 2:
        n_positive, n = int(targets.sum()) + 1, len(targets) + 2
        return Regression(np.zeros(n_features), np.zeros(n_features), float(np.log(n_positive / (n - n_positive))))
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    scaler, logistic = StandardScaler(), LogisticRegression(C=c, tol=_TOLERANCE, max_iter=_MAX_ITERATIONS)
    make_pipeline(imputer, scaler, logistic).fit(columns, targets)
    weights = logistic.coef_[0] / scaler.scale_
    intercept = float(logistic.intercept_[0] - scaler.mean_ @ weights)
    return Regression(np.asarray(imputer.statistics_), np.asarray(weights), intercept)
