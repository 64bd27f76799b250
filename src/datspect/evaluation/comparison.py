"""Compare two models on the same subjects: how much better the network is, and how sure that is."""

from dataclasses import dataclass

import numpy as np

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.intervals import (
    delong_difference,
    paired_proportions_interval,
    percentile_interval,
    resampled_counts,
    with_bounds,
)
from datspect.evaluation.metrics import log_losses, roc_areas, weighted_means


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of one model for N subjects; every array has shape (N,).

    `predictions`: 1 is PD, 0 control. `scores`: higher means more like PD, on any scale. `probabilities`: of PD, or
    None for a model that gives none.
    """

    predictions: IntArray
    scores: FloatArray
    probabilities: FloatArray | None = None


def compare_out_of_fold(labels: IntArray, network: Predictions, other: Predictions) -> dict[str, float]:
    """Return differences of the pooled out-of-fold measures, network minus other, with 95 % bounds.

    Keys are `accuracy_difference`, `roc_auc_difference` (both classes needed) and `loss_difference` (probabilities of
    both needed; below 0 the network is better); bounds end in `_low` and `_high`. `labels` has shape (N,). The bounds
    are percentiles over a bootstrap of the subjects, stratified by class, with the same resample for both models and
    all measures. They are conditional on the fitted models: the models of the folds share training subjects, and the
    bounds do not hold that dependence. So there is no p value.

    >>> labels = np.array([0, 0, 1, 1])
    >>> network = Predictions(labels, scores=np.array([1.0, 2.0, 3.0, 4.0]))
    >>> other = Predictions(np.array([0, 1, 0, 1]), scores=np.array([1.0, 3.0, 2.0, 4.0]))
    >>> differences = compare_out_of_fold(labels, network, other)
    >>> differences["accuracy_difference"], differences["roc_auc_difference"]
    (0.5, 0.25)
    """
    everybody = np.ones((1, len(labels)), np.int64)
    counts = resampled_counts(labels)
    estimates = _differences(labels, network, other, everybody)
    resampled = _differences(labels, network, other, counts)
    result: dict[str, float] = {}
    for name, estimate in estimates.items():
        result |= with_bounds(name, float(estimate[0]), percentile_interval(resampled[name]))
    return result


def compare_holdout(labels: IntArray, network: Predictions, other: Predictions) -> dict[str, float]:
    """Return differences on subjects that neither model has seen, network minus other, with 95 % bounds and p values.

    `labels` has shape (N,). Accuracy has the numbers of subjects whom only one model got right, McNemar's exact
    two-sided p, and the interval of Agresti and Min. ROC AUC (both classes needed) has DeLong's paired interval and p.
    The interval and the exact test of the accuracy are different methods and may disagree near 5 %. All are conditional
    on the fitted models.

    References
    ----------
    McNemar, Psychometrika 12 (1947), 153-157; the others as in `intervals`.
    """
    network_right, other_right = network.predictions == labels, other.predictions == labels
    only_network = int(np.sum(network_right & ~other_right))
    only_other = int(np.sum(other_right & ~network_right))
    result: dict[str, float] = {
        "n_only_network_right": only_network,
        "n_only_other_right": only_other,
        "mcnemar_p": mcnemar_p(only_network, only_other),
    }
    interval = paired_proportions_interval(only_network, only_other, len(labels))
    result |= with_bounds("accuracy_difference", (only_network - only_other) / len(labels), interval)
    if len(np.unique(labels)) == 2:
        areas = delong_difference(labels, network.scores, other.scores)
        result |= with_bounds("roc_auc_difference", areas.estimate, (areas.low, areas.high))
        result["delong_p"] = areas.p_value
    return result


def mcnemar_p(n_only_first: int, n_only_second: int) -> float:
    """Return McNemar's two-sided exact p that subjects whom only one model got right fall to either alike.

    It is 1 if there are none.

    >>> mcnemar_p(0, 5)  # 2 / 2^5
    0.0625
    """
    n_discordant = n_only_first + n_only_second
    from scipy.stats import binomtest  # here, as in `fit_regression`

    return float(binomtest(n_only_first, n_discordant).pvalue) if n_discordant else 1.0


def _differences(labels: IntArray, network: Predictions, other: Predictions, counts: IntArray) -> dict[str, FloatArray]:
    """Return network minus other over each resample of `counts`, shape (R, N); each value has shape (R,)."""
    gained = (network.predictions == labels).astype(np.int64) - (other.predictions == labels)
    differences = {"accuracy_difference": weighted_means(gained, counts)}
    if len(np.unique(labels)) == 2:
        areas = [roc_areas(labels, model.scores, counts) for model in (network, other)]
        differences["roc_auc_difference"] = areas[0] - areas[1]
    if network.probabilities is not None and other.probabilities is not None:
        worse_by = log_losses(labels, network.probabilities) - log_losses(labels, other.probabilities)
        differences["loss_difference"] = weighted_means(worse_by, counts)
    return differences
