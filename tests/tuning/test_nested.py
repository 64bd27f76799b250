"""The nested search judges on outer folds that no search has seen, and tells the price of looking."""

from typing import Any

import numpy as np
import pytest

from datspect.tuning.development import Development
from datspect.tuning.nested import (
    N_OUTER,
    OuterFolds,
    _outer_probabilities,
    nested_metrics,
    nested_result,
    nested_text,
    outer_folds,
)
from datspect.tuning.scoring import score
from datspect.tuning.space import Configuration
from datspect.tuning.trials import Trial


def winner(score: float, **values: Any) -> Trial:
    return Trial(number=1, state="complete", values=values, score=score)


def test_scans_of_a_subject_share_an_outer_fold(data: Development) -> None:
    scans = data.scans.copy()
    scans["subject_id"] = [f"P{row // 2}" for row in range(len(scans))]
    scans["label"] = ["pd" if row // 2 % 2 else "control" for row in range(len(scans))]
    folds = outer_folds(Development(scans, data.bank, data.targets, data.folds), seed=1).folds
    assert sorted(set(folds)) == list(range(1, N_OUTER + 1))
    np.testing.assert_array_equal(folds[0::2], folds[1::2])


def test_a_search_sees_nobody_of_its_outer_fold(data: Development) -> None:
    outer = outer_folds(data, seed=1)
    for fold in outer.numbers:
        seen = set(outer.inner(fold).scans["scan_id"])
        assert seen == set(data.scans["scan_id"][outer.folds != fold])
    assert outer.folds.tolist() == outer_folds(data, seed=1).folds.tolist()
    assert outer.folds.tolist() != outer_folds(data, seed=2).folds.tolist()


def test_winners_that_equal_params_are_no_better_than_params(data: Development, configuration: Configuration) -> None:
    outer = outer_folds(data, seed=1)
    result = nested_result(outer, configuration, [winner(0.5)] * N_OUTER, "log_loss", "phantom")
    assert result["outer"] == pytest.approx(result["values_of_params_yaml"])
    difference = result["tuned_minus_params_yaml"]
    for name in ("loss_difference", "loss_difference_low", "loss_difference_high", "accuracy_difference"):
        assert difference[name] == pytest.approx(0.0, abs=1e-6)


def test_the_gap_is_what_the_winners_promised_and_did_not_keep(data: Development, configuration: Configuration) -> None:
    outer = OuterFolds(data, np.where(np.arange(len(data.targets)) < 6, 1, np.arange(len(data.targets)) % 2 + 2), 1)
    winners = [winner(0.2, width=4), winner(0.3, dropout=0.0), winner(0.4, initial=0.05)]
    result = nested_result(outer, configuration, winners, "log_loss", "phantom")
    sizes = [int((outer.folds != fold).sum()) for fold in (1, 2, 3)]
    naive = np.average([0.2, 0.3, 0.4], weights=sizes)
    assert result["naive"] == pytest.approx(naive)
    assert result["gap"] == pytest.approx(result["outer"]["log_loss"] - naive)
    assert [entry["values"] for entry in result["winners"]] == [{"width": 4}, {"dropout": 0.0}, {"initial": 0.05}]
    assert nested_metrics(result)["gap"] == result["gap"]


def test_the_outer_score_depends_on_unseen_subjects_alone(data: Development, configuration: Configuration) -> None:
    """Labels flipped inside an outer fold do not change the answers of the head that judges it."""
    outer = outer_folds(data, seed=1)
    winners = [winner(0.3, dropout=0.1)] * N_OUTER
    inside = outer.folds == 2
    turned = Development(data.scans, data.bank, np.where(inside, 1 - data.targets, data.targets), data.folds)
    tuned = [configuration.changed(each.values) for each in winners]
    before, _ = _outer_probabilities(outer, tuned, configuration)
    after, _ = _outer_probabilities(OuterFolds(turned, outer.folds, 1), tuned, configuration)
    np.testing.assert_allclose(before[inside], after[inside], atol=1e-6)
    assert np.abs(before[~inside] - after[~inside]).max() > 0.01
    result = nested_result(outer, configuration, winners, "log_loss", "phantom")
    assert result["outer"]["log_loss"] == pytest.approx(score("log_loss", data.targets, before), abs=1e-6)


def test_the_text_says_what_is_what(data: Development, configuration: Configuration) -> None:
    outer = outer_folds(data, seed=1)
    result = nested_result(outer, configuration, [winner(0.3, dropout=0.1)] * N_OUTER, "log_loss", "phantom")
    text = nested_text(result, "PHANTOM cohort, simulated")
    for part in ("PHANTOM cohort", "outer log loss", "naive log loss", "gap", "outer fold 3: dropout 0.1"):
        assert part in text
