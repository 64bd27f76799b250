"""The points of the plots are right."""

import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.curves import calibration_bins, mean_curves, pr_points, roc_points
from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.metrics import binary_metrics

LABELS = np.array([1, 1, 0, 1, 0])
PROBABILITIES = np.array([0.9, 0.8, 0.7, 0.6, 0.1])


def test_the_roc_curve_runs_through_the_points_of_its_ranking() -> None:
    points = roc_points(LABELS, PROBABILITIES)
    assert points.iloc[0].tolist() == [0, 0]
    assert points.iloc[-1].tolist() == [1, 1]
    assert [0.5, 1.0] in points.to_numpy().tolist()  # one of two controls above the last PD
    assert np.trapezoid(points["true_positive_rate"], points["false_positive_rate"]) == pytest.approx(5 / 6)


def test_precision_falls_with_the_first_wrong_answer() -> None:
    points = pr_points(LABELS, PROBABILITIES)
    assert points["recall"].is_monotonic_increasing
    assert points.loc[points["recall"] == 1, "precision"].max() == pytest.approx(3 / 4)


def test_mean_curves_average_the_heads() -> None:
    history = pd.DataFrame({"head": ["a", "a", "b", "b"], "epoch": [1, 2, 1, 2], "train_loss": [1.0, 0.5, 3.0, 1.5]})
    assert mean_curves(history).to_dict("list") == {"epoch": [1, 2], "train_loss": [2.0, 1.0]}


def test_calibration_bins_are_those_counted_by_hand() -> None:
    probabilities = np.array([0.9, 0.1, 0.5, 0.3, 0.7])
    bins = calibration_bins(np.array([1, 0, 1, 1, 0]), probabilities, n_bins=2)
    assert bins["n"].tolist() == [3, 2]  # 0.1, 0.3, 0.5 and 0.7, 0.9
    assert bins["mean_probability"].tolist() == pytest.approx([0.3, 0.8])
    assert bins["pd_fraction"].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert bins.iloc[0][["pd_fraction_low", "pd_fraction_high"]].tolist() == list(wilson_interval(2, 3))


def test_calibration_bins_are_the_bins_of_the_calibration_error(rng: np.random.Generator) -> None:
    probabilities = rng.random(137)
    labels = (rng.random(137) < probabilities**2).astype(np.int64)
    bins = calibration_bins(labels, probabilities)
    error = np.average((bins["mean_probability"] - bins["pd_fraction"]).abs(), weights=bins["n"])
    assert error == pytest.approx(binary_metrics(labels, probabilities)["calibration_error"])


def test_fewer_subjects_than_bins_are_a_bin_each() -> None:
    assert calibration_bins(np.array([0, 1]), np.array([0.2, 0.6]))["n"].tolist() == [1, 1]
