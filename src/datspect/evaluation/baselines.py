"""Fit models that a network has to beat: simple ones on the same folds, and one that must know nothing.

They learn everything (thresholds, means and scales of columns, missing ages, coefficients) from their training part.
Nothing is tuned: params.yaml fixes their strength of regularisation.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.regression import fit_regression

Fitted = Callable[[FloatArray], Predictions]
"""A fitted baseline: from columns of subjects, shape (n, F), to its predictions."""
Fit = Callable[[FloatArray, IntArray], Fitted]
"""From columns, shape (N, F), and labels, shape (N,), 1 for PD, of the training part to a fitted baseline."""

SBR = "sbr_"
"""Columns of measured binding ratios begin with it."""
LEAST_BINDING = 0.05
"""Binding ratios below count as this: they are noise around 0, and have no logarithm."""


@dataclass(frozen=True)
class Baseline:
    """A model: its name, the columns that it sees of all subjects, shape (N, F), and how it learns."""

    name: str
    columns: FloatArray
    fit: Fit


def fold_parts(folds: IntArray) -> list[tuple[BoolArray, BoolArray]]:
    """Return training part and held-out part of every fold, each bool, shape (N,)."""
    return [(folds != fold, folds == fold) for fold in np.unique(folds)]


def held_out_predictions(
    baseline: Baseline, labels: IntArray, parts: Iterable[tuple[BoolArray, BoolArray]]
) -> Predictions:
    """Return a baseline's predictions of the held-out subjects in their order, fitted anew for each part.

    `labels`: shape (N,), 1 for PD. `parts`: training part and held-out part, each bool, shape (N,); no subject is held
    out twice. The result leaves out subjects that no part holds out.
    """
    rows, said = [], []
    for training, held_out in parts:
        fitted = baseline.fit(baseline.columns[training], labels[training])
        rows.append(np.flatnonzero(held_out))
        said.append(fitted(baseline.columns[held_out]))
    order = np.argsort(np.concatenate(rows))
    probabilities = [one.probabilities for one in said if one.probabilities is not None]
    return Predictions(
        predictions=np.concatenate([one.predictions for one in said])[order],
        scores=np.concatenate([one.scores for one in said])[order],
        probabilities=np.concatenate(probabilities)[order] if probabilities else None,
    )


def ordered_sides(table: pd.DataFrame, prefix: str) -> FloatArray:
    """Return logarithms of the lower and the higher side's binding ratio of every region, shape (N, 2 x regions).

    Regions are those with columns `<prefix><region>_left` and `_right`, in alphabetical order. Which side is ill tells
    nothing, but how ill the worse side is: a linear model on left and right cannot say that.

    >>> table = pd.DataFrame({"sbr_putamen_left": [1.0, 2.0], "sbr_putamen_right": [2.0, -0.1]})
    >>> np.exp(ordered_sides(table, "sbr_"))
    array([[1.  , 2.  ],
           [0.05, 2.  ]])
    """
    lefts = sorted(name for name in table.columns if name.startswith(prefix) and name.endswith("_left"))
    pairs = [table[[left, f"{left.removesuffix('left')}right"]].to_numpy(np.float64) for left in lefts]
    ordered = np.concatenate([np.sort(pair, axis=1) for pair in pairs], axis=1)
    return np.asarray(np.log(np.maximum(ordered, LEAST_BINDING)))


def worse_putamen_sbr(quality: pd.DataFrame) -> FloatArray:
    """Return the lower of the left and the right putamen's measured binding ratio, shape (N,)."""
    return np.asarray(quality[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1))


def best_threshold(sbr: FloatArray, labels: IntArray) -> float:
    """Return the threshold below which calling a subject PD gives the most right answers; the middle one of equals.

    `sbr` and `labels` have shape (N,). Candidates lie halfway between neighbouring values, and beyond both ends.

    >>> best_threshold(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 0, 0]))
    2.5
    """
    values = np.unique(sbr)
    candidates = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2, [values[-1] + 1]])
    n_right = ((sbr[None, :] < candidates[:, None]) == (labels == 1)[None, :]).sum(axis=1)
    best = np.flatnonzero(n_right == n_right.max())
    return float(candidates[best[len(best) // 2]])


def fit_threshold(columns: FloatArray, labels: IntArray) -> Fitted:
    """Fit PD below `best_threshold` to columns, shape (N, 1), and labels (N,); the score is the negative value."""
    threshold = best_threshold(columns[:, 0], labels)

    def fitted(columns: FloatArray) -> Predictions:
        return Predictions((columns[:, 0] < threshold).astype(np.int64), -columns[:, 0])

    return fitted


def logistic_regression(c: float) -> Fit:
    """Return a ridge logistic regression on standardised columns; a missing value becomes the training part's median.

    The score is the log odds, so that scores differ even where probabilities round to 1.
    """

    def fit(columns: FloatArray, labels: IntArray) -> Fitted:
        regression = fit_regression(columns, labels, c)

        def fitted(columns: FloatArray) -> Predictions:
            scores = regression.log_odds(columns)
            probabilities = np.asarray(expit(scores))
            return Predictions(predicted_labels(probabilities), scores, probabilities)

        return fitted

    return fit


def linear_svm(c: float) -> Fit:
    """Return a linear support vector machine on standardised columns; the score is the margin, PD from 0 upwards.

    It gives no probabilities, and margins of machines fitted apart may differ in scale.
    """
    from sklearn.metrics.pairwise import linear_kernel  # here, as in `fit_regression`
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def fit(columns: FloatArray, labels: IntArray) -> Fitted:
        if len(np.unique(labels)) < 2:
            share = _share_of_pd(labels)
            return lambda columns: Predictions(share(columns).predictions, share(columns).scores)
        # This kernel is one matrix product in the type of the columns, many times faster than libsvm's own.
        model = make_pipeline(StandardScaler(), SVC(C=c, kernel=linear_kernel)).fit(columns, labels)

        def fitted(columns: FloatArray) -> Predictions:
            margins = model.decision_function(columns)
            return Predictions((margins >= 0).astype(np.int64), margins)

        return fitted

    return fit


def age_sex_columns(subjects: pd.DataFrame) -> FloatArray:
    """Return age in years and a 0/1 column for every sex, shape (N, F); an unknown sex has its own column.

    A missing age is NaN; `logistic_regression` replaces it by the median age of the training part.
    """
    sexes = pd.get_dummies(subjects["sex"], dtype=float)
    return np.column_stack([subjects["age"].to_numpy(np.float64), sexes.to_numpy()])


def _share_of_pd(labels: IntArray) -> Fitted:
    """Fit a training part of one class: everyone gets its share of PD, after a subject of each class is added."""
    share = (labels.sum() + 1) / (len(labels) + 2)

    def fitted(columns: FloatArray) -> Predictions:
        probabilities = np.full(len(columns), share)
        return Predictions(predicted_labels(probabilities), np.log(probabilities / (1 - probabilities)), probabilities)

    return fitted
