"""Points behind the plots."""

import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.curves import mean_curves, pr_points, roc_points

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
