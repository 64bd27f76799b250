"""Compute the points of the ROC, precision-recall, calibration and training plots."""

import numpy as np
import pandas as pd

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.metrics import N_CALIBRATION_BINS


def roc_points(labels: IntArray, scores: FloatArray) -> pd.DataFrame:
    """Return columns false_positive_rate and true_positive_rate, both rising; `scores`, shape (N,), rise with PD."""
    from sklearn.metrics import roc_curve  # here, as in `fit_regression`

    false_positive_rate, true_positive_rate, _ = roc_curve(labels, scores)
    return pd.DataFrame({"false_positive_rate": false_positive_rate, "true_positive_rate": true_positive_rate})


def pr_points(labels: IntArray, scores: FloatArray) -> pd.DataFrame:
    """Return columns recall and precision, by rising recall; `scores`, shape (N,), rise with PD."""
    from sklearn.metrics import precision_recall_curve  # here, as in `fit_regression`

    precision, recall, _ = precision_recall_curve(labels, scores)
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]})


def mean_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Return means over heads by epoch of a long history table (columns head, epoch and curves)."""
    return history.drop(columns="head").groupby("epoch", as_index=False).mean()


def calibration_bins(labels: IntArray, probabilities: FloatArray, n_bins: int = N_CALIBRATION_BINS) -> pd.DataFrame:
    """Return bins of equal size by rising probability: the mean probability of each bin, and its share of PD.

    `labels` and `probabilities` have shape (N,). Columns are n, mean_probability, pd_fraction and its Wilson bounds
    pd_fraction_low, pd_fraction_high. The sizes differ by one subject at most; with fewer subjects than `n_bins` each
    is a bin of its own. These are the bins of `metrics.calibration_errors`, but equal probabilities that a cut divides
    stay whole subjects, in the order of rows.
    """
    order = np.argsort(probabilities, kind="stable")
    rows = []
    for members in np.array_split(order, min(n_bins, len(order))):
        n_pd = int(labels[members].sum())
        low, high = wilson_interval(n_pd, len(members))
        rows.append((len(members), float(probabilities[members].mean()), n_pd / len(members), low, high))
    columns = ["n", "mean_probability", "pd_fraction", "pd_fraction_low", "pd_fraction_high"]
    return pd.DataFrame(rows, columns=columns)
