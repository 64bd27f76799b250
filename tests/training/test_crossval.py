"""Which heads are trained on whom."""

import numpy as np
import pandas as pd
import pytest

from datspect.modeling.heads import FittedHead, HeadWeights, logits
from datspect.params.network import ClassifierParams, TrainingParams
from datspect.training.crossval import (
    cv_heads,
    final_heads,
    history_table,
    out_of_fold_logits,
    probabilities,
    table_1,
    table_1_summary,
    train,
)

CLASSIFIER = ClassifierParams(width=8, dropout=0.5)
TRAINING = TrainingParams.model_validate(
    {
        "epochs": 2,
        "stop_after": None,
        "batch_size": 4,
        "learning_rate": {"initial": 1e-3, "final": 1e-4, "schedule": "constant", "drops": 1},
        "weight_decay": 0.0,
        "seed": 5,
    }
)
FOLDS = np.array([1, 2, 3, 1, 2, 3, 1, 2, 3, 1])


def test_every_subject_is_validated_by_one_head_and_trains_all_others() -> None:
    heads = cv_heads(FOLDS, CLASSIFIER, TRAINING)
    assert [head.name for head in heads] == ["fold-01", "fold-02", "fold-03"]
    validated = np.concatenate([head.validation_rows for head in heads])
    assert sorted(validated) == list(range(10))
    for head in heads:
        assert sorted([*head.train_rows, *head.validation_rows]) == list(range(10))
        assert set(FOLDS[head.validation_rows]).isdisjoint(FOLDS[head.train_rows])


def test_no_final_or_development_head_sees_a_test_subject() -> None:
    is_test = np.array([True, False] * 5)
    dev_folds = np.where(is_test, 0, [0, 1, 0, 2, 0, 1, 0, 2, 0, 1])
    final, *development = final_heads(is_test, dev_folds, CLASSIFIER, TRAINING)
    assert sorted(final.train_rows) == [1, 3, 5, 7, 9]
    assert len(final.validation_rows) == 0
    assert len(development) == 2
    for head in [final, *development]:
        assert not is_test[head.train_rows].any()
        assert not is_test[head.validation_rows].any()
    assert sorted(np.concatenate([head.validation_rows for head in development])) == [1, 3, 5, 7, 9]


def test_heads_have_seeds_of_their_own_that_follow_the_training_seed() -> None:
    heads = [
        *cv_heads(FOLDS, CLASSIFIER, TRAINING),
        *final_heads(np.zeros(10, bool), FOLDS, CLASSIFIER, TRAINING),
    ]
    assert len({head.seed for head in heads}) == 7
    again = cv_heads(FOLDS, CLASSIFIER, TRAINING)
    assert [head.seed for head in again] == [head.seed for head in heads[:3]]
    other = cv_heads(FOLDS, CLASSIFIER, TRAINING.model_copy(update={"seed": 6}))
    assert {head.seed for head in other}.isdisjoint(head.seed for head in heads)


def test_early_stopping_leaves_the_first_epochs_of_the_same_schedule() -> None:
    training = TRAINING.model_copy(update={"epochs": 12, "weight_decay": 0.1})
    whole = cv_heads(FOLDS, CLASSIFIER, training)[0]
    stopped = cv_heads(FOLDS, CLASSIFIER, training.model_copy(update={"stop_after": 5}))[0]
    np.testing.assert_array_equal(stopped.learning_rates, whole.learning_rates[:5])
    assert (stopped.seed, stopped.weight_decay) == (whole.seed, 0.1)


def fitted(name: str, bias: float) -> FittedHead:
    weights = HeadWeights(np.zeros((3, 2), np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32), bias)
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
    return FittedHead(name, weights, {key: np.array([9.0, bias]) for key in names})


def test_out_of_fold_scores_come_from_the_head_that_did_not_train_on_the_subject() -> None:
    heads = cv_heads(FOLDS, CLASSIFIER, TRAINING)
    scores = out_of_fold_logits(heads, [fitted(h.name, k) for k, h in enumerate(heads, 1)], np.zeros((10, 3)))
    assert scores.tolist() == FOLDS.tolist()


def test_subjects_without_a_head_have_no_score() -> None:
    heads = cv_heads(np.where(FOLDS == 3, 0, FOLDS), CLASSIFIER, TRAINING)
    scores = out_of_fold_logits(heads, [fitted(h.name, 1.0) for h in heads], np.zeros((10, 3)))
    assert np.isnan(scores[FOLDS == 3]).all()


def test_table_1_is_the_last_epoch_with_means_weighted_by_fold_size() -> None:
    heads = cv_heads(FOLDS, CLASSIFIER, TRAINING)
    table = table_1(heads, [fitted(h.name, float(k)) for k, h in enumerate(heads, 1)])
    assert table["n_validation"].tolist() == [4, 3, 3]
    assert table["n_train"].tolist() == [6, 7, 7]
    assert table["validation_accuracy"].tolist() == [1, 2, 3]
    summary = table_1_summary(table)
    assert summary["validation_accuracy_mean"] == pytest.approx((4 * 1 + 3 * 2 + 3 * 3) / 10)
    trained = [len(head.train_rows) for head in heads]
    assert summary["train_accuracy_mean"] == pytest.approx(np.average(table["train_accuracy"], weights=trained))
    assert summary["validation_accuracy_sd"] == pytest.approx(np.sqrt(2 / 3))


def test_history_is_one_long_table_with_epochs_from_one() -> None:
    table = history_table([fitted("a", 1.0), fitted("b", 2.0)])
    assert table[["head", "epoch", "train_loss"]].to_numpy().tolist() == [
        ["a", 1, 9.0],
        ["a", 2, 1.0],
        ["b", 1, 9.0],
        ["b", 2, 2.0],
    ]


def test_probabilities_are_the_logistic_function() -> None:
    np.testing.assert_allclose(probabilities(np.array([0.0, np.log(3), -800.0])), [0.5, 0.75, 0.0])


def test_training_through_the_stack_gives_the_scores_of_its_last_validation(
    capsys: pytest.CaptureFixture[str], rng: np.random.Generator
) -> None:
    heads = cv_heads(FOLDS, CLASSIFIER, TRAINING)
    bank = rng.normal(size=(3, 10, 6)).astype(np.float16)
    labels = np.array([0, 1] * 5)
    results = train(heads, bank, labels, 4, "cv")
    for head, result in zip(heads, results, strict=True):
        scores = logits(result.weights, bank[0, head.validation_rows])
        accuracy = np.mean((scores > 0) == (labels[head.validation_rows] == 1))
        assert result.history["validation_accuracy"][-1] == pytest.approx(accuracy)
    assert "cv: 3 heads: 100 % (2/2 epochs)" in capsys.readouterr().err
    assert isinstance(history_table(results), pd.DataFrame)


def test_labels_without_relation_to_the_features_give_an_area_of_one_half(rng: np.random.Generator) -> None:
    from sklearn.metrics import roc_auc_score

    n = 300
    folds, labels = np.arange(n) % 5 + 1, rng.permutation(np.arange(n) % 3 > 0).astype(np.int64)
    bank = np.maximum(rng.normal(size=(3, n, 20)), 0).astype(np.float16)
    training = TRAINING.model_copy(update={"epochs": 10, "batch_size": 16})
    heads = cv_heads(folds, CLASSIFIER, training)
    scores = out_of_fold_logits(heads, train(heads, bank, labels, 16, "permuted"), bank[0])
    # Standard error of an area without signal: sqrt((n1 + n0 + 1) / (12 n1 n0)) = 0.035; three of them.
    assert roc_auc_score(labels, scores) == pytest.approx(0.5, abs=0.105)
