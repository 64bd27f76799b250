"""Calibration undoes a known distortion, and undecided answers are counted apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from datspect.errors import PrevalenceError
from datspect.evaluation.calibration import (
    Calibration,
    cross_calibrated,
    decision_measures,
    fit_calibration,
    prevalence_shift,
)
from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.metrics import log_losses


def outcomes(rng: np.random.Generator, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return true log odds of some subjects, and labels drawn by them."""
    truth = rng.normal(1, 2, n)
    return truth, (rng.random(n) < expit(truth)).astype(np.int64)


def test_overconfident_shifted_scores_are_brought_back(rng):
    truth, labels = outcomes(rng)
    found = fit_calibration(labels, 3 * truth - 2)
    assert found.slope == pytest.approx(1 / 3, rel=0.05)
    assert found.intercept == pytest.approx(2 / 3, abs=0.06)
    np.testing.assert_allclose(found.probabilities(3 * truth - 2), expit(truth), atol=0.02)


def test_the_mean_probability_is_the_share_of_the_softened_labels(rng):
    """The score equation of the intercept."""
    truth, labels = outcomes(rng, 500)
    found = fit_calibration(labels, 5 * truth)
    n, positive = len(labels), labels.sum()
    soft = positive * (positive + 1) / (positive + 2) + (n - positive) / (n - positive + 2)
    assert found.probabilities(5 * truth).mean() == pytest.approx(soft / n, abs=1e-5)


def test_separable_classes_give_finite_figures_short_of_certainty():
    labels, logits = np.repeat([0, 1], 20), np.repeat([-30.0, 30.0], 20)
    found = fit_calibration(labels, logits)
    np.testing.assert_allclose(found.probabilities(np.array([-30.0, 30.0])), [1 / 22, 21 / 22], atol=1e-4)


@pytest.mark.parametrize("sign", [-1.0, 0.0])
def test_scores_that_tell_nothing_leave_the_share_of_pd(rng, sign):
    truth, labels = outcomes(rng, 2000)
    found = fit_calibration(labels, sign * truth)
    assert found.slope == 0
    np.testing.assert_allclose(found.probabilities(np.array([-9.0, 9.0])), labels.mean(), atol=0.002)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_calibration_keeps_the_order(first, second):
    low, high = Calibration(0.4, -1).probabilities(np.sort([first, second]))
    assert 0 <= low <= high <= 1


def test_nobody_calibrates_themselves(rng):
    """Labels of one fold turned around change nothing in that fold."""
    truth, labels = outcomes(rng, 300)
    folds = np.arange(300) % 5
    turned = np.where(folds == 2, 1 - labels, labels)
    before, after = (cross_calibrated(these, truth, folds) for these in (labels, turned))
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert not np.allclose(before[folds != 2], after[folds != 2])


def test_decision_measures_count_the_conclusive():
    labels = np.array([1, 1, 0, 0, 1])
    probabilities = np.array([0.9, 0.55, 0.1, 0.8, 0.45])
    found = decision_measures(labels, probabilities, np.abs(probabilities - 0.5) < 0.2)
    assert found["coverage"] == 3 / 5
    assert found["conclusive_accuracy"] == 2 / 3
    assert (found["conclusive_accuracy_low"], found["conclusive_accuracy_high"]) == wilson_interval(2, 3)
    assert found["accuracy"] == 3 / 5
    assert "conclusive_accuracy" not in decision_measures(labels, probabilities, np.ones(5, bool))


def test_shifted_to_another_prevalence_answers_are_better_there(rng: np.random.Generator) -> None:
    """Development predictions at 68 % PD, weighted as where one in ten has the disease."""
    labels = (np.arange(3000) % 100 < 68).astype(np.int64)
    scores = 4 * (2 * labels - 1) + rng.normal(size=3000) * 4  # too small by a factor
    stated = cross_calibrated(labels, scores, np.arange(3000) // 7 % 10)
    weights = np.where(labels == 1, 0.1 / 0.68, 0.9 / 0.32) / len(labels)
    log_odds = np.log(stated / (1 - stated))
    shifted = expit(log_odds + prevalence_shift(0.68, 0.1))
    accuracies = [float(weights @ ((said >= 0.5) == labels)) for said in (stated, shifted)]
    losses = [float(weights @ log_losses(labels, said)) for said in (stated, shifted)]
    assert accuracies[1] > accuracies[0] + 0.04
    assert losses[1] < 0.6 * losses[0]
    assert weights @ shifted == pytest.approx(0.1, abs=0.01)  # as many are expected to be PD as there are
    others = [float(weights @ log_losses(labels, expit(log_odds + shift))) for shift in np.arange(-5, 0, 0.1)]
    assert losses[1] == pytest.approx(min(others), abs=0.002)


def test_a_shift_there_and_back_changes_nothing_and_none_is_none() -> None:
    assert prevalence_shift(0.68, 0.68) == 0
    assert prevalence_shift(0.68, 0.1) == -prevalence_shift(0.1, 0.68) < 0


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 10.0, np.nan, np.inf])
def test_what_is_no_prevalence_is_refused(prevalence: float) -> None:
    with pytest.raises(PrevalenceError, match=r"expected a share of PD between 0 and 1, such as 0\.1 for 10 %"):
        prevalence_shift(0.68, prevalence)
