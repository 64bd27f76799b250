"""Differences of two runs against limits that are stated in the docs."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.reproduction import agreement


@pytest.fixture
def labels(rng: np.random.Generator) -> IntArray:
    return (rng.random(659) < 0.68).astype(np.int64)


@pytest.fixture
def probabilities(labels: IntArray, rng: np.random.Generator) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-(3 * labels - 1.5 + rng.normal(0, 1.5, len(labels))))))


def flipped(probabilities: FloatArray, n: int) -> FloatArray:
    """The `n` answers nearest to the threshold fall on its other side."""
    nearest = np.argsort(np.abs(probabilities - 0.5))[:n]
    other = probabilities.copy()
    other[nearest] = 1 - other[nearest]
    return other


def test_the_same_answers_are_reproduced(labels: IntArray, probabilities: FloatArray) -> None:
    found = agreement(labels, probabilities, probabilities)
    assert (found.n_other, found.largest, found.roc_auc_difference, found.loss_difference) == (0, 0, 0, 0)
    assert found.reproduced


def test_measures_are_those_of_scikit_learn(
    labels: IntArray, probabilities: FloatArray, rng: np.random.Generator
) -> None:
    other = np.clip(probabilities + rng.normal(0, 0.05, len(labels)), 0.001, 0.999)
    found = agreement(labels, probabilities, other)
    assert found.roc_auc == pytest.approx(roc_auc_score(labels, other))
    assert found.roc_auc_difference == pytest.approx(
        roc_auc_score(labels, other) - roc_auc_score(labels, probabilities)
    )
    assert found.loss_difference == pytest.approx(log_loss(labels, other) - log_loss(labels, probabilities))
    assert found.largest == pytest.approx(np.abs(other - probabilities).max())


@pytest.mark.parametrize(
    ("n", "n_flipped", "reproduced"), [(659, 2, True), (659, 3, False), (132, 1, True), (132, 2, False)]
)
def test_two_of_659_decisions_and_one_of_few_may_be_others(
    labels: IntArray, probabilities: FloatArray, n: int, n_flipped: int, reproduced: bool
) -> None:
    found = agreement(labels[:n], probabilities[:n], flipped(probabilities[:n], n_flipped))
    assert (found.n_other, found.reproduced) == (n_flipped, reproduced)


def test_the_log_loss_alone_can_break_it(labels: IntArray, probabilities: FloatArray) -> None:
    sharper = np.where(probabilities > 0.5, 1 - (1 - probabilities) / 4, probabilities / 4)  # same side, same order
    found = agreement(labels, probabilities, sharper)
    assert (found.n_other, found.roc_auc_difference) == (0, pytest.approx(0, abs=1e-12))
    assert abs(found.loss_difference) > 0.01
    assert not found.reproduced


def test_the_order_alone_can_break_it(labels: IntArray, probabilities: FloatArray) -> None:
    confident = probabilities > 0.5
    levelled = np.where(confident, probabilities[confident].mean(), probabilities)  # no decision moves
    found = agreement(labels, probabilities, levelled)
    assert found.n_other == 0
    assert abs(found.roc_auc_difference) > 0.002
    assert not found.reproduced


def test_one_class_has_no_area_and_is_judged_by_the_rest() -> None:
    found = agreement(np.ones(3, np.int64), np.array([0.6, 0.7, 0.8]), np.array([0.6, 0.7, 0.8]))
    assert np.isnan(found.roc_auc)
    assert found.reproduced
