"""Random against grouped folds: paired differences of every measure, and intervals that hold what they say."""

import numpy as np
import pytest

from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.grouped import brackets, grouped_minus_random
from datspect.evaluation.metrics import binary_metrics, predicted_labels


def said(labels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return 1 / (1 + np.exp(-(strength * (2 * labels - 1) + rng.normal(size=len(labels)))))


@pytest.fixture
def judged(rng):
    labels = np.repeat([0, 1], [60, 140])
    return labels, said(labels, 2.0, rng), said(labels, 1.0, rng), [f"g{k % 7}" for k in range(200)]


def test_differences_are_those_of_the_measures(judged):
    labels, random, grouped, groups = judged
    found = grouped_minus_random(labels, random, grouped, groups)
    of_random, of_grouped = binary_metrics(labels, random), binary_metrics(labels, grouped)
    measures = ["accuracy", "sensitivity", "specificity", "precision", "roc_auc", "pr_auc"]
    measures += ["loss", "brier", "calibration_error"]
    for name in measures:
        assert found[f"{name}_difference"] == pytest.approx(of_grouped[name] - of_random[name], abs=1e-9), name
        assert found[f"{name}_difference_low"] <= found[f"{name}_difference"] <= found[f"{name}_difference_high"], name
    assert {name.partition("_difference")[0] for name in found} == set(measures)
    assert found["loss_difference_low"] > 0


def test_bounds_are_those_of_the_paired_comparison(judged):
    labels, random, grouped, groups = judged
    network, other = (Predictions(predicted_labels(p), p, p) for p in (grouped, random))
    known, found = compare_out_of_fold(labels, network, other), grouped_minus_random(labels, random, grouped, groups)
    assert {name: found[name] for name in known} == pytest.approx(known)


def test_the_same_predictions_differ_by_nothing(judged):
    labels, random, _, groups = judged
    assert set(grouped_minus_random(labels, random, random, groups).values()) == {0.0}


def test_a_loss_at_one_camera_alone_is_less_sure_over_groups_than_over_subjects(rng):
    labels, groups = np.tile([0, 1], 100), [f"g{k // 20}" for k in range(200)]
    random = said(labels, 2.0, rng)
    grouped = np.where(np.arange(200) < 20, 0.5, random)
    found = grouped_minus_random(labels, random, grouped, groups)
    assert found["loss_difference_by_group"] == pytest.approx(found["loss_difference"])
    assert found["loss_difference_low"] > 0
    assert found["loss_difference_by_group_low"] == pytest.approx(0)  # without that camera nothing is lost
    assert found["loss_difference_by_group_high"] > found["loss_difference_high"]


def test_the_bracket_has_its_ends_in_order_and_only_what_both_know():
    first = {"calibration_slope": 1.2, "calibration_intercept": -0.1}
    assert brackets(first, {"calibration_slope": 0.7}) == {"calibration_slope_from": 0.7, "calibration_slope_to": 1.2}
    assert brackets(first, first | {"calibration_intercept": 0.3})["calibration_intercept_to"] == 0.3
