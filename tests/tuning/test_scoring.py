"""Heads judge only subjects that they have not seen, after as many epochs as asked."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from tests.tuning.made_up_data import N_SUBJECTS, N_TEST

from datspect.training import crossval
from datspect.tuning.development import Development
from datspect.tuning.scoring import fold_scores, measures, outcomes_by_epoch, report_epochs, score
from datspect.tuning.space import Configuration


def test_test_subjects_are_gone(data: Development) -> None:
    assert len(data.scans) == data.bank.shape[1] == len(data.targets) == len(data.folds) == N_SUBJECTS - N_TEST
    assert set(data.folds) == {1, 2, 3}


def test_a_look_in_between_changes_nothing(data: Development, configuration: Configuration) -> None:
    (end,) = outcomes_by_epoch(configuration, data, [6], "at once")
    half, end_with_looks = outcomes_by_epoch(configuration, data, [3, 6], "in between")
    assert (half.n_epochs, end_with_looks.n_epochs) == (3, 6)
    np.testing.assert_array_equal(end.probabilities, end_with_looks.probabilities)
    assert end.history.equals(end_with_looks.history)
    assert end.history[end.history["epoch"] <= 3].reset_index(drop=True).equals(half.history)


def test_the_score_is_the_loss_that_the_heads_saw_on_their_own_folds(
    data: Development, configuration: Configuration
) -> None:
    (end,) = outcomes_by_epoch(configuration, data, [6], "end")
    last = end.history[end.history["epoch"] == 6]
    sizes = np.bincount(data.folds)[1:]
    seen = np.average(last["validation_loss"], weights=sizes)
    assert score("log_loss", data.targets, end.probabilities) == pytest.approx(seen, abs=1e-6)
    by_fold = fold_scores("log_loss", data, end)
    np.testing.assert_allclose(by_fold, last["validation_loss"], atol=1e-6)


def test_nobody_is_judged_by_a_head_that_knows_it(data: Development, configuration: Configuration) -> None:
    """Other labels for fold 1 change the heads that judge the other folds, not the one that judges fold 1."""
    inside = data.folds == 1
    flipped = Development(data.scans, data.bank, np.where(inside, 1 - data.targets, data.targets), data.folds)
    (before,) = outcomes_by_epoch(configuration, data, [6], "before")
    (after,) = outcomes_by_epoch(configuration, flipped, [6], "after")
    np.testing.assert_allclose(before.probabilities[inside], after.probabilities[inside], atol=1e-6)
    assert np.abs(before.probabilities[~inside] - after.probabilities[~inside]).max() > 0.01


def test_scores_are_those_of_scikit_learn() -> None:
    targets = np.array([0, 0, 1, 1, 1, 0, 1])
    probabilities = np.array([0.1, 0.6, 0.8, 0.4, 0.9, 0.2, 0.7])
    assert score("log_loss", targets, probabilities) == pytest.approx(log_loss(targets, probabilities))
    assert score("roc_auc", targets, probabilities) == pytest.approx(roc_auc_score(targets, probabilities))
    assert score("accuracy", targets, probabilities) == pytest.approx(accuracy_score(targets, probabilities > 0.5))
    named = measures(targets, probabilities)
    for name in ("log_loss", "roc_auc", "accuracy"):
        assert named[name] == pytest.approx(score(name, targets, probabilities))  # type: ignore[arg-type]
        assert named[f"{name}_low"] <= named[name] <= named[f"{name}_high"]


@pytest.mark.parametrize(
    ("n_epochs", "every", "expected"), [(500, 200, [200, 400, 500]), (400, 200, [200, 400]), (3, 10, [3])]
)
def test_looks_end_with_the_last_epoch(n_epochs: int, every: int, expected: list[int]) -> None:
    assert report_epochs(n_epochs, every) == expected


def test_folds_of_a_nested_search_leave_the_outer_fold_out(data: Development) -> None:
    chosen = np.arange(len(data.targets)) % 3 > 0
    inner = data.only(chosen, 4, seed=3)
    np.testing.assert_array_equal(inner.bank, data.bank[:, chosen])
    np.testing.assert_array_equal(inner.targets, data.targets[chosen])
    assert sorted(set(inner.folds)) == [1, 2, 3, 4]
    shares = [inner.targets[inner.folds == fold].sum() for fold in range(1, 5)]
    assert max(shares) - min(shares) <= 1


def test_a_trial_of_the_values_of_params_has_the_seeds_of_the_final_stage(
    data: Development, configuration: Configuration
) -> None:
    ours = crossval.dev_heads(data.folds, configuration.classifier, configuration.training)
    is_test = np.zeros(len(data.folds), bool)
    final = crossval.final_heads(is_test, data.folds, configuration.classifier, configuration.training)
    assert [head.seed for head in ours] == [head.seed for head in final[1:]]
