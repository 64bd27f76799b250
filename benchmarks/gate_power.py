"""What the rules of the gate can see in a test set of this size: how often versions with known faults pass each rule.

    python benchmarks/gate_power.py [--params params.yaml] [--repeats 1000] [--quick] [--json FILE] [--into PAGE]

Versions are made up: the log odds of each class are normal, of equal spread, so that they are right and have the ROC
AUC that was asked for; then they are spoilt by a factor or a shift. Two versions share nine tenths of the variance that
is not disease. Nothing is read but the limits; about 5 minutes on one core.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.intervals import delong_interval, wilson_interval, with_bounds
from datspect.evaluation.metrics import calibration_errors, confusion_counts, predicted_labels
from datspect.evaluation.recalibration import calibration_measures
from datspect.params.base import Sections, read_params
from datspect.params.promotion import PromotionParams
from datspect.release import rules
from datspect.reporting.markdown import markdown_table
from measuring import page_parser, publish

SEED = 2019
TEST_SET, DEVELOPMENT = (90, 42), (359, 168)
"""PD and control in the test set and in the training role of 659 subjects."""
SHARED = 0.9
"""Share of the variance within a class that two versions have in common."""
FORMER_LIMIT = 0.1
"""Of the calibration error, by which the gate once judged."""
QUICK_REPEATS = 20


class Version(NamedTuple):
    """A version with its ROC AUC, and what was done to its log odds."""

    roc_auc: float = 0.965  # as the paper's recipe has it out of fold on the default phantom
    factor: float = 1.0
    shift: float = 0.0


SOUND = Version()
ALONE = {
    "sound, ROC AUC 0.965": SOUND,
    "ROC AUC 0.98": Version(roc_auc=0.98),
    "ROC AUC 0.95": Version(roc_auc=0.95),
    "ROC AUC 0.93": Version(roc_auc=0.93),
    "ROC AUC 0.90": Version(roc_auc=0.90),
    "ROC AUC 0.85": Version(roc_auc=0.85),
    "log odds 1.5 times too large": Version(factor=1.5),
    "log odds 2 times too large": Version(factor=2.0),
    "log odds 4 times too large": Version(factor=4.0),
    "log odds 1.5 times too small": Version(factor=1 / 1.5),
    "log odds 2 times too small": Version(factor=0.5),
    "log odds 4 times too small": Version(factor=0.25),
    "log odds 1 too high": Version(shift=1.0),
    "log odds 2 too high": Version(shift=2.0),
    "log odds 2 too low": Version(shift=-2.0),
}
BESIDE_A_CHAMPION = {
    "as good": SOUND,
    "ROC AUC 0.975": Version(roc_auc=0.975),
    "ROC AUC 0.955": Version(roc_auc=0.955),
    "ROC AUC 0.945": Version(roc_auc=0.945),
    "ROC AUC 0.93": Version(roc_auc=0.93),
}


class Read(Sections):
    """The section that the gate reads."""

    promotion: PromotionParams


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="file with the limits of the gate")
    parser.add_argument("--repeats", type=int, default=1000, help="made-up versions of each kind")
    arguments = parser.parse_args()
    limits, repeats = (
        read_params(Read, arguments.params).promotion,
        QUICK_REPEATS if arguments.quick else arguments.repeats,
    )
    alone = {name: shares(alone_outcomes(version, limits), repeats) for name, version in ALONE.items()}
    beside, on_common = (
        {
            name: shares(beside_outcomes(version, limits, sizes, factor), repeats // 5)
            for name, version in BESIDE_A_CHAMPION.items()
        }
        for sizes, factor in ((DEVELOPMENT, 1.0), (TEST_SET, limits.common_margin_factor))
    )
    text = [
        f"Probability of passing, in {repeats} made-up test sets of {TEST_SET[0]} PD and {TEST_SET[1]} controls. The "
        f"last column is the former rule, a calibration error of at most {FORMER_LIMIT:g}:",
        table(alone),
        f"Beside a champion with ROC AUC {SOUND.roc_auc:g}, out of fold on {sum(DEVELOPMENT)} subjects of the training "
        f"role, {repeats // 5} made-up pairs. Both are calibrated there, which undoes factors and shifts:",
        table(beside),
        f"The same on {sum(TEST_SET)} test subjects, for a champion of other data or another split, with margins "
        f"{limits.common_margin_factor:g} times as wide:",
        table(on_common),
    ]
    publish(arguments, text, {"alone": alone, "beside_a_champion": beside, "on_common_subjects": on_common})


def shares(outcomes: Callable[[np.random.Generator], Mapping[str, bool]], repeats: int) -> dict[str, float]:
    """Return how often each rule was passed."""
    rng = np.random.default_rng(SEED)
    asked = [outcomes(rng) for _ in range(repeats)]
    return {name: float(np.mean([found[name] for found in asked])) for name in asked[0]}


def alone_outcomes(version: Version, limits: PromotionParams) -> Callable[[np.random.Generator], dict[str, bool]]:
    """Return a function that draws a test set and asks the absolute rules."""

    def asked(rng: np.random.Generator) -> dict[str, bool]:
        labels = made_up_labels(TEST_SET)
        probabilities = expit(log_odds(version, labels, rng.normal(size=len(labels))))
        found = passed(rules.floors(measures(labels, probabilities), limits))
        error = calibration_errors(labels, probabilities, np.ones((1, len(labels)), np.int64))[0]
        return {**found, "all of these": all(found.values()), "former rule": bool(error <= FORMER_LIMIT)}

    return asked


def beside_outcomes(
    version: Version, limits: PromotionParams, sizes: tuple[int, int], margin_factor: float
) -> Callable[[np.random.Generator], dict[str, bool]]:
    """Return a function that draws two versions' predictions and asks the rules that compare them."""

    def asked(rng: np.random.Generator) -> dict[str, bool]:
        labels = made_up_labels(sizes)
        common, own, other = rng.normal(size=(3, len(labels)))
        challenger, champion = (
            log_odds(each, labels, np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * noise)
            for each, noise in ((version, own), (SOUND, other))
        )
        pair = said(challenger), said(champion)
        found = passed(rules.not_worse(labels, *pair, "margin", limits, margin_factor=margin_factor))
        return {**found, "both": all(found.values())}

    return asked


def made_up_labels(sizes: tuple[int, int]) -> IntArray:
    return np.repeat([1, 0], sizes)


def log_odds(version: Version, labels: IntArray, noise: FloatArray) -> FloatArray:
    """Return log odds, shape (N,), which are right before factor and shift; `noise` is standard normal."""
    distance = norm.ppf(version.roc_auc) * np.sqrt(2)
    right = distance * noise + distance**2 / 2 * (2 * labels - 1) + np.log(labels.mean() / (1 - labels.mean()))
    return version.factor * right + version.shift


def measures(labels: IntArray, probabilities: FloatArray) -> dict[str, float]:
    """Return what the rules read of `binary_metrics`, without its bootstrap."""
    counts = confusion_counts(labels, predicted_labels(probabilities)).proportions()
    area = float(roc_auc_score(labels, probabilities))
    found = {"n": len(labels), **with_bounds("roc_auc", area, delong_interval(labels, probabilities))}
    for name in ("sensitivity", "specificity"):
        successes, trials = counts[name]
        found |= with_bounds(name, successes / trials, wilson_interval(successes, trials))
    return found | calibration_measures(labels, probabilities)


def said(log_odds: FloatArray) -> Predictions:
    probabilities = expit(log_odds)
    return Predictions(predicted_labels(probabilities), log_odds, probabilities)


def passed(asked: Sequence[rules.Rule]) -> dict[str, bool]:
    return {rule.name: rule.outcome == "passed" for rule in asked}


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(next(iter(found.values())))
    rows = [[kind, *(f"{shares[name]:.3f}" for name in names)] for kind, shares in found.items()]
    return markdown_table([["version", *names], *rows])


if __name__ == "__main__":
    sys.exit(main())
