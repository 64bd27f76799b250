"""Measure a finished model on a labelled cohort: its answers, and how many scans it did not answer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.calibration import decision_measures
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.metrics import binary_metrics

STATES = ("answer", "inconclusive", "withheld", "refused")
"""What can become of a scan: a firm answer, one not to rely on, no class, or no reading at all."""


def cohort_measures(
    labels: IntArray, states: NDArray[np.str_], probabilities: FloatArray, ratio_probabilities: FloatArray
) -> dict[str, Any]:
    """Return the measures of a model on N scans of as many subjects, 1 for PD; each is judged as it came.

    `states` are of `STATES`; probabilities of withheld and refused scans are not looked at. All have shape (N,).
    `shares` is over all scans, with Wilson's bounds. `measures` and `decisions`, of firm answers, are over scans with a
    class, and so is `ratios`, the regression on binding ratios that the model carries. Those three are empty where no
    scan has a class.

    >>> states = np.array(["answer", "inconclusive", "withheld", "refused"])
    >>> found = cohort_measures(np.array([1, 0, 1, 0]), states, np.array([0.9, 0.6, 0.5, 0.5]), np.full(4, 0.5))
    >>> found["shares"]["withheld"], found["measures"]["accuracy"], found["decisions"]["conclusive_accuracy"]
    (0.25, 0.5, 1.0)
    """
    shares: dict[str, float] = {"n": len(labels)}
    for state in STATES:
        n = int(np.sum(states == state))
        shares |= {f"n_{state}": n} | with_bounds(state, n / len(labels), wilson_interval(n, len(labels)))
    classed = np.isin(states, STATES[:2])
    if not classed.any():
        return {"shares": shares, "measures": {}, "decisions": {}, "ratios": {}}
    truth = labels[classed]
    return {
        "shares": shares,
        "measures": binary_metrics(truth, probabilities[classed]),
        "decisions": decision_measures(truth, probabilities[classed], states[classed] == STATES[1]),
        "ratios": binary_metrics(truth, ratio_probabilities[classed]),
    }
