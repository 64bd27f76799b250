"""Compare random and grouped folds on the same subjects: what a network loses on cameras that it has not seen."""

from typing import Any

import numpy as np

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.intervals import (
    BOOTSTRAP_SEED,
    N_RESAMPLES,
    percentile_interval,
    resampled_counts,
    with_bounds,
)
from datspect.evaluation.metrics import (
    average_precisions,
    calibration_errors,
    log_losses,
    predicted_labels,
    roc_areas,
    weighted_means,
)

BRACKETED = ("calibration_slope", "calibration_intercept")
"""What a new camera has is not known; what it may have lies, if all goes well, between these of both sets of folds."""


def grouped_minus_random(
    labels: IntArray, random: FloatArray, grouped: FloatArray, groups: list[str]
) -> dict[str, float]:
    """Return differences of the measures out of fold, grouped folds minus random ones, with 95 % bounds.

    Keys are `<measure>_difference`; bounds end in `_low` and `_high`. They are percentiles over a bootstrap of the
    subjects, stratified by class, with the same resample for both and all measures, conditional on the fitted networks.
    `loss_difference_by_group` is the difference of the loss again, with bounds over a bootstrap of whole groups: other
    cameras might have been in the cohort. With few groups these are rough.

    Parameters
    ----------
    labels
        1 for PD, shape (N,), both present.
    random, grouped
        Probabilities of PD, shape (N,), by networks of folds that do not hold the subject, or nobody of its group.
    groups
        The group of each subject.

    >>> labels = np.array([0, 0, 1, 1])
    >>> random, grouped = np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.2, 0.6, 0.8, 0.8])
    >>> round(grouped_minus_random(labels, random, grouped, ["a", "b", "a", "b"])["specificity_difference"], 6)
    -0.5
    """
    everybody, counts = np.ones((1, len(labels)), np.int64), resampled_counts(labels)
    estimates = {name: values[0] for name, values in _differences(labels, random, grouped, everybody).items()}
    resampled = _differences(labels, random, grouped, counts)
    result: dict[str, float] = {}
    for name, estimate in estimates.items():
        result |= with_bounds(f"{name}_difference", float(estimate), percentile_interval(resampled[name]))
    lost = log_losses(labels, grouped) - log_losses(labels, random)
    bounds = percentile_interval(_means_over_groups(lost, groups))
    return result | with_bounds("loss_difference_by_group", float(lost.mean()), bounds)


def brackets(random: dict[str, Any], grouped: dict[str, Any]) -> dict[str, float]:
    """Return the lower and the higher of both sets of folds' calibration slope and intercept, `<name>_from` and `_to`.

    >>> brackets({"calibration_slope": 1.1}, {"calibration_slope": 0.8})
    {'calibration_slope_from': 0.8, 'calibration_slope_to': 1.1}
    """
    result: dict[str, float] = {}
    for name in BRACKETED:
        if name in random and name in grouped:
            low, high = sorted((random[name], grouped[name]))
            result |= {f"{name}_from": low, f"{name}_to": high}
    return result


def _differences(labels: IntArray, random: FloatArray, grouped: FloatArray, counts: IntArray) -> dict[str, FloatArray]:
    of_random, of_grouped = (_measures(labels, probabilities, counts) for probabilities in (random, grouped))
    return {name: of_grouped[name] - of_random[name] for name in of_random}


def _measures(labels: IntArray, probabilities: FloatArray, counts: IntArray) -> dict[str, FloatArray]:
    """Return every measure over each resample of `counts`, shape (R, N), which holds both classes; shape (R,) each."""
    called = predicted_labels(probabilities)
    is_right, is_pd = (called == labels).astype(np.int64), labels == 1
    true_positive = counts @ (called * labels)
    return {
        "accuracy": weighted_means(is_right, counts),
        "sensitivity": weighted_means(is_right[is_pd], counts[:, is_pd]),
        "specificity": weighted_means(is_right[~is_pd], counts[:, ~is_pd]),
        "precision": np.asarray(true_positive / np.maximum(counts @ called, 1)),
        "roc_auc": roc_areas(labels, probabilities, counts),
        "pr_auc": average_precisions(labels, probabilities, counts),
        "loss": weighted_means(log_losses(labels, probabilities), counts),
        "brier": weighted_means((probabilities - labels) ** 2, counts),
        "calibration_error": calibration_errors(labels, probabilities, counts),
    }


def _means_over_groups(values: FloatArray, groups: list[str]) -> FloatArray:
    """Return the mean of `values`, shape (N,), over each resample of whole groups, shape (`N_RESAMPLES`,)."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(group, values), np.bincount(group)
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(len(sums), size=(N_RESAMPLES, len(sums)))
    return np.asarray(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
