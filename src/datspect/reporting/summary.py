"""Sum the report up in a few sentences; every number comes from the metrics."""

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.reporting import paper
from datspect.reporting.grouped import grouped_in_brief
from datspect.reporting.inputs import Inputs
from datspect.reporting.paper_tables import tuning_note, with_interval
from datspect.reporting.verdict import against_reader


def summary(inputs: Inputs) -> list[str]:
    """Return sentences: what was done, how well it went, against what, and whether the checks passed."""
    tuned = [note] if (note := tuning_note(inputs.cv_metrics)) else []
    return [
        _what_was_done(inputs),
        _how_well(inputs),
        *tuned,
        *against_reader(inputs.baseline_metrics["out_of_fold"]),
        *grouped_in_brief(inputs.grouped_metrics),
        _checks(inputs),
    ]


def _what_was_done(inputs: Inputs) -> str:
    n, n_pd = len(inputs.subjects), targets(inputs.subjects["label"]).sum()
    scans = "simulated scans" if inputs.kind is CohortKind.PHANTOM else "scans"
    return (
        f"{n} {scans} ({n_pd} PD, {n - n_pd} control) were classified from {_from_what(inputs)}, in "
        f"{len(inputs.table_1)}-fold cross-validation and once more for a holdout of "
        f"{inputs.final_metrics['holdout']['n']}."
    )


def _from_what(inputs: Inputs) -> str:
    if inputs.of_striatum:
        n = inputs.params.striatum.members
        return (
            f"four slabs of 12 mm around both striata: an ensemble of {n} small networks, trained from nothing, reads "
            "the left and the right side by the same weights"
        )
    slices = ", ".join(map(str, inputs.params.preprocess.slices))
    seen, base = f"axial slices {slices}: {inputs.cv_run['features']['architecture']}", inputs.params.backbone
    if base.frozen:
        return f"{seen}, kept frozen, turns them into features, and a small head learns from these"
    part = "in all of its layers" if base.trainable == "all" else f"from layer {base.trainable} upwards"
    return f"{seen} is trained anew in every fold, {part}, together with a small head"


def _how_well(inputs: Inputs) -> str:
    out_of_fold, holdout = inputs.cv_metrics["out_of_fold"], inputs.final_metrics["holdout"]
    return (
        f"Out of fold the accuracy is {with_interval(out_of_fold, 'accuracy')} and the ROC AUC "
        f"{with_interval(out_of_fold, 'roc_auc')}; on the holdout they are {with_interval(holdout, 'accuracy')} and "
        f"{with_interval(holdout, 'roc_auc')}. The paper states accuracies of "
        f"{paper.TABLE_1_MEAN['validation_accuracy']:.4f} and {paper.TABLE_2['accuracy']:.4f} for patients."
    )


def _checks(inputs: Inputs) -> str:
    checks = inputs.check_metrics["checks"]
    failed = [name.replace("_", " ") for name, check in sorted(checks.items()) if not check["passed"]]
    if failed:
        return f"Of {len(checks)} leakage and chance checks {len(failed)} did not pass: {', '.join(failed)}."
    return f"All {len(checks)} leakage and chance checks passed."
