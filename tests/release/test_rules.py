"""The gate's rules: each with figures that are known beforehand."""

import numpy as np
import pytest

from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import binary_metrics, predicted_labels
from datspect.params.promotion import PromotionParams, RobustnessLimits
from datspect.release import rules
from datspect.release.rules import Decision, Rule

LIMITS = PromotionParams(
    min_roc_auc=0.85, min_sensitivity=0.8, min_specificity=0.7, max_recalibration_gain=0.025, loss_margin=0.02,
    roc_auc_margin=0.01, min_common_subjects=100, common_margin_factor=2.0,
    robustness=RobustnessLimits(
        min_roc_auc=0.8, min_accuracy=0.6, excused=[], loss_margin=0.02, accuracy_margin=0.02
    ),
)  # fmt: skip
LABELS = np.repeat([0, 1], [200, 400])


def forecast(noise: float, shift: float = 0.0, seed: int = 4) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = 3.0 * (2 * LABELS - 1) + rng.normal(size=len(LABELS)) * noise + shift
    probabilities = 1 / (1 + np.exp(-logits))
    return Predictions(predicted_labels(probabilities), logits, probabilities)


def outcomes(rules: list[Rule]) -> list[str]:
    return [rule.outcome for rule in rules]


def test_the_floors_hold_the_bounds_not_the_estimates() -> None:
    metrics = {
        "roc_auc": 0.84,
        "roc_auc_low": 0.85,
        "sensitivity": 0.9,
        "sensitivity_low": 0.79,
        "specificity_low": 0.7,
        "recalibration_gain": 0.025,
        "n": 132,
    }
    assert outcomes(rules.floors(metrics, LIMITS)) == ["passed", "FAILED", "passed", "passed"]


def test_a_test_set_of_one_class_does_not_pass_for_want_of_an_area() -> None:
    metrics = binary_metrics(np.ones(9, np.int64), np.full(9, 0.9))
    assert [rule.outcome for rule in rules.floors(metrics, LIMITS)][::3] == ["FAILED", "FAILED"]


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "passed"), (2.0, "FAILED"), (4.0, "FAILED"), (0.3, "FAILED")])
def test_log_odds_that_are_too_large_or_too_small_by_a_factor_do_not_pass(factor: float, outcome: str) -> None:
    rng = np.random.default_rng(8)
    true = 3.0 * rng.normal(size=len(LABELS)) + 4.5 * (2 * LABELS - 1) + np.log(2)  # these log odds are right
    rule = rules.floors(binary_metrics(LABELS, 1 / (1 + np.exp(-factor * true))), LIMITS)[3]
    assert rule.outcome == outcome
    assert rule.figures["calibration_slope_low"] < 1 / factor < rule.figures["calibration_slope_high"]
    assert f"slope {rule.figures['calibration_slope']:.2f} (" in rule.finding


def test_in_a_small_test_set_what_may_be_chance_does_not_fail_a_version() -> None:
    metrics = {"roc_auc_low": 0.95, "sensitivity_low": 0.9, "specificity_low": 0.8, "recalibration_gain": 0.1}
    chance = 5.991 / 2 / 0.1  # 95 % of chi-square with two degrees of freedom
    for n, outcome in ((np.floor(chance), "passed"), (np.ceil(chance), "FAILED")):
        assert rules.floors(metrics | {"n": n}, LIMITS)[3].outcome == outcome


def test_a_model_is_not_worse_than_itself() -> None:
    found = rules.not_worse(LABELS, forecast(2), forecast(2), "here", LIMITS)
    assert outcomes(found) == ["passed", "passed"]
    assert found[0].figures["loss_difference"] == 0


def test_a_clearly_worse_model_fails_and_a_clearly_better_one_passes() -> None:
    good, bad = forecast(1), forecast(5)
    assert outcomes(rules.not_worse(LABELS, bad, good, "here", LIMITS)) == ["FAILED", "FAILED"]
    assert outcomes(rules.not_worse(LABELS, good, bad, "here", LIMITS)) == ["passed", "passed"]


def test_the_margin_is_held_against_the_bound_of_the_interval() -> None:
    shifted = rules.not_worse(LABELS, forecast(2, shift=1.0), forecast(2), "here", LIMITS)[0]
    upper = shifted.figures["loss_difference_high"]
    assert shifted.figures["loss_difference"] < upper
    for margin, outcome in ((upper * 0.99, "FAILED"), (upper * 1.01, "passed")):
        limits = LIMITS.model_copy(update={"loss_margin": margin})
        assert rules.not_worse(LABELS, forecast(2, shift=1.0), forecast(2), "here", limits)[0].outcome == outcome
        half = LIMITS.model_copy(update={"loss_margin": margin / 2})
        wider = rules.not_worse(LABELS, forecast(2, shift=1.0), forecast(2), "here", half, margin_factor=2.0)[0]
        assert wider.outcome == outcome


@pytest.mark.parametrize(
    ("challenger", "champion", "outcome"),
    [
        ("phantom", "real", "refused"),
        ("real", "phantom", "passed"),
        ("phantom", None, "passed"),
        ("real", "real", "passed"),
    ],
)
def test_a_phantom_never_replaces_real_scans(challenger: str, champion: str | None, outcome: str) -> None:
    assert rules.of_one_kind(challenger, champion).outcome == outcome


def test_what_cannot_be_traced_is_refused_by_the_missing_link() -> None:
    assert outcomes(rules.traceable("c", [], "l")) == ["passed", "passed", "passed"]
    assert outcomes(rules.traceable(None, [], None)) == ["refused", "passed", "refused"]
    assert outcomes(rules.traceable("c", [], None, "those of d, but for last digits"))[2] == "passed"
    assert outcomes(rules.traceable(None, ["a"], None, "those of d"))[:2] == ["refused", "refused"]
    changed = rules.traceable("c", [f"file{k}" for k in range(7)], "l")[1]
    assert changed.outcome == "refused"
    assert "file0" in changed.finding
    assert "and 2 more" in changed.finding


def test_predictions_are_reproduced_within_the_tolerance_alone() -> None:
    stored = np.array([0.1, 0.9])
    for again, outcome in (
        (stored + 0.9e-4, "passed"),
        (stored + np.array([0, 1.1e-4]), "refused"),
        (np.array([0.1, np.nan]), "refused"),
    ):
        assert rules.reproduced(stored, again, "here", "here").outcome == outcome


def test_who_made_and_who_checked_the_predictions_is_said_whatever_comes_of_it() -> None:
    for again in (np.array([0.1]), np.array([0.2])):
        rule = rules.reproduced(np.array([0.1]), again, "a GPU, Linux", "a CPU, Linux")
        assert rule.finding.endswith("made on a GPU, Linux; checked on a CPU, Linux")
        assert (rule.figures["made_on"], rule.figures["checked_on"]) == ("a GPU, Linux", "a CPU, Linux")
    same = rules.reproduced(np.array([0.1]), np.array([0.1]), "a CPU", "a CPU")
    assert same.finding.endswith("; made and checked on a CPU")


def test_damage_is_refused_and_what_is_not_here_is_said() -> None:
    assert rules.made_from(3, [], []).finding == "3 of 3 hashed"
    absent = rules.made_from(3, [], ["models/final"])
    assert (absent.outcome, absent.finding) == ("passed", "2 of 3 hashed, not on this machine: models/final")
    wrong = rules.made_from(9, [f"damaged {k}" for k in range(5)], ["models/final"])
    assert wrong.outcome == "refused"
    assert wrong.finding == "damaged 0; damaged 1; damaged 2; and 2 more; make verify says how to mend it"


def test_looks_are_counted_in_words() -> None:
    assert rules.looks(1).finding.startswith("once")
    assert rules.looks(3).finding.startswith("3 times")


def test_information_decides_nothing_and_refusal_is_no_failure() -> None:
    passed, failed, refused, told = (
        Rule("r", outcome, "") for outcome in ("passed", "FAILED", "refused", "information")
    )
    assert Decision((passed, told)).passed
    assert not Decision((passed, failed)).passed
    assert not Decision((refused,)).passed
    assert Decision((failed, refused)).failed == (failed,)
