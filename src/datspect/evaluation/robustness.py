"""Measure the panel: what altered scans do to the network and to the binding ratios, on the same scans."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.intervals import (
    delong_interval,
    paired_proportions_interval,
    percentile_interval,
    resampled_counts,
    wilson_interval,
    with_bounds,
)
from datspect.evaluation.metrics import confusion_counts, log_losses, predicted_labels, weighted_means

UNALTERED = "unaltered"
"""The row of the scans as they are."""
NETWORK, REGRESSION, THRESHOLD = JUDGES = ("network", "regression", "threshold")
"""Who judges a row: the network, a regression on all binding ratios, and one threshold on the worse putamen's."""
SILENT = ("inconclusive", "withheld", "refused")
"""Shares of scans without a firm answer; those refused could not even be measured and are in no other figure."""
MOST_ACCURACY, MOST_LOSS = 0.01, 0.02
"""What an alteration may cost if altered scans are to count as answered as well as unaltered ones."""


def panel_measures(answers: pd.DataFrame, threshold: float) -> dict[str, dict[str, Any]]:
    """Return the measures of every row of the panel, by its name, in the order of the table.

    `answers`: a row a scan and row of the panel; columns row, scan_id, target (1 for PD), probability and
    ratio_probability (of PD, calibrated), sbr (of the worse putamen), inconclusive, withheld, refused (0 or 1). Of a
    refused scan the others are missing. PD is below `threshold`.
    """
    whole = {str(name): group for name, group in answers.groupby("row", sort=False)}
    return {
        name: _measures(group, threshold) | _against_unaltered(group, whole[UNALTERED]) for name, group in whole.items()
    }


def is_as_good(minus_unaltered: Mapping[str, float]) -> bool:
    """Return whether altered scans are answered as well as unaltered ones, by `differences`; not if these are unknown.

    >>> is_as_good({"accuracy_difference": -0.01, "loss_difference": 0.02}), is_as_good({})
    (True, False)
    """
    if "loss_difference" not in minus_unaltered:
        return False
    accuracy, loss = minus_unaltered["accuracy_difference"], minus_unaltered["loss_difference"]
    return accuracy >= -MOST_ACCURACY and loss <= MOST_LOSS


def withheld_though_as_good(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the share of altered scans that is withheld in rows that are answered as well as unaltered ones.

    `rows`: what `panel_measures` gives of each, beside its name and whether it is_largest. Of "all" strengths and of
    the "largest" alone: so many rows, and the mean of their shares, as all have the same scans; no share without a row.
    """
    as_good = [row for row in rows if row["name"] != UNALTERED and is_as_good(row["minus_unaltered"])]
    kinds = {"all": as_good, "largest": [row for row in as_good if row["is_largest"]]}
    return {
        kind: {"n_rows": len(some), **({"withheld": float(np.mean([row["withheld"] for row in some]))} if some else {})}
        for kind, some in kinds.items()
    }


def said(answers: pd.DataFrame, judge: str, threshold: float) -> Predictions:
    """Return what one of `JUDGES` says of the scans in `answers`, none of them refused."""
    if judge == THRESHOLD:
        sbr = answers["sbr"].to_numpy(np.float64)
        return Predictions((sbr < threshold).astype(np.int64), -sbr)
    column = "probability" if judge == NETWORK else "ratio_probability"
    probabilities = answers[column].to_numpy(np.float64)
    return Predictions(predicted_labels(probabilities), probabilities, probabilities)


def brief_measures(labels: IntArray, said: Predictions) -> dict[str, float]:
    """Return accuracy, sensitivity, specificity, ROC AUC, and loss where there are probabilities, with 95 % bounds.

    `labels`: 1 for PD, shape (N,). Bounds are those of `binary_metrics`; what a set of one class lacks is left out.
    """
    measures: dict[str, float] = {"n": len(labels)}
    if not len(labels):
        return measures
    proportions = confusion_counts(labels, said.predictions).proportions()
    for name in ("accuracy", "sensitivity", "specificity"):
        successes, trials = proportions[name]
        if trials:
            measures |= with_bounds(name, successes / trials, wilson_interval(successes, trials))
    if len(np.unique(labels)) == 2:
        from sklearn.metrics import roc_auc_score  # here, as in `fit_regression`

        area = float(roc_auc_score(labels, said.scores))
        measures |= with_bounds("roc_auc", area, delong_interval(labels, said.scores))
    if said.probabilities is not None:
        losses = log_losses(labels, said.probabilities)
        bounds = percentile_interval(weighted_means(losses, _resampled(labels.astype(np.int64).tobytes())))
        measures |= with_bounds("loss", float(losses.mean()), bounds)
    return measures


def differences(labels: IntArray, first: Predictions, second: Predictions) -> dict[str, float]:
    """Return first minus second on the same N scans, with 95 % bounds: `accuracy_difference`, `loss_difference`.

    Accuracy has the interval of Agresti and Min, loss (which needs probabilities of both) a paired bootstrap.
    """
    gained = (first.predictions == labels).astype(np.int64) - (second.predictions == labels)
    bounds = paired_proportions_interval(int((gained > 0).sum()), int((gained < 0).sum()), len(labels))
    found = with_bounds("accuracy_difference", float(gained.mean()), bounds)
    if first.probabilities is not None and second.probabilities is not None:
        worse_by = log_losses(labels, first.probabilities) - log_losses(labels, second.probabilities)
        bounds = percentile_interval(weighted_means(worse_by, _resampled(labels.astype(np.int64).tobytes())))
        found |= with_bounds("loss_difference", float(worse_by.mean()), bounds)
    return found


def chosen_scans(labels: IntArray, most: int, seed: int) -> BoolArray:
    """Return which of N scans to take, at most `most`, each label in proportion: bool, shape (N,).

    >>> chosen_scans(np.array([0, 0, 1, 1, 1, 1]), 3, seed=1).sum()
    np.int64(3)
    """
    chosen = np.ones(len(labels), bool)
    if len(labels) <= most:
        return chosen
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
    n_pd = round(most * float(labels.mean()))
    for label, n in ((1, n_pd), (0, most - n_pd)):
        members = np.flatnonzero(labels == label)
        chosen[rng.permutation(members)[n:]] = False
    return chosen


@lru_cache(maxsize=4)
def _resampled(labels: bytes) -> IntArray:
    """Return the resamples of int64 labels; all rows of a panel share them, and they take longer than all else."""
    return resampled_counts(np.frombuffer(labels, np.int64))


def _measures(group: pd.DataFrame, threshold: float) -> dict[str, Any]:
    answered = group[group["refused"] == 0]
    labels = answered["target"].to_numpy(np.int64)
    by_judge = {judge: brief_measures(labels, said(answered, judge, threshold)) for judge in JUDGES}
    return {**by_judge, **_silent(group)}


def _silent(group: pd.DataFrame) -> Mapping[str, float]:
    shares: dict[str, float] = {}
    for name in SILENT:
        count = int(group[name].sum())
        shares |= with_bounds(name, count / len(group), wilson_interval(count, len(group)))
    return shares


def _against_unaltered(group: pd.DataFrame, unaltered: pd.DataFrame) -> dict[str, Any]:
    """Return how the network does on altered scans against the same scans unaltered; nothing of refused ones."""
    both = group.merge(unaltered, on="scan_id", suffixes=("", "_before"), validate="one_to_one")
    both = both[(both["refused"] == 0) & (both["refused_before"] == 0)]
    if not len(both):
        return {"minus_unaltered": {}}
    labels = both["target"].to_numpy(np.int64)
    after, before = (_network(both[column]) for column in ("probability", "probability_before"))
    return {"minus_unaltered": differences(labels, after, before)}


def _network(column: "pd.Series[float]") -> Predictions:
    probabilities: FloatArray = column.to_numpy(np.float64)
    return Predictions(predicted_labels(probabilities), probabilities, probabilities)
