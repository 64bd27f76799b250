"""What needs no network: a threshold on the binding ratio of the worse putamen."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


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


def threshold_predictions(sbr: FloatArray, labels: IntArray, folds: IntArray) -> IntArray:
    """Out-of-fold predictions: in each fold the threshold comes from the other folds. Shape (N,), 1 is PD."""
    predictions = np.zeros(len(labels), np.int64)
    for fold in np.unique(folds):
        inside = folds == fold
        predictions[inside] = sbr[inside] < best_threshold(sbr[~inside], labels[~inside])
    return predictions
