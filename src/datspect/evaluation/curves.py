"""Tables of points behind the ROC, precision-recall and confusion plots."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


def roc_points(labels: IntArray, probabilities: FloatArray) -> pd.DataFrame:
    """Columns false_positive_rate and true_positive_rate, from (0, 0) to (1, 1)."""
    false_positive_rate, true_positive_rate, _ = roc_curve(labels, probabilities)
    return pd.DataFrame({"false_positive_rate": false_positive_rate, "true_positive_rate": true_positive_rate})


def pr_points(labels: IntArray, probabilities: FloatArray) -> pd.DataFrame:
    """Columns recall and precision, by rising recall."""
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]})


def mean_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Means over heads by epoch of a long history table (columns head, epoch and curves)."""
    return history.drop(columns="head").groupby("epoch", as_index=False).mean()
