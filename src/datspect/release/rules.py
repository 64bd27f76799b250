"""Ask the rules of the gate: what a version must show to become champion. This module reads no file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.stats import chi2

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.comparison import Predictions, compare_holdout, compare_out_of_fold
from datspect.evaluation.intervals import CONFIDENCE
from datspect.params.promotion import PromotionParams

Outcome = Literal["passed", "FAILED", "refused", "information"]
"""`refused` cannot be overridden by force; `information` decides nothing."""

REPRODUCTION_TOLERANCE = 1e-4
"""How far a probability may differ when a version predicts its test set again."""


@dataclass(frozen=True)
class Rule:
    """A rule that was asked: its outcome, a sentence, and the figures that it rests on."""

    name: str
    outcome: Outcome
    finding: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """All rules that were asked about one promotion."""

    rules: tuple[Rule, ...]

    @property
    def refused(self) -> tuple[Rule, ...]:
        """The rules that stand against the promotion and cannot be overridden."""
        return tuple(rule for rule in self.rules if rule.outcome == "refused")

    @property
    def failed(self) -> tuple[Rule, ...]:
        """The rules that were not met and that force can override."""
        return tuple(rule for rule in self.rules if rule.outcome == "FAILED")

    @property
    def passed(self) -> bool:
        """Whether no rule stands against the promotion."""
        return not (self.refused or self.failed)


def floors(metrics: Mapping[str, float], limits: PromotionParams) -> list[Rule]:
    """Hold the version's measures on its test set, calibrated, against the absolute limits."""
    return [
        _at_least("ROC AUC, lower bound", metrics, "roc_auc_low", limits.min_roc_auc),
        _at_least("sensitivity, lower bound", metrics, "sensitivity_low", limits.min_sensitivity),
        _at_least("specificity, lower bound", metrics, "specificity_low", limits.min_specificity),
        _calibrated(metrics, limits),
    ]


def not_worse(
    labels: IntArray,
    challenger: Predictions,
    champion: Predictions,
    where: str,
    limits: PromotionParams,
    *,
    margin_factor: float = 1.0,
) -> list[Rule]:
    """Compare both by a paired bootstrap on the same N subjects, whom neither has seen.

    `labels`: 1 for PD, shape (N,). `where` says in words which subjects these are. The margins of `limits` are
    multiplied by `margin_factor`.
    """
    loss_margin, roc_auc_margin = limits.loss_margin * margin_factor, limits.roc_auc_margin * margin_factor
    found = compare_out_of_fold(labels, challenger, champion)
    loss, area = _difference(found, "loss_difference"), _difference(found, "roc_auc_difference")
    return [
        _rule(
            f"log loss, {where}",
            found["loss_difference_high"] < loss_margin,
            f"challenger minus champion {loss}, on {len(labels)} subjects; the upper bound must be below "
            f"{loss_margin:g}",
            found,
        ),
        _rule(
            f"ROC AUC, {where}",
            found["roc_auc_difference_low"] > -roc_auc_margin,
            f"challenger minus champion {area}, on {len(labels)} subjects; the lower bound must be above "
            f"{-roc_auc_margin:g}",
            found,
        ),
    ]


def information(labels: IntArray, challenger: Predictions, champion: Predictions) -> list[Rule]:
    """Report McNemar's and DeLong's tests on the test set, which decide nothing; `labels`: 1 for PD, shape (N,)."""
    found = compare_holdout(labels, challenger, champion)
    right = f"only the challenger right {found['n_only_network_right']:.0f}, only the champion right"
    area = _difference(found, "roc_auc_difference")
    return [
        Rule(
            "test set, McNemar",
            "information",
            f"{right} {found['n_only_other_right']:.0f}, p = {found['mcnemar_p']:.3f}",
            found,
        ),
        Rule(
            "test set, DeLong", "information", f"challenger minus champion {area}, p = {found['delong_p']:.3f}", found
        ),
    ]


def of_one_kind(challenger: str, champion: str | None) -> Rule:
    """Refuse to replace a version made from real scans by one made from a phantom."""
    name = "kind of the cohort"
    if challenger == "phantom" and champion == "real":
        finding = "the challenger comes from a PHANTOM, the champion from real scans; use another registered model"
        return Rule(name, "refused", finding)
    return Rule(name, "passed", f"challenger {challenger}, champion {champion or 'none yet'}")


def traceable(
    commit: str | None, changed: Sequence[str], lock_commit: str | None, reproduction: str | None = None
) -> list[Rule]:
    """Ask for a commit at training, no changed tracked file then, and a commit whose dvc.lock holds the results.

    In place of the last, `reproduction` may say which commit's results these are but for last digits.
    """
    rules = [_link("git commit at training", commit is not None, commit or "none: no git repository, or no commit")]
    listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    finding = (
        f"changed and not committed: {listed}; commit, then dvc repro --force -s final && dvc repro && "
        "datspect register"
        if changed
        else "none"
    )
    rules.append(_link("files changed at training", not changed, finding, {"changed": list(changed)}))
    if lock_commit is None and reproduction:
        return [*rules, _link("results in a committed dvc.lock", True, reproduction)]
    finding = lock_commit or "no commit's dvc.lock has these results; git commit dvc.lock, then promote again"
    return [*rules, _link("results in a committed dvc.lock", lock_commit is not None, finding)]


def made_from(n: int, wrong: Sequence[str], absent: Sequence[str]) -> Rule:
    """Ask that no output that a version was made from is damaged or changed where it is kept; `absent` are not kept."""
    name = "outputs as dvc.lock says"
    if wrong:
        listed = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        return _link(name, False, f"{listed}; make verify says how to mend it", {"wrong": list(wrong)})
    here = f"{n - len(absent)} of {n} hashed"
    return _link(name, True, f"{here}, not on this machine: {', '.join(absent)}" if absent else here)


def reproduced(stored: FloatArray, again: FloatArray, made_on: str, checked_on: str) -> Rule:
    """Compare the stored probabilities of the test set with those that the version gives now; both of shape (N,).

    `made_on` and `checked_on` say in words on which platforms: processors and releases differ in last digits.
    """
    largest = float(np.abs(stored - again).max())
    where = f"made on {made_on}; checked on {checked_on}" if made_on != checked_on else f"made and checked on {made_on}"
    return _link(
        "stored predictions reproduced",
        largest <= REPRODUCTION_TOLERANCE,
        f"largest difference {largest:.1e} on {len(stored)} subjects, at most {REPRODUCTION_TOLERANCE:g}; {where}",
        {"largest_difference": largest, "made_on": made_on, "checked_on": checked_on},
    )


def looks(count: int) -> Rule:
    """Report how often this test set was shown, whatever model it was shown for, this time included."""
    times = "once" if count == 1 else f"{count} times"
    return Rule(
        "looks at this test set",
        "information",
        f"{times}, this one included; each makes its figures a little more optimistic",
        {"looks": count},
    )


def _calibrated(metrics: Mapping[str, float], limits: PromotionParams) -> Rule:
    """Ask what a recalibration on the test set itself would take off the log loss.

    So much may be chance: twice the number of subjects times this gain follows the chi-square distribution with two
    degrees of freedom if the probabilities are right (Cox 1958). In small test sets chance alone exceeds the limit.
    """
    name = "calibration on the test set"
    if "recalibration_gain" not in metrics:  # a test set of one class, or measures of an earlier release
        return Rule(name, "FAILED", "not known on this test set")
    chance = float(chi2.ppf(CONFIDENCE, 2)) / (2 * metrics["n"])
    gain, limit = metrics["recalibration_gain"], max(limits.max_recalibration_gain, chance)
    found = {key: value for key, value in metrics.items() if key.startswith(("calibration_slope", "calibration_int"))}
    told = f"; slope {_estimate(found, 'calibration_slope')}, intercept {_estimate(found, 'calibration_intercept')}"
    finding = f"recalibration would save {gain:.4f} of the log loss, at most {limit:.3g}{told}"
    return _rule(name, gain <= limit, finding, {"recalibration_gain": gain, **found})


def _estimate(figures: Mapping[str, float], key: str) -> str:
    if key not in figures:
        return "unknown"
    return f"{figures[key]:.2f} ({figures[f'{key}_low']:.2f} to {figures[f'{key}_high']:.2f})"


def _at_least(name: str, metrics: Mapping[str, float], key: str, floor: float) -> Rule:
    if key not in metrics:  # a test set of one class has no ROC AUC
        return Rule(name, "FAILED", f"not known on this test set, at least {floor:g}")
    return _rule(name, metrics[key] >= floor, f"{metrics[key]:.4f}, at least {floor:g}", {key: metrics[key]})


def _rule(name: str, passed: bool, finding: str, figures: Mapping[str, Any] | None = None) -> Rule:
    return Rule(name, "passed" if passed else "FAILED", finding, figures or {})


def _link(name: str, holds: bool, finding: str, figures: Mapping[str, Any] | None = None) -> Rule:
    """Refuse a version whose link to what it was made from is broken: nobody knows what its figures belong to."""
    return Rule(name, "passed" if holds else "refused", finding, figures or {})


def _difference(found: Mapping[str, float], key: str) -> str:
    return f"{found[key]:+.4f} ({found[f'{key}_low']:+.4f} to {found[f'{key}_high']:+.4f})"
