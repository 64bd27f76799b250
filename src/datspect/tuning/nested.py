"""Nested cross-validation measures a search on subjects that took no part in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.metrics import predicted_labels
from datspect.modeling.ensemble import fit_ensemble
from datspect.modeling.heads import Head
from datspect.training import crossval
from datspect.training.splitting import subject_folds
from datspect.tuning.development import Development
from datspect.tuning.scoring import TITLES, Objective, measures
from datspect.tuning.space import Configuration
from datspect.tuning.trials import Trial, values_text

N_OUTER, N_INNER = 3, 5


@dataclass(frozen=True, eq=False)
class OuterFolds:
    """The training role cut into outer folds: `folds`, shape (N,), counts them from 1."""

    data: Development
    folds: IntArray
    seed: int

    @property
    def numbers(self) -> list[int]:
        """The numbers of the outer folds."""
        return [int(fold) for fold in np.unique(self.folds)]

    def inner(self, fold: int) -> Development:
        """Return what the search of an outer fold sees: everybody outside of it, in inner folds."""
        return self.data.only(self.folds != fold, N_INNER, self.seed)


def outer_folds(data: Development, seed: int) -> OuterFolds:
    """Cut the training role into folds, stratified by class, with all scans of a subject in one fold."""
    return OuterFolds(data, subject_folds(data.scans, N_OUTER, seed, "outer folds of tune --nested"), seed)


def nested_result(
    outer: OuterFolds, base: Configuration, winners: Sequence[Trial], objective: Objective, cohort_kind: str
) -> dict[str, Any]:
    """Train each outer fold's winner and `base`, judge both on that fold's subjects, and return what nested.json holds.

    `winners` come from the inner searches, in the order of the outer folds.
    """
    configurations = [base.changed(winner.values) for winner in winners]
    tuned, untuned = _outer_probabilities(outer, configurations, base)
    targets = outer.data.targets
    sizes = [int(np.sum(outer.folds != fold)) for fold in outer.numbers]
    naive = float(np.average([winner.score or np.nan for winner in winners], weights=sizes))
    scores = measures(targets, tuned)
    return {
        "cohort_kind": cohort_kind,
        "objective": objective,
        "outer": scores,
        "naive": naive,
        "gap": scores[objective] - naive,
        "values_of_params_yaml": measures(targets, untuned),
        "tuned_minus_params_yaml": compare_out_of_fold(targets, _predictions(tuned), _predictions(untuned)),
        "winners": [
            {"outer_fold": fold, "trial": winner.number, "values": dict(winner.values), "score": winner.score}
            for fold, winner in zip(outer.numbers, winners, strict=True)
        ],
    }


def nested_metrics(result: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a result by flat names, for its run in MLflow."""
    groups = {name: result[name] for name in ("outer", "values_of_params_yaml", "tuned_minus_params_yaml")}
    flat = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    return {**flat, "naive": result["naive"], "gap": result["gap"]}


def nested_text(result: dict[str, Any], cohort: str) -> str:
    """Return a few lines for the terminal."""
    objective: Objective = result["objective"]
    title, outer, base = TITLES[objective], result["outer"], result["values_of_params_yaml"]
    key = {"log_loss": "loss_difference", "roc_auc": "roc_auc_difference", "accuracy": "accuracy_difference"}[objective]
    difference = result["tuned_minus_params_yaml"]
    table = pd.DataFrame(
        [
            [f"outer {title}, on subjects outside of the search", _bounds(outer, objective)],
            [f"naive {title}, the winners' own inner scores", f"{result['naive']:.4f}"],
            ["gap, outer less naive", f"{result['gap']:+.4f}"],
            [f"outer {title} with the values of params.yaml", _bounds(base, objective)],
            ["tuned less params.yaml, same subjects", _bounds(difference, key, sign="+")],
        ]
    )
    winners = [f"  outer fold {w['outer_fold']}: {values_text(w['values'])}" for w in result["winners"]]
    lines = table.to_string(index=False, header=False, justify="left")
    head = f"Nested search ({cohort}), {N_OUTER} outer and {N_INNER} inner folds"
    return "\n".join([head, lines, "winners:", *winners])


def _outer_probabilities(
    outer: OuterFolds, tuned: Sequence[Configuration], base: Configuration
) -> tuple[FloatArray, FloatArray]:
    """Return each subject's probability from the head that has not seen it, tuned and untuned: shape (N,) both."""
    data, untuned = outer.data, [base] * len(tuned)

    def heads(name: str, configurations: Sequence[Configuration]) -> list[Head]:
        return [
            crossval.outer_head(f"{name}-{fold}", fold, outer.folds, one.classifier, one.training)
            for fold, one in zip(outer.numbers, configurations, strict=True)
        ]

    groups = [heads("tuned", tuned), heads("untuned", untuned)]
    together = [head for group in groups for head in group]
    if data.slabs is None:  # one stack trains all heads
        fitted = crossval.train(together, data.bank, data.targets, base.training.batch_size, "outer folds")
    else:
        pairs = zip(together, [*tuned, *untuned], strict=True)
        fitted = [fit_ensemble(head, data.material(one, data.slabs)) for head, one in pairs]
    halves = (fitted[: len(tuned)], fitted[len(tuned) :])
    first, second = (
        crossval.probabilities(crossval.out_of_fold_logits(group, half, data.bank[0]))
        for group, half in zip(groups, halves, strict=True)
    )
    return first, second


def _predictions(probabilities: FloatArray) -> Predictions:
    return Predictions(predicted_labels(probabilities), probabilities, probabilities)


def _bounds(values: dict[str, float], name: str, sign: str = "") -> str:
    return f"{values[name]:{sign}.4f} ({values[f'{name}_low']:{sign}.4f} to {values[f'{name}_high']:{sign}.4f})"
