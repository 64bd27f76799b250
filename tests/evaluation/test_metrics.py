"""The measures of the paper's tables and their intervals are right."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from datspect.evaluation.intervals import resampled_counts
from datspect.evaluation.metrics import (
    average_precisions,
    binary_metrics,
    calibration_errors,
    confusion_counts,
    fold_mean_auc,
    log_losses,
    predicted_labels,
    roc_areas,
    score_metrics,
    weighted_mean_and_sd,
    weighted_means,
)
from datspect.reporting import paper

COUNTS = {"n", "true_positive", "false_positive", "true_negative", "false_negative"}
DECISIONS = {"accuracy", "sensitivity", "specificity", "precision"}
RANKINGS = {"roc_auc", "pr_auc"}
CALIBRATIONS = {"loss", "brier", "calibration_error"}
RECALIBRATIONS = {"calibration_slope", "calibration_intercept"}


def with_bounds(names: set[str]) -> set[str]:
    return names | {f"{name}_{bound}" for name in names for bound in ("low", "high")}


ALL_OF_BOTH_CLASSES = {
    *COUNTS,
    *with_bounds(DECISIONS | RANKINGS | CALIBRATIONS | RECALIBRATIONS),
    "recalibration_gain",
}


def noisy_set(rng: np.random.Generator, n: int, digits: int = 12) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels of both classes, and probabilities that know something of them; few digits make ties."""
    labels = np.concatenate([[0, 1], rng.integers(0, 2, n - 2)])
    return labels, np.round(np.clip(0.3 * labels + rng.uniform(0, 0.7, n), 0, 1), digits)


def once(n: int) -> NDArray[np.int64]:
    return np.ones((1, n), np.int64)


def test_the_papers_table_2_follows_from_its_four_counts() -> None:
    labels = np.repeat([1, 0, 0, 1], [88, 1, 42, 1])
    probabilities = np.repeat([0.9, 0.9, 0.1, 0.1], [88, 1, 42, 1])
    ours = binary_metrics(labels, probabilities)
    for name in ("accuracy", "sensitivity", "specificity", "precision"):
        assert ours[name] == pytest.approx(paper.TABLE_2[name], abs=5e-5)
    for name in ("true_positive", "false_positive", "true_negative", "false_negative", "n"):
        assert ours[name] == paper.TABLE_2[name]
    assert (ours["accuracy_low"], ours["accuracy_high"]) == (
        pytest.approx(0.946, abs=5e-4),
        pytest.approx(0.996, abs=5e-4),
    )


def test_measures_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    labels, probabilities = noisy_set(rng, 200)
    ours = binary_metrics(labels, probabilities)
    called = probabilities >= 0.5
    assert ours["sensitivity"] == pytest.approx(sk.recall_score(labels, called))
    assert ours["specificity"] == pytest.approx(sk.recall_score(labels, called, pos_label=0))
    assert ours["precision"] == pytest.approx(sk.precision_score(labels, called))
    assert ours["brier"] == pytest.approx(sk.brier_score_loss(labels, probabilities))
    assert ours["loss"] == pytest.approx(-np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities))))
    # The area is the chance that a random positive scores above a random negative.
    pairs = probabilities[labels == 1][:, None] - probabilities[labels == 0][None, :]
    assert ours["roc_auc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    for name in ("roc_auc", "pr_auc", "loss", "brier"):
        assert ours[f"{name}_low"] < ours[name] < ours[f"{name}_high"]


def test_every_measure_has_its_bounds_and_a_file_can_hold_them(rng: np.random.Generator) -> None:
    ours = binary_metrics(*noisy_set(rng, 60))
    assert set(ours) == ALL_OF_BOTH_CLASSES
    assert json.loads(json.dumps(ours, allow_nan=False)) == ours
    assert {type(value) for value in ours.values()} == {int, float}


def test_the_same_predictions_have_the_same_bounds(rng: np.random.Generator) -> None:
    labels, probabilities = noisy_set(rng, 50)
    assert binary_metrics(labels, probabilities) == binary_metrics(labels, probabilities)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=6, max_size=30))
def test_bounds_stand_in_order_and_proportions_within_0_and_1(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([int(label) for label, _ in rows])
    ours = binary_metrics(labels, np.array([p / 20 for _, p in rows]))
    for name in (DECISIONS | RANKINGS | CALIBRATIONS) & set(ours):
        low, high = ours[f"{name}_low"], ours[f"{name}_high"]
        assert low <= high
        assert low >= 0
        assert name == "loss" or high <= 1 + 1e-12
        assert name not in DECISIONS or low - 1e-12 <= ours[name] <= high + 1e-12


def test_three_subjects_of_each_class_are_enough() -> None:
    ours = binary_metrics(np.array([1, 1, 1, 0, 0, 0]), np.array([0.9, 0.8, 0.4, 0.6, 0.2, 0.1]))
    assert set(ours) == ALL_OF_BOTH_CLASSES
    assert ours["pr_auc_low"] <= ours["pr_auc"] <= ours["pr_auc_high"]


def test_one_half_is_called_pd() -> None:
    assert predicted_labels(np.array([0.49999, 0.5, 0.50001])).tolist() == [0, 1, 1]


def test_counts_of_a_one_sided_prediction() -> None:
    counts = confusion_counts(np.array([1, 1, 0]), np.array([1, 1, 1]))
    assert (counts.true_positive, counts.false_positive, counts.true_negative, counts.false_negative) == (2, 1, 0, 0)


def test_a_set_of_one_class_has_no_auc_and_no_invented_proportion() -> None:
    ours = binary_metrics(np.array([1, 1, 1]), np.array([0.2, 0.3, 0.4]))
    assert ours["sensitivity"] == 0
    assert set(ours) == COUNTS | with_bounds({"accuracy", "sensitivity"} | CALIBRATIONS)


def test_scores_have_the_measures_that_need_no_probability(rng: np.random.Generator) -> None:
    labels, probabilities = noisy_set(rng, 80, digits=2)
    scores = score_metrics(labels, predicted_labels(probabilities), 7 * probabilities - 100)
    full = binary_metrics(labels, probabilities)
    assert set(scores) == COUNTS | with_bounds(DECISIONS | RANKINGS)
    assert scores == pytest.approx({name: full[name] for name in scores})


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-50, 50)), min_size=4, max_size=40))
def test_a_monotone_transform_of_the_scores_changes_no_area(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([0, 1, *(int(label) for label, _ in rows)])
    scores = np.array([0.0, 0.0, *(float(score) for _, score in rows)])
    counts = once(len(labels))
    for measure in (roc_areas, average_precisions):
        assert measure(labels, scores, counts) == measure(labels, scores**3 - 5, counts)
    assert roc_areas(labels, -scores, counts) == pytest.approx(1 - roc_areas(labels, scores, counts))


@pytest.mark.parametrize("digits", [1, 12])
def test_resampled_measures_are_scikit_learns_of_the_drawn_subjects(rng: np.random.Generator, digits: int) -> None:
    labels, probabilities = noisy_set(rng, 45, digits)
    counts = resampled_counts(labels)[:60]
    ours = {
        "roc": roc_areas(labels, probabilities, counts),
        "pr": average_precisions(labels, probabilities, counts),
        "brier": weighted_means((probabilities - labels) ** 2, counts),
        "loss": weighted_means(log_losses(labels, probabilities), counts),
    }
    for row, drawn in enumerate(np.repeat(np.arange(45), count) for count in counts):
        truth, said = labels[drawn], probabilities[drawn]
        assert ours["roc"][row] == pytest.approx(sk.roc_auc_score(truth, said))
        assert ours["pr"][row] == pytest.approx(sk.average_precision_score(truth, said))
        assert ours["brier"][row] == pytest.approx(sk.brier_score_loss(truth, said))
        assert ours["loss"][row] == pytest.approx(sk.log_loss(truth, said, labels=[0, 1]))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_certain_mistake_costs_what_scikit_learn_says(kind: type[np.floating]) -> None:
    labels, probabilities = np.array([1, 0, 1, 0]), np.array([0.0, 1.0, 1.0, 0.25], kind)
    expected = sk.log_loss(labels, probabilities, labels=[0, 1])
    assert log_losses(labels, probabilities).mean() == pytest.approx(expected, rel=1e-5)
    ours = binary_metrics(labels, probabilities)
    assert ours["loss_low"] <= ours["loss"] <= ours["loss_high"]


def test_the_loss_interval_agrees_with_normal_theory(rng: np.random.Generator) -> None:
    labels, probabilities = noisy_set(rng, 500)
    ours = binary_metrics(labels, probabilities)
    losses = -np.log(np.where(labels == 1, probabilities, 1 - probabilities))
    variance = sum(np.sum(labels == k) * losses[labels == k].var() for k in (0, 1)) / 500**2
    assert (ours["loss_high"] - ours["loss_low"]) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.08)


def test_the_calibration_error_of_a_small_example_by_hand() -> None:
    # Twenty subjects, two to a bin: in bin k both have probability near k / 10 + 0.05; PD are the last eight.
    probabilities = np.repeat(np.arange(10) / 10, 2) + np.tile([0.04, 0.06], 10)
    labels = np.repeat([0, 1], [12, 8])
    expected = (sum((0.05, 0.15, 0.25, 0.35, 0.45, 0.55)) + sum((0.35, 0.25, 0.15, 0.05))) / 10
    assert calibration_errors(labels, probabilities, once(20)) == pytest.approx([expected])


def test_bins_that_differ_by_a_subject_weigh_by_their_size() -> None:
    # Eleven subjects: array_split makes one bin of two and nine of one.
    probabilities, labels = np.linspace(0.05, 0.85, 11), np.repeat([0, 1], [5, 6])
    singles = np.abs(probabilities - labels)[2:].sum()
    assert calibration_errors(labels, probabilities, once(11)) == pytest.approx(
        [(2 * probabilities[:2].mean() + singles) / 11]
    )


@pytest.mark.parametrize("n", [7, 43, 200])
def test_resampled_calibration_is_that_of_the_drawn_subjects(rng: np.random.Generator, n: int) -> None:
    labels, probabilities = noisy_set(rng, n)
    counts = resampled_counts(labels)[:40]
    ours = calibration_errors(labels, probabilities, counts)
    order = np.argsort(probabilities)
    for error, count in zip(ours, counts, strict=True):
        bins = np.array_split(np.repeat(order, count[order]), 10)
        gaps = [len(b) * abs(probabilities[b].mean() - labels[b].mean()) for b in bins if len(b)]
        assert error == pytest.approx(sum(gaps) / n)


def test_the_order_of_the_rows_is_no_part_of_the_calibration(rng: np.random.Generator) -> None:
    labels, probabilities = noisy_set(rng, 77, digits=1)
    errors = []
    for _ in range(5):
        order = rng.permutation(77)
        errors.append(calibration_errors(labels[order], probabilities[order], once(77))[0])
    assert errors == pytest.approx([errors[0]] * 5)
    # One probability for all, the right one: no error, however PD and controls stand in the table.
    assert calibration_errors(np.repeat([1, 0], [30, 20]), np.full(50, 0.6), once(50)) == pytest.approx([0], abs=1e-12)


def test_the_calibration_error_is_small_when_calibrated_and_the_shift_when_shifted() -> None:
    rng = np.random.default_rng(11)
    true = rng.uniform(0.1, 0.8, 20_000)
    labels = (rng.uniform(size=20_000) < true).astype(int)
    # In a bin of 2000 the share of PD has a standard error of at most 0.011, so its mean distance is below 0.009.
    assert calibration_errors(labels, true, once(20_000))[0] < 0.015
    assert calibration_errors(labels, true + 0.15, once(20_000))[0] == pytest.approx(0.15, abs=0.01)


def test_a_calibrated_models_interval_lies_above_its_error_as_documented() -> None:
    rng = np.random.default_rng(12)
    n_higher = 0
    for _ in range(10):
        true = rng.uniform(size=100)
        ours = binary_metrics((rng.uniform(size=100) < true).astype(int), true)
        n_higher += (ours["calibration_error_low"] + ours["calibration_error_high"]) / 2 > ours["calibration_error"]
    assert n_higher >= 9


def test_the_fold_mean_ignores_the_scale_of_each_folds_model(rng: np.random.Generator) -> None:
    labels, scores = noisy_set(rng, 90)
    folds = np.arange(90) % 3
    ours = fold_mean_auc(labels, scores, folds)
    areas = [sk.roc_auc_score(labels[folds == k], scores[folds == k]) for k in range(3)]
    assert ours == pytest.approx({"roc_auc_fold_mean": np.mean(areas), "roc_auc_fold_sd": np.std(areas, ddof=0)})
    assert fold_mean_auc(labels, scores * (folds + 1) + 5 * folds, folds) == pytest.approx(ours)


def test_a_fold_of_one_class_has_no_area() -> None:
    labels, scores = np.array([1, 0, 1, 1]), np.array([0.8, 0.1, 0.3, 0.2])
    assert fold_mean_auc(labels, scores, np.array([1, 1, 2, 2])) == {"roc_auc_fold_mean": 1.0, "roc_auc_fold_sd": 0.0}
    assert fold_mean_auc(labels, scores, np.array([1, 2, 3, 4])) == {}


def test_the_mean_and_sd_of_the_papers_rows_are_what_its_numbers_give() -> None:
    accuracies = np.array([row[3] for row in paper.TABLE_1])
    mean, sd = weighted_mean_and_sd(accuracies, np.array([66] * 9 + [65]))
    assert mean == pytest.approx(0.9659, abs=1e-4)  # the paper says 0.9645
    assert sd == pytest.approx(paper.TABLE_1_SD["validation_accuracy"], abs=1e-4)
