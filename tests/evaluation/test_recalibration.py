"""Calibration slope, intercept and gain, against what is known of the probabilities."""

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from datspect.evaluation.recalibration import calibration_measures, stated_log_odds


def right_log_odds(rng: np.random.Generator, n: int, spread: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and log odds that are the true ones: normal scores of equal spread, and the share of PD."""
    labels = (np.arange(n) % 3 > 0).astype(np.int64)
    return labels, spread * rng.normal(size=n) + spread**2 / 2 * (2 * labels - 1) + np.log(2)


def probabilities(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 0.0), (2.0, 0.0), (0.5, 0.0), (1.0, 1.0)])
def test_slope_and_intercept_undo_what_was_done_to_the_log_odds(
    rng: np.random.Generator, factor: float, shift: float
) -> None:
    labels, true = right_log_odds(rng, 20_000)
    measures = calibration_measures(labels, probabilities(factor * true + shift))
    assert measures["calibration_slope"] == pytest.approx(1 / factor, rel=0.06)
    assert measures["calibration_slope_low"] < 1 / factor < measures["calibration_slope_high"]
    if factor == 1:
        assert measures["calibration_intercept"] == pytest.approx(-shift, abs=0.1)
        assert measures["calibration_intercept_low"] < -shift < measures["calibration_intercept_high"]
    assert (measures["recalibration_gain"] < 0.001) is (factor == 1 and shift == 0)


def test_slope_and_gain_are_those_of_an_unpenalised_logistic_regression(rng: np.random.Generator) -> None:
    labels, true = right_log_odds(rng, 150)
    stated = probabilities(1.7 * true - 0.4)
    column = stated_log_odds(stated)[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(column, labels)
    measures = calibration_measures(labels, stated)
    assert measures["calibration_slope"] == pytest.approx(model.coef_[0, 0], rel=1e-5)
    gain = log_loss(labels, stated) - log_loss(labels, model.predict_proba(column)[:, 1])
    assert measures["recalibration_gain"] == pytest.approx(gain, abs=1e-8)


def test_bounds_lie_where_the_likelihood_ratio_test_rejects(rng: np.random.Generator) -> None:
    labels, true = right_log_odds(rng, 90)
    measures = calibration_measures(labels, probabilities(true))
    loss = len(labels) * log_loss(labels, probabilities(true + measures["calibration_intercept"]))
    for end in ("low", "high"):
        at_bound = len(labels) * log_loss(labels, probabilities(true + measures[f"calibration_intercept_{end}"]))
        assert 2 * (at_bound - loss) == pytest.approx(chi2.ppf(0.95, 1), rel=1e-4)


def test_intervals_hold_the_truth_in_95_of_100_sets() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(300):
        true = 2.5 * rng.normal(size=132)
        labels = (rng.random(132) < probabilities(true)).astype(np.int64)
        measures = calibration_measures(labels, probabilities(true))
        held.append(
            (
                measures["calibration_slope_low"] <= 1 <= measures["calibration_slope_high"],
                measures["calibration_intercept_low"] <= 0 <= measures["calibration_intercept_high"],
                2 * 132 * measures["recalibration_gain"] <= chi2.ppf(0.95, 2),
            )
        )
    assert np.mean(held, axis=0) == pytest.approx([0.95] * 3, abs=0.035)


def test_classes_without_a_slip_have_no_slope_and_the_whole_loss_to_gain() -> None:
    labels, stated = np.array([0, 0, 1, 1]), np.array([0.2, 0.4, 0.6, 0.7])
    for way in (stated, 1 - stated):
        measures = calibration_measures(labels, way)
        assert "calibration_slope" not in measures
        assert measures["recalibration_gain"] == pytest.approx(log_loss(labels, way))
    tied = calibration_measures(np.array([0, 0, 1, 1]), np.array([0.2, 0.5, 0.5, 0.7]))
    assert tied["recalibration_gain"] == pytest.approx(log_loss([0, 0, 1, 1], [0.2, 0.5, 0.5, 0.7]) - np.log(2) / 2)


def test_one_answer_for_all_gains_what_the_true_share_gives() -> None:
    labels = np.array([1, 0, 0, 0])
    measures = calibration_measures(labels, np.full(4, 0.5))
    assert "calibration_slope" not in measures
    assert measures["calibration_intercept"] == pytest.approx(np.log(1 / 3))
    assert measures["recalibration_gain"] == pytest.approx(np.log(2) - log_loss(labels, np.full(4, 0.25)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_certain_probabilities_count_as_the_log_loss_counts_them(kind: type) -> None:
    labels, certain = np.array([1, 0, 1, 0, 1, 0]), np.array([1, 0, 1, 0, 0, 1], kind)
    measures = calibration_measures(labels, certain)
    assert all(np.isfinite(value) for value in measures.values())
    assert np.abs(stated_log_odds(certain)).max() == pytest.approx(-np.log(np.finfo(kind).eps), rel=1e-3)


def test_a_set_of_one_class_has_no_calibration() -> None:
    assert calibration_measures(np.ones(5, np.int64), np.full(5, 0.9)) == {}
