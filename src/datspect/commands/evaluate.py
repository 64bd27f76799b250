"""Command `evaluate`: say how a finished model does on a labelled cohort; nothing is trained, fitted or chosen."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datspect.commands.forms import as_json
from datspect.commands.predict import Format, check_prevalence, read_predictor
from datspect.errors import CohortError, LeakageError

if TYPE_CHECKING:
    import pandas as pd

    from datspect.cohort.table import Cohort
    from datspect.io.sources import Source
    from datspect.prediction.answering import Outcome
    from datspect.prediction.predictor import Predictor
    from datspect.release.known_subjects import KnownSubjects

_SHOWN = 10

log = logging.getLogger("datspect.evaluate")


@dataclass(frozen=True, eq=False)
class Chosen:
    """The scans to evaluate on, one a subject, and how many are left out by reason."""

    scans: "pd.DataFrame"
    left_out: dict[str, int]


def evaluate(
    cohort: Annotated[Path, typer.Argument(help="A cohort folder, as datspect import writes it.")],
    model: Annotated[
        str, typer.Option(help="Evaluate the predictor in this folder, or the version with this alias or number.")
    ] = "models/predictor",
    form: Annotated[Format, typer.Option("--format", help="Print the measures in this form.")] = "table",
    prevalence: Annotated[
        float | None, typer.Option(help="Answer for this share of PD. [default: that of training]")
    ] = None,
    leave_out_known: Annotated[
        bool, typer.Option("--leave-out-known", help="Leave out subjects that the model has met, instead of stopping.")
    ] = False,
) -> None:
    """Evaluate a finished model on the scans of PD and controls in a cohort folder, one scan a subject.

    It stops at subjects that the model was trained on or that are in its test set, as far as their pseudonyms tell.
    The exit code is 0 also if scans were refused or withheld: they are counted.
    """
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect.cohort.table import read_cohort
    from datspect.prediction.answering import Reading, outcomes
    from datspect.release.known_subjects import known_subjects, why_unknown

    read = read_cohort(cohort)
    predictor = read_predictor(model)
    if prevalence is not None:
        check_prevalence(predictor, prevalence)
    known = known_subjects(model)
    unknown = why_unknown(model) if known is None else ""
    if unknown and leave_out_known:
        raise LeakageError(f"--leave-out-known: whom {model} was trained on is not known: {unknown}")
    chosen = choose(read, known, leave_out_known=leave_out_known)
    answered = list(outcomes(predictor, _sources(read, chosen.scans), Reading(space="mni"), prevalence=prevalence))
    found = measured(chosen.scans, answered)
    print(_text(_record(read, predictor, known, chosen, found, prevalence), found, answered, unknown, form))


def choose(cohort: "Cohort", known: "KnownSubjects | None", *, leave_out_known: bool) -> Chosen:
    """Choose the scans of PD and controls, of each subject that of the first visit, without those the model has met.

    Raises
    ------
    LeakageError : the model has met some of the subjects, and they are not to be left out.
    CohortError : a subject has two labels, or no scan is left.
    """
    from datspect.cohort.table import LABELS
    from datspect.cohort.visits import visit_places
    from datspect.release.known_subjects import ROLES

    scans = cohort.scans.assign(place=visit_places(cohort.scans["visit"]))
    scans = scans.sort_values(["subject_id", "place", "scan_id"]).drop(columns="place")
    labelled = scans[scans["label"].isin(LABELS)]
    several = int(labelled.drop_duplicates(["subject_id", "label"])["subject_id"].duplicated().sum())
    if several:
        raise CohortError(f"{cohort.folder}: {several} subject(s) have two labels: a subject has one diagnosis")
    first = labelled.drop_duplicates("subject_id")
    roles = known.roles_of(first["subject_id"]) if known is not None else [""] * len(first)
    met = {said: roles.count(role) for role, said in ROLES.items() if role in roles}
    if met and not leave_out_known:
        counts = ", ".join(f"{n} it was {said}" if said == "trained on" else f"{n} {said}" for said, n in met.items())
        raise LeakageError(
            f"{cohort.folder}: of {len(first)} subjects the model has met {sum(met.values())} ({counts}); figures on "
            "them say nothing of others. datspect tables shows the graph's own; --leave-out-known evaluates the rest"
        )
    left_out = {
        "of another label": len(scans) - len(labelled),
        "a later scan of the subject": len(labelled) - len(first),
        "of a subject that the model has met": sum(met.values()),
    }
    chosen = first[[not role for role in roles]].reset_index(drop=True)
    if chosen.empty:
        said = "; ".join(f"{n} {why}" for why, n in left_out.items() if n)
        raise CohortError(f"{cohort.folder}: no scan to evaluate on ({said or 'the table is empty'})")
    return Chosen(chosen, {why: n for why, n in left_out.items() if n})


def measured(scans: "pd.DataFrame", outcomes: "Sequence[Outcome]") -> dict[str, Any]:
    """Return the measures of the answers to scans, in the same order."""
    import numpy as np

    from datspect.cohort.table import targets
    from datspect.evaluation.elsewhere import cohort_measures

    states = np.array([one.answer.state if one.answer else "refused" for one in outcomes])
    of_model = np.array([one.answer.probability if one.answer else np.nan for one in outcomes])
    of_ratios = np.array([one.answer.ratio_probability if one.answer else np.nan for one in outcomes])
    return cohort_measures(targets(scans["label"]), states, of_model, of_ratios)


def _sources(cohort: "Cohort", scans: "pd.DataFrame") -> "list[Source]":
    """Return the volumes of the scans.

    Raises
    ------
    CohortError : files are missing; it names the scans.
    """
    from datspect.io.sources import Source

    paths = {row.scan_id: cohort.folder / str(row.path) for row in scans.itertuples()}
    if missing := [str(scan_id) for scan_id, path in paths.items() if not path.is_file()]:
        raise CohortError(
            f"{cohort.folder}: the volume of {len(missing)} of {len(paths)} scans is missing, such as "
            f"{', '.join(missing[:_SHOWN])}; restore the folder, or import the scans anew"
        )
    return [Source(path, None, str(scan_id), path.stat().st_size) for scan_id, path in paths.items()]


def _record(
    cohort: "Cohort",
    predictor: "Predictor",
    known: "KnownSubjects | None",
    chosen: Chosen,
    found: dict[str, Any],
    prevalence: float | None,
) -> dict[str, Any]:
    """Return all that is printed, as JSON has it."""
    from datspect.prediction.files import predictor_digest

    parts, labels = predictor.parts, Counter(chosen.scans["label"])
    return {
        "cohort": {"kind": str(cohort.kind), "scans": {str(label): n for label, n in sorted(labels.items())}},
        "left_out": chosen.left_out,
        "model": {**parts.scope.record, "sha256": predictor_digest(predictor.folder), "n_train": parts.n_train},
        "prevalence": parts.prevalence if prevalence is None else prevalence,
        "training_subjects_known": known is not None,
        **found,
    }


def _text(
    record: dict[str, Any], found: dict[str, Any], outcomes: "Sequence[Outcome]", unknown: str, form: Format
) -> str:
    """Return the record in a form; `unknown`: why it is not known whom the model was trained on, if so."""
    import pandas as pd

    from datspect.reporting.elsewhere import as_rows, as_text

    match form:
        case "json":
            return as_json(record)
        case "csv":
            return (
                pd.DataFrame([*_about(record), *as_rows(found)]).to_csv(index=False, lineterminator="\n").rstrip("\n")
            )
        case "table":
            return "\n\n".join([_heading(record), as_text(found), *_refusals(outcomes), _remarks(record, unknown)])


def _about(record: dict[str, Any]) -> list[dict[str, object]]:
    about = {
        "cohort_kind": record["cohort"]["kind"],
        "model_cohort_kind": record["model"]["cohort_kind"],
        "prevalence": record["prevalence"],
        "training_subjects_known": record["training_subjects_known"],
        **{f"left out, {why}": n for why, n in record["left_out"].items()},
    }
    return [{"part": "about", "name": name, "value": value} for name, value in about.items()]


def _heading(record: dict[str, Any]) -> str:
    from datspect.cohort.scope import Scope

    cohort, model = record["cohort"], Scope.of(record["model"])
    counts = ", ".join(f"{n} {label}" for label, n in cohort["scans"].items())
    return f"Evaluated on: {Scope.of({'cohort_kind': cohort['kind']}).caption} ({counts}). Model of: {model.caption}."


def _refusals(outcomes: "Sequence[Outcome]") -> list[str]:
    refused = [one for one in outcomes if one.answer is None]
    if not refused:
        return []
    more = [f"  and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
    return ["\n".join(["Refused:", *(f"  {one.scan}: {one.error}" for one in refused[:_SHOWN]), *more])]


def _remarks(record: dict[str, Any], unknown: str) -> str:
    """Return what a reader of the figures has to know."""
    labels = record["cohort"]["scans"]
    share = labels.get("pd", 0) / sum(labels.values())
    known = (
        "None of these subjects was met in training under the same pseudonym; under another key it would not show."
        if record["training_subjects_known"]
        else f"Whom this model was trained on is not known here: {unknown}. Make sure that none of these subjects was "
        "among them."
    )
    return "\n".join(
        [
            *(f"Left out: {n} {why}." for why, n in record["left_out"].items()),
            f"Probabilities and classes are for {100 * record['prevalence']:.3g} % PD; "
            f"here {100 * share:.3g} % have it.",
            known,
            "Intervals (Wilson; ROC AUC DeLong; loss, Brier and PR AUC bootstrap) are given the model. Withheld and "
            "refused scans have no class and are in no measure below the first table. Research only, no diagnosis.",
        ]
    )
