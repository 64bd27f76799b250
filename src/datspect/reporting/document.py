"""Write the report as Markdown, the one source of both its forms."""

from typing import Any

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.evaluation.doubt import promise
from datspect.reporting import groups, paper
from datspect.reporting.answers import answers_table, checks_table, evidence_table, other_groups_table
from datspect.reporting.choices import choices_table
from datspect.reporting.grouped import bracket_table, grouped_facts, random_against_grouped
from datspect.reporting.inputs import Inputs
from datspect.reporting.paper_tables import (
    CEILING,
    baseline_measures,
    heading,
    holdout_differences,
    measures_table,
    out_of_fold_differences,
    table_1,
    table_2,
    tuning_note,
    with_interval,
)
from datspect.reporting.provenance import DIGEST_CHARACTERS, materials_table, runs_table
from datspect.reporting.rendering import Markdown, render
from datspect.reporting.robustness import mixed_table, needless_summary, panel_summary, panel_table, ratios_table
from datspect.reporting.summary import summary

FIGURE_FOLDER = "figures"
SUBJECT = "DaTscan SPECT, Parkinson's disease against control"


def report_title(inputs: Inputs) -> str:
    """Return the title of the report; it calls a phantom one, and names a recipe that is not the paper's."""
    return f"{inputs.scope.caption}: {SUBJECT}"


def report_markdown(inputs: Inputs, contact_sheet: str) -> str:
    """Return the whole report.

    Images are links relative to its folder: those in `FIGURE_FOLDER`, those that earlier stages left beside it, and
    `contact_sheet`.
    """
    return render(
        "report.md.j2",
        title=report_title(inputs),
        heading=Markdown(heading(inputs.scope)),
        is_phantom=inputs.kind is CohortKind.PHANTOM,
        of_striatum=inputs.of_striatum,
        judge="ensemble" if inputs.of_striatum else "head",
        summary=summary(inputs),
        tuning_note=tuning_note(inputs.cv_metrics),
        tuned=_tuned(inputs),
        has_ceiling=CEILING in inputs.baseline_metrics["out_of_fold"],
        remarks=paper.REMARKS,
        tables={name: Markdown(table) for name, table in _tables(inputs).items()},
        contact_sheet=Markdown(contact_sheet),
        **grouped_facts(inputs.grouped_metrics),
        **_facts(inputs),
    )


def _tables(inputs: Inputs) -> dict[str, str]:
    """Return every table of the report, by the name under which the template asks for it."""
    subjects, predictions = inputs.subjects, inputs.out_of_fold.network
    baselines = inputs.baseline_metrics
    return {
        "one": table_1(inputs.table_1, inputs.cv_metrics),
        "two": table_2(inputs.final_metrics),
        "measures": measures_table(inputs.cv_metrics, inputs.final_metrics),
        "models_out_of_fold": baseline_measures(inputs.cv_metrics["out_of_fold"], baselines["out_of_fold"]),
        "models_holdout": baseline_measures(inputs.final_metrics["holdout"], baselines["holdout"]),
        "differences_out_of_fold": out_of_fold_differences(baselines["out_of_fold"]),
        "differences_holdout": holdout_differences(baselines["holdout"]),
        **_grouped_tables(inputs),
        "checks": checks_table(inputs.check_metrics["checks"]),
        "answers": answers_table(inputs.final_metrics, inputs.predictor_metrics),
        "evidence": evidence_table(inputs.predictor_metrics),
        "other_groups": other_groups_table(inputs.other_group_metrics),
        "panel": panel_table(inputs.robustness_metrics),
        "panel_ratios": ratios_table(inputs.robustness_metrics),
        "mixed_resolution": mixed_table(inputs.robustness_metrics),
        "errors": groups.errors_table(predictions, subjects, inputs.quality),
        "people": groups.people_table(subjects),
        "groups": groups.accuracy_by_group(subjects, predictions),
        "sites": groups.sites_table(subjects, predictions),
        "excluded": groups.excluded_table(inputs.excluded, subjects),
        "choices": choices_table(inputs),
        "runs": runs_table(inputs),
        "materials": materials_table(inputs),
    }


def _grouped_tables(inputs: Inputs) -> dict[str, str]:
    if "folds" not in inputs.grouped_metrics:
        return {}
    metrics = inputs.grouped_metrics
    return {"random_against_grouped": random_against_grouped(metrics), "bracket": bracket_table(metrics)}


def _tuned(inputs: Inputs) -> str:
    """Return which of network and simpler models were tuned, and whom that favours."""
    origin = inputs.cv_metrics.get("parameters_from")
    if origin is None and inputs.of_striatum:
        return (
            "None of them was tuned; the recipe of the network was, on the development folds of the default phantom, "
            "which favours it there, out of fold above all."
        )
    if origin is None:
        return "Nothing was tuned."
    if origin["same_split"]:
        return "None of them was tuned; the network was, which favours it out of fold."
    return (
        "None of them was tuned; the network was, on another split or cohort, which may favour it out of fold and on "
        "the holdout."
    )


def _facts(inputs: Inputs) -> dict[str, Any]:
    """Return the numbers that the sentences of the template hold."""
    predictions = inputs.out_of_fold.network
    return {
        "n_folds": len(inputs.table_1),
        "n": len(predictions),
        "n_wrong": int((predictions["prediction"] != predictions["label"]).sum()),
        "n_errors_shown": groups.MOST_ERRORS,
        "n_holdout": len(inputs.holdout.network),
        "n_holdout_wrong": int((inputs.holdout.network["prediction"] != inputs.holdout.network["label"]).sum()),
        "holdout_typical": f"{100 * inputs.predictor_metrics['holdout_typical']:.0f} %",
        "holdout_withheld": with_interval(inputs.predictor_metrics["holdout_withheld"], "share"),
        "promise": promise(inputs.predictor_metrics["training_role"]),
        "is_scaled_by_maximum": inputs.params.preprocess.intensity == "image_max",
        "n_other": sum(row["n"] for row in inputs.other_group_metrics["groups"]),
        "panel_summary": panel_summary(inputs.robustness_metrics),
        "needless_summary": needless_summary(inputs.robustness_metrics),
        "n_excluded": len(inputs.excluded),
        "n_sites": inputs.subjects["site"].nunique(),
        "n_pd": int(targets(inputs.subjects["label"]).sum()),
        "flags": {name.replace("_", " "): n for name, n in groups.quality_flags(inputs.quality).items()},
        "digest_characters": DIGEST_CHARACTERS,
    }
