"""The measures of the paper's tables."""

import numpy as np
import pytest
from sklearn import metrics as sk

from datspect.evaluation import paper
from datspect.evaluation.metrics import binary_metrics, confusion_counts, predicted_labels, weighted_mean_and_sd


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
    labels = rng.integers(0, 2, 200)
    probabilities = np.clip(0.3 * labels + rng.uniform(0, 0.7, 200), 0, 1)
    ours = binary_metrics(labels, probabilities)
    called = probabilities >= 0.5
    assert ours["sensitivity"] == pytest.approx(sk.recall_score(labels, called))
    assert ours["specificity"] == pytest.approx(sk.recall_score(labels, called, pos_label=0))
    assert ours["precision"] == pytest.approx(sk.precision_score(labels, called))
    assert ours["loss"] == pytest.approx(-np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities))))
    # The area is the chance that a random positive scores above a random negative.
    pairs = probabilities[labels == 1][:, None] - probabilities[labels == 0][None, :]
    assert ours["roc_auc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    assert ours["roc_auc_low"] < ours["roc_auc"] < ours["roc_auc_high"]


def test_one_half_is_called_pd() -> None:
    assert predicted_labels(np.array([0.49999, 0.5, 0.50001])).tolist() == [0, 1, 1]


def test_counts_of_a_one_sided_prediction() -> None:
    counts = confusion_counts(np.array([1, 1, 0]), np.array([1, 1, 1]))
    assert (counts.true_positive, counts.false_positive, counts.true_negative, counts.false_negative) == (2, 1, 0, 0)


def test_a_set_of_one_class_has_no_auc_and_no_invented_proportion() -> None:
    ours = binary_metrics(np.array([1, 1, 1]), np.array([0.2, 0.3, 0.4]))
    assert ours["sensitivity"] == 0
    assert not {"roc_auc", "pr_auc", "specificity", "precision"} & set(ours)


def test_the_mean_and_sd_of_the_papers_rows_are_what_its_numbers_give() -> None:
    accuracies = np.array([row[3] for row in paper.TABLE_1])
    mean, sd = weighted_mean_and_sd(accuracies, np.array([66] * 9 + [65]))
    assert mean == pytest.approx(0.9659, abs=1e-4)  # the paper says 0.9645
    assert sd == pytest.approx(paper.TABLE_1_SD["validation_accuracy"], abs=1e-4)
