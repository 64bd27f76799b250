"""Tell which answers may be wrong, by how near they are to the other class and by whether the binding ratios agree.

All of it is learnt from subjects that the network has not seen, and judged on subjects that it was not learnt from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.calibration import Calibration, decision_measures, fit_calibration
from datspect.evaluation.intervals import CONFIDENCE, wilson_interval, with_bounds
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.regression import Regression, fit_regression

EVIDENCE = ("margin", "support", "agreement")
"""How far the answer is from the other class, and how far the regression on binding ratios is on its side, both in log
odds. A negative support speaks for the other class. Of an ensemble also how little its members differ for so large an
answer: minus their spread over 1 and the margin."""
RULES: tuple[tuple[str, ...], ...] = (("margin",), ("support",), ("margin", "support"))
"""What a rule may look at, simple ones first; each is measured, and the one that finds most is applied."""
ENSEMBLE_RULES: tuple[tuple[str, ...], ...] = (("margin", "agreement"), ("margin", "support", "agreement"))
"""What it may look at besides if the answer is that of an ensemble."""
SET_ASIDE = (0.05, 0.10)
"""Rules are chosen by the errors found when these shares of the subjects are set aside."""
_CALIBRATED = -1.0
"""Of well calibrated log odds the chance to be wrong has log odds of -1 times the margin."""
_RIDGE = 1.0


@dataclass(frozen=True, eq=False)
class Scores:
    """What is known of N subjects whom the network has not seen.

    labels, folds : shape (N,); a label is 1 for PD
    logits : of the network, shape (N,)
    ratios : columns of the regression on binding ratios, shape (N, F)
    spread : sd of the log odds of an ensemble's members, shape (N,); None for a single network
    """

    labels: IntArray
    folds: IntArray
    logits: FloatArray
    ratios: FloatArray
    spread: FloatArray | None = None

    def of(self, rows: BoolArray) -> "Scores":
        """Return the scores of some of the subjects; `rows` has shape (N,)."""
        spread = None if self.spread is None else self.spread[rows]
        return Scores(self.labels[rows], self.folds[rows], self.logits[rows], self.ratios[rows], spread)

    @property
    def rules(self) -> tuple[tuple[str, ...], ...]:
        """Return the rules there are."""
        return RULES if self.spread is None else (*RULES, *ENSEMBLE_RULES)

    def parts(self) -> Iterator[tuple[BoolArray, BoolArray]]:
        """Yield those who learn and those who are held out of every fold, each bool, shape (N,).

        A single fold is all that is left of two, and is read by what was learnt from itself.
        """
        folds = np.unique(self.folds)
        for fold in folds:
            held_out = self.folds == fold
            yield ~held_out if len(folds) > 1 else held_out, held_out


@dataclass(frozen=True, eq=False)
class Reading:
    """The answer to N subjects in log odds of PD, by the network once calibrated and by the binding ratios; (N,).

    spread : of an ensemble's members, shape (N,); None for a single network
    """

    network: FloatArray
    ratios: FloatArray
    spread: FloatArray | None = None

    @property
    def evidence(self) -> FloatArray:
        """Columns `EVIDENCE`, shape (N, 3), or without the last, shape (N, 2), if the network is a single one.

        >>> Reading(network=np.array([3.0, -1.0]), ratios=np.array([2.0, 4.0])).evidence.tolist()
        [[3.0, 2.0], [1.0, -4.0]]
        >>> Reading(network=np.array([3.0]), ratios=np.array([2.0]), spread=np.array([0.8])).evidence.tolist()
        [[3.0, 2.0, -0.2]]
        """
        side, margin = 2 * predicted_labels(expit(self.network)) - 1, np.abs(self.network)
        agreement = [] if self.spread is None else [-self.spread / (1 + margin)]
        return np.column_stack([margin, side * self.ratios, *agreement])

    def wrong(self, labels: IntArray) -> BoolArray:
        """Return whether the network's class is not the label, shape (N,)."""
        return np.asarray(predicted_labels(expit(self.network)) != labels)


@dataclass(frozen=True)
class Doubt:
    """An answer is inconclusive if its chance to be wrong is above `limit`.

    weights : of the evidence, in the log odds of being wrong; 0 for what the rule does not look at
    """

    weights: tuple[float, ...]
    intercept: float
    limit: float = 1.0

    def risks(self, evidence: FloatArray) -> FloatArray:
        """Return the chance to be wrong, shape (N,), given as many columns of evidence as there are weights."""
        return np.asarray(expit(evidence @ np.array(self.weights) + self.intercept))

    def is_inconclusive(self, evidence: FloatArray) -> BoolArray:
        """Return whether each answer is inconclusive, shape (N,), given evidence as in `risks`."""
        return np.asarray(self.risks(evidence) > self.limit)

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Return the names of the evidence that counts.

        >>> Doubt(weights=(0.0, -0.9), intercept=-0.7).looks_at
        ('support',)
        """
        return tuple(name for name, weight in zip(EVIDENCE, self.weights, strict=False) if weight)


@dataclass(frozen=True, eq=False)
class FittedDoubt:
    """The rule to apply, the regression on binding ratios that it needs, and what both are worth.

    out_of_fold : the reading of every subject by what was fitted on the other folds
    risks : by the rule that the other folds chose and fitted, shape (N,)
    by_rule : the same by each of the rules
    """

    doubt: Doubt
    regression: Regression
    out_of_fold: Reading
    risks: FloatArray
    by_rule: Mapping[tuple[str, ...], FloatArray]


def fit_doubt(scores: Scores, coverage: float, ridge: float) -> FittedDoubt:
    """Choose and fit the rule that leaves the share `coverage` of the subjects conclusive; both classes must be there.

    `ridge` is the inverse strength of that on binding ratios. The rule is the one that finds the most errors, of equals
    the first. Its worth is measured fold by fold with calibration, regression, choice and weights of
    the other folds. What the network says of these was said by heads that had seen the fold; to be free of that too
    takes a training for every pair of folds.
    """
    reading = _read_out_of_fold(scores, ridge)
    risks = np.empty(len(scores.labels))
    by_rule = {names: np.empty(len(scores.labels)) for names in scores.rules}
    for learning, held_out in scores.parts():
        others = scores.of(learning)
        seen, evidence = _read_out_of_fold(others, ridge), _rows(reading, held_out).evidence
        wrong = seen.wrong(others.labels)
        for names, found in by_rule.items():
            found[held_out] = _fit_risk(seen.evidence, wrong, names).risks(evidence)
        chosen = _choose(seen.evidence, wrong, others)
        risks[held_out] = by_rule[chosen][held_out]
    wrong = reading.wrong(scores.labels)
    doubt = _fit_risk(reading.evidence, wrong, _choose(reading.evidence, wrong, scores))
    return FittedDoubt(
        doubt=Doubt(doubt.weights, doubt.intercept, limit_of(risks, coverage)),
        regression=fit_regression(scores.ratios, scores.labels, ridge),
        out_of_fold=reading,
        risks=risks,
        by_rule=by_rule,
    )


def limit_of(risks: FloatArray, coverage: float) -> float:
    """Return the least limit that leaves at least the share `coverage` of risks, shape (N,), not above it.

    >>> limit_of(np.array([0.5, 0.25, 0.125, 0.0]), coverage=0.75)
    0.25
    """
    n_above = int(np.floor((1 - coverage) * len(risks) + 1e-9))
    return float(np.sort(risks)[len(risks) - n_above - 1]) if 0 < n_above < len(risks) else float(n_above == 0)


def share_found(wrong: BoolArray, risks: FloatArray, set_aside: float) -> tuple[int, int]:
    """Return how many errors are among the share of the subjects at highest risk, and how many there are in all.

    >>> share_found(np.array([True, False, False, True]), np.array([0.4, 0.1, 0.3, 0.2]), set_aside=0.5)
    (1, 2)
    """
    riskiest = np.argsort(-risks, kind="stable")[: int(np.floor(set_aside * len(risks) + 1e-9))]
    return int(wrong[riskiest].sum()), int(wrong.sum())


def doubt_measures(labels: IntArray, probabilities: FloatArray, inconclusive: BoolArray) -> dict[str, float]:
    """Return `decision_measures` of a rule, the share of errors that it calls inconclusive, and what it may promise.

    Every array has shape (N,). `conclusive_wrong_at_most` is the upper end of Clopper's and Pearson's one-sided 95 %
    interval of the wrong share of conclusive answers. Without an error none can be found, and the share is missing.

    >>> measures = doubt_measures(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.1]), np.array([False, True, False]))
    >>> measures["errors_found"], round(measures["conclusive_wrong_at_most"], 3)  # 1 - 0.05 ** (1 / 2)
    (1.0, 0.776)

    References
    ----------
    Clopper, Pearson, Biometrika 26 (1934), 404-413, doi:10.1093/biomet/26.4.404.
    """
    wrong = predicted_labels(probabilities) != labels
    measures = decision_measures(labels, probabilities, inconclusive)
    if wrong.any():
        n_found, n_wrong = int((wrong & inconclusive).sum()), int(wrong.sum())
        measures |= with_bounds("errors_found", n_found / n_wrong, wilson_interval(n_found, n_wrong))
    n_conclusive, n_missed = int((~inconclusive).sum()), int((wrong & ~inconclusive).sum())
    measures |= {"n": len(labels), "n_wrong": int(wrong.sum()), "n_wrong_conclusive": n_missed}
    if n_conclusive:
        measures["conclusive_wrong_at_most"] = _at_most(n_missed, n_conclusive)
    return measures


def evidence_table(labels: IntArray, fitted: FittedDoubt) -> list[dict[str, Any]]:
    """Return for each of the rules, out of fold, the shares of errors found at the shares `SET_ASIDE`, with bounds."""
    wrong, rows = fitted.out_of_fold.wrong(labels), []
    for names, risks in fitted.by_rule.items():
        row: dict[str, Any] = {"looks_at": list(names), "is_applied": names == fitted.doubt.looks_at}
        for share in SET_ASIDE:
            n_found, n_wrong = share_found(wrong, risks, share)
            if n_wrong:
                name = f"errors_found_at_{100 * share:g}"
                row |= with_bounds(name, n_found / n_wrong, wilson_interval(n_found, n_wrong))
        rows.append(row)
    return rows


def is_informative(measures: Mapping[str, float]) -> bool:
    """Return whether a rule surely finds more errors than setting as many subjects aside by lot would.

    >>> is_informative({"coverage": 0.9, "errors_found_low": 0.3}), is_informative({"coverage": 0.9})
    (True, False)
    """
    return measures.get("errors_found_low", 0.0) > 1 - measures["coverage"]


def promise(measures: Mapping[str, float]) -> str:
    """Return in words what `doubt_measures` of a rule allow to promise; nothing if no answer was conclusive.

    >>> promise({"conclusive_wrong_at_most": 0.0281})
    'of conclusive answers at most 2.9 % are wrong, with 95 % confidence'
    """
    if "conclusive_wrong_at_most" not in measures:
        return ""
    at_most = np.ceil(1000 * measures["conclusive_wrong_at_most"]) / 10
    return f"of conclusive answers at most {at_most:.3g} % are wrong, with {100 * CONFIDENCE:.0f} % confidence"


def _read_out_of_fold(scores: Scores, ridge: float) -> Reading:
    network, ratios = np.empty(len(scores.labels)), np.empty(len(scores.labels))
    for learning, held_out in scores.parts():
        calibration, regression = _fit_readers(scores.of(learning), ridge)
        network[held_out] = calibration.log_odds(scores.logits[held_out])
        ratios[held_out] = regression.log_odds(scores.ratios[held_out])
    return Reading(network, ratios, scores.spread)


def _fit_readers(scores: Scores, ridge: float) -> tuple[Calibration, Regression]:
    return fit_calibration(scores.labels, scores.logits), fit_regression(scores.ratios, scores.labels, ridge)


def _rows(reading: Reading, rows: BoolArray) -> Reading:
    spread = None if reading.spread is None else reading.spread[rows]
    return Reading(reading.network[rows], reading.ratios[rows], spread)


def _fit_risk(evidence: FloatArray, wrong: BoolArray, names: tuple[str, ...]) -> Doubt:
    """Fit the chance to be wrong; evidence that points the wrong way counts nothing.

    Without any left, or without an error to learn from, the chance is the one that the calibrated answer itself states.
    """
    columns, known = [EVIDENCE.index(name) for name in names], range(evidence.shape[1])
    while columns and 0 < wrong.sum() < len(wrong):
        regression = fit_regression(evidence[:, columns], wrong, _RIDGE)
        if (regression.weights < 0).all():
            found = dict(zip(columns, regression.weights.tolist(), strict=True))
            return Doubt(tuple(found.get(column, 0.0) for column in known), regression.intercept)
        del columns[int(np.argmax(regression.weights))]
    return Doubt(tuple(_CALIBRATED if EVIDENCE[column] == "margin" else 0.0 for column in known), 0.0)


def _choose(evidence: FloatArray, wrong: BoolArray, scores: Scores) -> tuple[str, ...]:
    """Return the rule that finds the most errors in folds that it was not fitted on."""

    def found(names: tuple[str, ...]) -> int:
        risks = np.empty(len(wrong))
        for learning, held_out in scores.parts():
            risks[held_out] = _fit_risk(evidence[learning], wrong[learning], names).risks(evidence[held_out])
        return sum(share_found(wrong, risks, share)[0] for share in SET_ASIDE)

    return max(scores.rules, key=found)


def _at_most(n_events: int, n: int) -> float:
    from scipy.stats import binomtest  # here, as in `fit_regression`

    return float(binomtest(n_events, n, alternative="less").proportion_ci(CONFIDENCE, "exact").high)
