"""Repeat the published experiment of mixed resolution: scans as they are, all smoothed, and half of them smoothed.

Wenzel et al., "Automatic classification of dopamine transporter SPECT: deep convolutional neural networks can be
trained to be robust with respect to variable image characteristics", EJNMMI 46 (2019), 2800-2811,
doi:10.1007/s00259-019-04502-5. There a threshold on the putamen lost when both kinds were mixed, a network did not.
Here threshold and regression are fitted to each kind anew; the network stays as it was trained.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.baselines import fit_threshold, logistic_regression
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.robustness import NETWORK, REGRESSION, THRESHOLD, brief_measures

KINDS = ("original", "smoothed", "mixed")


@dataclass(frozen=True, eq=False)
class TwoResolutions:
    """N subjects whose scans were measured as they are, first, and smoothed, second.

    targets : 1 for PD, shape (N,); smoothed : whose smoothed scan is taken where both kinds are mixed, shape (N,)
    ratios : as `ordered_sides` gives them, shape (2, N, R); sbr : of the worse putamen, shape (2, N)
    """

    targets: IntArray
    smoothed: BoolArray
    ratios: FloatArray
    sbr: FloatArray

    def of(self, kind: str, values: FloatArray) -> FloatArray:
        """Return the values of one of `KINDS`, shape (N, ...), of values of shape (2, N, ...)."""
        chosen = {"original": np.zeros(len(self.targets), int), "smoothed": np.ones(len(self.targets), int)}
        return np.asarray(values[chosen.get(kind, self.smoothed.astype(int)), np.arange(len(self.targets))])


def mixed_resolution(
    training: TwoResolutions, test: TwoResolutions, probabilities: FloatArray, ratio_c: float
) -> dict[str, Any]:
    """Return the measures of each kind by judge; `probabilities`: the network's of `test`, shape (2, N)."""
    return {
        kind: {
            judge: brief_measures(test.targets, said)
            for judge, said in _said(training, test, probabilities, ratio_c, kind).items()
        }
        for kind in KINDS
    }


def _said(
    training: TwoResolutions, test: TwoResolutions, probabilities: FloatArray, ratio_c: float, kind: str
) -> dict[str, Predictions]:
    threshold = fit_threshold(training.of(kind, training.sbr)[:, None], training.targets)
    regression = logistic_regression(ratio_c)(training.of(kind, training.ratios), training.targets)
    network = test.of(kind, probabilities)
    return {
        NETWORK: Predictions(predicted_labels(network), network, network),
        REGRESSION: regression(test.of(kind, test.ratios)),
        THRESHOLD: threshold(test.of(kind, test.sbr)[:, None]),
    }
