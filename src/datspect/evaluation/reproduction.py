"""Compare the answers that two runs of the same graph gave about the same subjects, and judge the difference."""

from dataclasses import dataclass

import numpy as np

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.metrics import log_losses, predicted_labels, roc_areas, weighted_means

MOST_OTHER_DECISIONS = 2 / 659
"""Share of the subjects whose decision may be another; one subject always may."""
MOST_ROC_AUC, MOST_LOSS = 0.002, 0.01
"""How far the ROC AUC and the log loss may differ.

Committed float32 results of an Intel and of an AMD processor differ by at least 2 decisions of 659, by 0.0006 in ROC
AUC and 0.0046 in log loss out of fold, and by 0.0012 in log loss on the holdout.
"""


@dataclass(frozen=True)
class Agreement:
    """How far the probabilities of N subjects agree with those of the reference.

    `n_other` counts decisions that are not the reference's; `largest` is the largest difference of a probability; the
    measures are those of the run, the differences the run's minus the reference's. ROC AUC is NaN where all subjects
    are of one class.
    """

    n: int
    n_other: int
    largest: float
    roc_auc: float
    roc_auc_difference: float
    loss: float
    loss_difference: float

    @property
    def most_other(self) -> int:
        """How many decisions may be others."""
        return max(1, int(MOST_OTHER_DECISIONS * self.n))

    @property
    def reproduced(self) -> bool:
        """Whether every difference is within its limit."""
        close = not abs(self.roc_auc_difference) > MOST_ROC_AUC  # holds without an area, NaN
        return close and self.n_other <= self.most_other and abs(self.loss_difference) <= MOST_LOSS


def agreement(labels: IntArray, reference: FloatArray, found: FloatArray) -> Agreement:
    """Compare `found` probabilities with those of the reference; all arrays have shape (N,), labels 1 for PD.

    >>> same = agreement(np.array([0, 1]), np.array([0.2, 0.9]), np.array([0.2, 0.8]))
    >>> same.n_other, round(same.largest, 3), same.reproduced
    (0, 0.1, False)
    """
    everybody = np.ones((1, len(labels)), np.int64)
    areas = [_area(labels, probabilities, everybody) for probabilities in (found, reference)]
    losses = [float(weighted_means(log_losses(labels, p), everybody)[0]) for p in (found, reference)]
    return Agreement(
        n=len(labels),
        n_other=int((predicted_labels(found) != predicted_labels(reference)).sum()),
        largest=float(np.abs(found - reference).max()),
        roc_auc=areas[0],
        roc_auc_difference=areas[0] - areas[1],
        loss=losses[0],
        loss_difference=losses[0] - losses[1],
    )


def _area(labels: IntArray, probabilities: FloatArray, everybody: IntArray) -> float:
    return float(roc_areas(labels, probabilities, everybody)[0]) if len(set(labels.tolist())) == 2 else float("nan")
