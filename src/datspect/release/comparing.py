"""Compare two experiments: decide which subjects may be paired, and how A and B differ on them. It reads no file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.evaluation.comparison import Predictions, compare_holdout, compare_out_of_fold
from datspect.evaluation.metrics import predicted_labels
from datspect.release.parameters import parameter_differences
from datspect.release.stage_results import HOLDOUT, JUDGED_SETS, ComparisonError, Judged, JudgedSet, Metrics
from datspect.reporting.comparison import ComparedSet, Comparison

TRAINING_TOLERANCE = 0.05
"""Training sets whose sizes differ by a larger share are no pair: more subjects alone make a model better. Ten folds
against nine differ by 1 %, ten against five by 11 %."""
LEAST_PER_CLASS = 2
"""Subjects of each class that a paired difference needs: with fewer, DeLong's variance is unknown."""

_KEY = ["scan_id", "subject_id", "label"]


@dataclass(frozen=True, eq=False)
class Contender:
    """One of the two experiments.

    name : as the user named it; title : what it is; params : by dotted key, values as text
    judged : what its results say of the sets of subjects that they judge; absent : by stage, why there is no result
    remarks : what a reader must know of it; test_set : of a version, the name under which looks at its test set count
    """

    name: str
    title: str
    params: Mapping[str, str]
    judged: Mapping[JudgedSet, Judged]
    absent: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    test_set: str | None = None

    @property
    def called(self) -> str:
        """Its title, with the recipe if it is not the paper's."""
        recipes = sorted({judged.recipe for judged in self.judged.values()} - {""})
        return ", ".join([self.title, *(f"recipe {recipe}" for recipe in recipes)])

    @property
    def result_ids(self) -> str:
        """The stages and their results, as in `cv 1a2b, final 3c4d`."""
        return ", ".join(sorted({f"{each.stage} {judged.result_id}" for each, judged in self.judged.items()}))


class Pairs(NamedTuple):
    """The N subjects that both have judged: labels (1 is PD), predictions of A and of B, and notes."""

    labels: IntArray
    first: Predictions
    second: Predictions
    notes: tuple[str, ...]


class UnpairedError(ComparisonError):
    """The subjects of two results are no fair pairs."""


def compare(first: Contender, second: Contender, *, holdout: bool) -> tuple[Comparison, dict[JudgedSet, Pairs]]:
    """Return the comparison of A, `first`, with B, and the pairs of each set where pairing is right.

    The holdout takes part only if `holdout`: each use is one more look at it.

    Raises
    ------
    ComparisonError : no set of subjects is judged by both, or a phantom meets real scans.
    """
    shared = [each for each in JUDGED_SETS if each in first.judged and each in second.judged]
    if not shared:
        raise ComparisonError(_nothing_shared(first, second))
    kind = _one_kind(first, second)
    shown = [each for each in shared if holdout or each is not HOLDOUT]
    pairs: dict[JudgedSet, Pairs] = {}
    sets = []
    for judged_set in shown:
        sides, refusal = (first.judged[judged_set], second.judged[judged_set]), ""
        try:
            pairs[judged_set] = paired(judged_set, *sides)
        except UnpairedError as error:
            refusal = str(error)
        sets.append(_compared(judged_set, *sides, pairs.get(judged_set), refusal))
    differing, n_shared, only = parameter_differences(first.params, second.params)
    comparison = Comparison(
        kind=kind,
        titles=(first.called, second.called),
        differing=differing,
        n_shared=n_shared,
        only=only,
        also_differing=_also_differing(shared, first, second),
        sets=tuple(sets),
        remarks=tuple(_remarks(first, second, shared, holdout)),
    )
    return comparison, pairs


def paired(judged_set: JudgedSet, first: Judged, second: Judged) -> Pairs:
    """Return the subjects that both have judged without having been trained on them.

    Raises
    ------
    UnpairedError : predictions are missing, the cohorts or the sizes of the training sets differ, or too few subjects
        are left.
    """
    tables = _table("A", judged_set, first), _table("B", judged_set, second)
    if first.cohort != second.cohort:
        raise UnpairedError(
            "the cohorts differ (other scans, subjects or labels), so the same subject need not be the same image, and "
            "the models learnt from others; run both on one cohort, or, for registered versions, ask datspect promote "
            "--dry-run, which reads the scans anew"
        )
    _check_training_sets(first.n_train, second.n_train)
    common = tables[0].merge(tables[1], on=_KEY, suffixes=("_a", "_b")).sort_values("scan_id", ignore_index=True)
    labels = targets(common["label"])
    if min(labels.sum(), len(labels) - labels.sum()) < LEAST_PER_CLASS:
        raise UnpairedError(
            f"only {len(labels)} subjects ({labels.sum()} PD) were judged by both, of {len(tables[0])} and "
            f"{len(tables[1])}; at least {LEAST_PER_CLASS} of each class are needed"
        )
    whole = len(common) == len(tables[0]) == len(tables[1])
    places = common[f"{judged_set.place}_a"], common[f"{judged_set.place}_b"]
    same_models = bool((common["probability_a"] == common["probability_b"]).all())
    return Pairs(
        labels,
        _predictions(common["probability_a"].to_numpy()),
        _predictions(common["probability_b"].to_numpy()),
        _notes(first, second, one_split=whole and _same_parts(*places), one_result=same_models),
    )


def differences(judged_set: JudgedSet, pairs: Pairs) -> Metrics:
    """Return A minus B with 95 % bounds: out of fold by bootstrap, on the holdout as `compare_holdout` says.

    Sensitivity and specificity are the accuracies within a class.
    """
    labels, first, second, _ = pairs
    measure = compare_out_of_fold if judged_set.out_of_fold else compare_holdout
    found = dict(measure(labels, first, second))
    if not judged_set.out_of_fold:
        bootstrap = compare_out_of_fold(labels, first, second)
        found |= {name: value for name, value in bootstrap.items() if name.startswith("loss_")}
        found |= {
            f"n_only_{ours}_right": found.pop(f"n_only_{n}_right") for ours, n in (("a", "network"), ("b", "other"))
        }
    for name, label in (("sensitivity", 1), ("specificity", 0)):
        rows = labels == label
        inside = measure(labels[rows], _rows(first, rows), _rows(second, rows))
        found |= {f"{name}_difference{end}": inside[f"accuracy_difference{end}"] for end in ("", "_low", "_high")}
    return found


def _table(name: str, judged_set: JudgedSet, judged: Judged) -> pd.DataFrame:
    if judged.table is None:
        raise UnpairedError(f"{name} has no {judged_set.file} here: {judged.missing}")
    return judged.table


def _check_training_sets(n_first: float, n_second: float) -> None:
    if abs(n_first - n_second) > TRAINING_TOLERANCE * max(n_first, n_second):
        raise UnpairedError(
            f"a model of A was trained on {n_first:.0f} subjects, one of B on {n_second:.0f} (other numbers of folds, "
            "or another test set), so a difference may come from their number alone; give both the same section split"
        )


def _notes(first: Judged, second: Judged, *, one_split: bool, one_result: bool) -> tuple[str, ...]:
    notes = ["A and B say exactly the same of every subject."] if one_result else []
    if not one_split:
        notes.append(
            "The split differs. Nobody was judged by a model that had seen them, so the pairs are fair, but the models "
            "learnt from other subjects: the difference holds the luck of the split too, and its interval does not."
        )
    return (*notes, *(f"{name}: {side.note}" for name, side in (("A", first), ("B", second)) if side.note))


def _same_parts(first: "pd.Series[int]", second: "pd.Series[int]") -> bool:
    """Return whether both divide the rows into the same parts, whatever the parts are called."""
    together = pd.crosstab(first, second).to_numpy() > 0
    return bool((together.sum(axis=0) == 1).all() and (together.sum(axis=1) == 1).all())


def _compared(judged_set: JudgedSet, first: Judged, second: Judged, pairs: Pairs | None, refusal: str) -> ComparedSet:
    return ComparedSet(
        name=judged_set.name,
        title=judged_set.title,
        n=(_size(first), _size(second)),
        measures=(first.measures, second.measures),
        n_paired=len(pairs.labels) if pairs else 0,
        differences=differences(judged_set, pairs) if pairs else None,
        refusal=refusal,
        notes=pairs.notes if pairs else (),
    )


def _size(judged: Judged) -> int:
    return len(judged.table) if judged.table is not None else int(judged.measures.get("n", 0))


def _one_kind(first: Contender, second: Contender) -> CohortKind:
    kinds = [{judged.kind for judged in side.judged.values()} for side in (first, second)]
    if len(together := kinds[0] | kinds[1]) > 1:
        said = ["; ".join(sorted(kind.short for kind in side)) for side in kinds]
        raise ComparisonError(
            f"A comes from {said[0]}, B from {said[1]}: a phantom says nothing of real scans, and they are not compared"
        )
    return together.pop()


def _nothing_shared(first: Contender, second: Contender) -> str:
    has = [", ".join(sorted({each.stage for each in side.judged})) or "none" for side in (first, second)]
    reasons = [f"{side.name}: {why}" for side in (first, second) for why in side.absent.values()]
    problem = f"A ({first.name}) has results of stage {has[0]}, B ({second.name}) of stage {has[1]}: there is nothing "
    problem += "to pair. A run holds one stage, a version holds stage final; a commit, an experiment or the workspace "
    return "\n  ".join([f"{problem}may hold both", *reasons])


def _also_differing(shared: Sequence[JudgedSet], first: Contender, second: Contender) -> list[str]:
    pairs = [(first.judged[each].sources, second.judged[each].sources) for each in shared]
    return sorted({name for ours, theirs in pairs for name in ours if ours[name] != theirs.get(name, "")})


def _remarks(first: Contender, second: Contender, shared: Sequence[JudgedSet], holdout: bool) -> list[str]:
    remarks = [remark for side in (first, second) for remark in side.remarks]
    for name, side in (("A", first), ("B", second)):
        remarks += [f"{name} has no result of stage {stage}: {why}" for stage, why in side.absent.items()]
    if any(each.out_of_fold for each in shared):
        remarks.append(
            "Differences out of fold have bootstrap intervals over subjects, given the fitted models: another training "
            "of the same experiment would differ too."
        )
    if HOLDOUT in shared and not holdout:
        remarks.append(
            "The holdout is not shown: each comparison on it is one more look at the test set. --holdout shows it."
        )
    return remarks


def _predictions(probabilities: FloatArray) -> Predictions:
    return Predictions(predicted_labels(probabilities), probabilities, probabilities)


def _rows(predictions: Predictions, rows: BoolArray) -> Predictions:
    probabilities = predictions.scores[rows]
    return Predictions(predictions.predictions[rows], probabilities, probabilities)
