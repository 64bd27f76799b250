"""Models that a network has to beat: simple ones on the same folds, and one that must know nothing.

Whatever they learn (thresholds, means and scales of columns, missing ages, coefficients) comes from the part they are
trained on. Nothing is tuned: their strength of regularisation is fixed in params.yaml.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import linear_kernel
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import predicted_labels

Fitted = Callable[[FloatArray], Predictions]
"""Columns of some subjects, shape (n, F), to what a fitted baseline says of them."""
Fit = Callable[[FloatArray, IntArray], Fitted]
"""Columns (N, F) and labels (N,), 1 for PD, of the training part to a fitted baseline."""

_TOLERANCE, _MAX_ITERATIONS = 1e-6, 10_000
"""With scikit-learn's 1e-4 the log odds of separable classes are off by several; the limit is never reached."""


@dataclass(frozen=True)
class Baseline:
    """A model by name, what it sees of every subject, shape (N, F), and how it learns."""

    name: str
    columns: FloatArray
    fit: Fit


def fold_parts(folds: IntArray) -> list[tuple[BoolArray, BoolArray]]:
    """Training part and held-out part of every fold, each of shape (N,)."""
    return [(folds != fold, folds == fold) for fold in np.unique(folds)]


def held_out_predictions(
    baseline: Baseline, labels: IntArray, parts: Iterable[tuple[BoolArray, BoolArray]]
) -> Predictions:
    """What a baseline says of the held-out subjects, fitted anew for each part, in the order of the subjects.

    Parameters
    ----------
    labels
        Shape (N,), 1 for PD.
    parts
        Training part and held-out part, each of shape (N,); no subject is held out twice. Subjects that no part
        holds out are left out of the result.
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


def worse_putamen_sbr(quality: pd.DataFrame) -> FloatArray:
    """The lower of the left and the right putamen's measured binding ratio, shape (N,)."""
    return np.asarray(quality[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1))


def best_threshold(sbr: FloatArray, labels: IntArray) -> float:
    """The threshold below which calling a subject PD gives the most right answers; the middle one of equals.

    Candidates lie halfway between neighbouring values, and beyond both ends.
    """
    values = np.unique(sbr)
    candidates = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2, [values[-1] + 1]])
    n_right = ((sbr[None, :] < candidates[:, None]) == (labels == 1)[None, :]).sum(axis=1)
    best = np.flatnonzero(n_right == n_right.max())
    return float(candidates[best[len(best) // 2]])


def fit_threshold(columns: FloatArray, labels: IntArray) -> Fitted:
    """PD below `best_threshold` of the only column; the score is the negative value, whatever the threshold."""
    threshold = best_threshold(columns[:, 0], labels)

    def fitted(columns: FloatArray) -> Predictions:
        return Predictions((columns[:, 0] < threshold).astype(np.int64), -columns[:, 0])

    return fitted


def logistic_regression(c: float) -> Fit:
    """Ridge logistic regression on standardised columns; a missing value becomes the training part's median.

    The score is the log odds, so that probabilities that round to 1 still differ.
    """

    def fit(columns: FloatArray, labels: IntArray) -> Fitted:
        if len(np.unique(labels)) < 2:
            return _share_of_pd(labels)
        model = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=c, tol=_TOLERANCE, max_iter=_MAX_ITERATIONS),
        ).fit(columns, labels)

        def fitted(columns: FloatArray) -> Predictions:
            probabilities = model.predict_proba(columns)[:, 1]
            return Predictions(predicted_labels(probabilities), model.decision_function(columns), probabilities)

        return fitted

    return fit


def linear_svm(c: float) -> Fit:
    """Linear support vector machine on standardised columns; the score is the margin, PD from 0 upwards.

    It has no probabilities, and margins of machines fitted apart need not be of one scale.
    """

    def fit(columns: FloatArray, labels: IntArray) -> Fitted:
        if len(np.unique(labels)) < 2:
            share = _share_of_pd(labels)
            return lambda columns: Predictions(share(columns).predictions, share(columns).scores)
        # The kernel as a function: one matrix product in the type of the columns, many times faster than libsvm's own.
        model: Pipeline = make_pipeline(StandardScaler(), SVC(C=c, kernel=linear_kernel)).fit(columns, labels)

        def fitted(columns: FloatArray) -> Predictions:
            margins = model.decision_function(columns)
            return Predictions((margins >= 0).astype(np.int64), margins)

        return fitted

    return fit


def age_sex_columns(subjects: pd.DataFrame) -> FloatArray:
    """Age in years and a 0/1 column for every sex, shape (N, F); an unknown sex is one of its own.

    A missing age is NaN; `logistic_regression` gives it the median age of the training part.
    """
    sexes = pd.get_dummies(subjects["sex"], dtype=float)
    return np.column_stack([subjects["age"].to_numpy(np.float64), sexes.to_numpy()])


def _share_of_pd(labels: IntArray) -> Fitted:
    """For a training part of one class: the same share of PD for everyone, a subject of each class added to it."""
    share = (labels.sum() + 1) / (len(labels) + 2)

    def fitted(columns: FloatArray) -> Predictions:
        probabilities = np.full(len(columns), share)
        return Predictions(predicted_labels(probabilities), np.log(probabilities / (1 - probabilities)), probabilities)

    return fitted
