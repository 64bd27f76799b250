"""Rules about the robustness panel: who is below a floor, who is shown to be worse, and what stays out of it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from datspect.params.promotion import RobustnessLimits
from datspect.release.panel_rules import panel_floors, panel_not_worse, wide_panel

N = 200
LIMITS = RobustnessLimits(min_roc_auc=0.8, min_accuracy=0.6, excused=[], loss_margin=0.02, accuracy_margin=0.02)


def row(name: str, **measures: float) -> dict[str, Any]:
    return {"name": name, "network": {"roc_auc_low": 0.9, "accuracy_low": 0.7} | measures}


def answers(**rows: np.ndarray) -> pd.DataFrame:
    number = np.arange(N)
    return pd.DataFrame({"scan": [f"digest {k}" for k in number], "target": number % 2, **rows})


@pytest.fixture
def sound() -> np.ndarray:
    """Probabilities, nine in ten of which are on the right side."""
    right = np.where(np.arange(N) % 2, 0.9, 0.1)
    return np.where(np.arange(N) % 10, right, 1 - right)


def test_rows_above_the_floors_give_one_rule_with_the_least_of_them() -> None:
    (rule,) = panel_floors([row("unaltered"), row("blur_8", roc_auc_low=0.81), row("up_4", accuracy_low=0.65)], LIMITS)
    assert rule.outcome == "passed"
    assert "least ROC AUC 0.8100 (blur_8)" in rule.finding
    assert "least accuracy 0.6500 (up_4)" in rule.finding


def test_every_row_below_a_floor_is_named_with_what_it_lacks() -> None:
    rows = [row("unaltered"), row("blur_8", roc_auc_low=0.79), row("noise_10", roc_auc_low=0.1, accuracy_low=0.5)]
    first, second = panel_floors(rows, LIMITS)
    assert (first.name, first.outcome) == ("robustness, blur_8", "FAILED")
    assert first.finding == "ROC AUC, lower bound 0.7900, at least 0.8"
    assert second.name == "robustness, noise_10"
    assert "accuracy, lower bound 0.5000, at least 0.6" in second.finding


def test_an_excused_row_is_asked_nothing_and_named() -> None:
    excused = LIMITS.model_copy(update={"excused": ["blur_8", "never heard of"]})
    (rule,) = panel_floors([row("unaltered"), row("blur_8", roc_auc_low=0.1)], excused)
    assert rule.outcome == "passed"
    assert rule.finding.endswith("excused: blur_8")


def test_a_row_that_could_not_be_measured_fails() -> None:
    (rule,) = panel_floors([{"name": "blur_8", "network": {"n": 0}}], LIMITS)
    assert "not known" in rule.finding


def test_equal_answers_pass(sound: np.ndarray) -> None:
    (rule,) = panel_not_worse(answers(unaltered=sound, blur_8=sound), answers(unaltered=sound, blur_8=sound), LIMITS)
    assert rule.outcome == "passed"
    assert "2 rows on 200 scans" in rule.finding


def test_a_row_shown_to_be_worse_is_named_and_the_better_one_passes(sound: np.ndarray) -> None:
    worse = np.where(np.arange(N) % 4 == 1, 0.3, sound)  # half of the patients are missed
    ours, theirs = answers(unaltered=sound, blur_8=worse), answers(unaltered=sound, blur_8=sound)
    (rule,) = panel_not_worse(ours, theirs, LIMITS)
    assert (rule.name, rule.outcome) == ("robustness, blur_8, against the champion", "FAILED")
    assert "log loss" in rule.finding
    assert "accuracy" in rule.finding
    assert rule.figures["accuracy_difference"] == pytest.approx(np.mean((worse >= 0.5) == np.arange(N) % 2) - 0.9)
    assert panel_not_worse(theirs, ours, LIMITS)[0].outcome == "passed"


def test_a_loss_within_the_margin_and_one_that_chance_explains_pass(sound: np.ndarray) -> None:
    theirs = answers(blur_8=sound)
    a_little = answers(blur_8=0.5 + (sound - 0.5) * 0.99)
    few_errors = answers(blur_8=np.where(np.arange(N) < 2, 1 - sound, sound))
    for ours in (a_little, few_errors):
        assert panel_not_worse(ours, theirs, LIMITS)[0].outcome == "passed"


def test_scans_are_paired_by_their_digest_and_only_those_of_both_count(sound: np.ndarray) -> None:
    theirs = answers(blur_8=sound, up_4=sound)
    ours = answers(blur_8=sound, sides=sound).iloc[::-1].iloc[:150]
    (rule,) = panel_not_worse(ours, theirs, LIMITS)
    assert "1 rows on 150 scans" in rule.finding


def test_a_scan_that_only_the_challenger_refuses_counts_as_wrong(sound: np.ndarray) -> None:
    ours = answers(blur_8=np.where(np.arange(N) % 2, np.nan, sound))
    (rule,) = panel_not_worse(ours, answers(blur_8=sound), LIMITS)
    assert rule.outcome == "FAILED"
    assert rule.figures["accuracy_difference"] == pytest.approx(-0.5)  # every patient was right
    assert rule.figures["loss_difference"] == 0


def test_the_wide_table_has_a_row_a_scan_in_the_order_of_the_panel() -> None:
    long = pd.DataFrame(
        {
            "row": ["unaltered", "unaltered", "blur_8", "blur_8"],
            "scan_id": ["S2", "S1", "S2", "S1"],
            "target": [1, 0, 1, 0],
            "probability": [0.9, 0.2, np.nan, 0.4],
        }
    )
    wide = wide_panel(long)
    assert list(wide.columns) == ["scan_id", "target", "unaltered", "blur_8"]
    assert wide["scan_id"].tolist() == ["S1", "S2"]
    np.testing.assert_array_equal(wide["blur_8"], [0.4, np.nan])
