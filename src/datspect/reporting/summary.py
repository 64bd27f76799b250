"""Sum the report up in a few sentences; every number comes from the metrics."""

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.reporting import paper
from datspect.reporting.inputs import Inputs
from datspect.reporting.paper_tables import baseline_name, tuning_note, with_interval

NO_RIVALS = ("age_sex",)
"""Baselines that must fail: they do not compete with the network."""


def summary(inputs: Inputs) -> list[str]:
    """Return sentences: what was done, how well it went, against what, and whether the checks passed."""
    tuned = [note] if (note := tuning_note(inputs.cv_metrics)) else []
    return [_what_was_done(inputs), _how_well(inputs), *tuned, *_against_baselines(inputs), _checks(inputs)]


def _what_was_done(inputs: Inputs) -> str:
    n, n_pd = len(inputs.subjects), targets(inputs.subjects["label"]).sum()
    scans = "simulated scans" if inputs.kind is CohortKind.PHANTOM else "scans"
    slices = ", ".join(map(str, inputs.params.preprocess.slices))
    return (
        f"{n} {scans} ({n_pd} PD, {n - n_pd} control) were classified from axial slices {slices}: "
        f"{inputs.cv_run['features']['architecture']}, kept frozen, turns them into features, and a small head learns "
        f"from these, in {len(inputs.table_1)}-fold cross-validation and once more for a holdout of "
        f"{inputs.final_metrics['holdout']['n']}."
    )


def _how_well(inputs: Inputs) -> str:
    out_of_fold, holdout = inputs.cv_metrics["out_of_fold"], inputs.final_metrics["holdout"]
    return (
        f"Out of fold the accuracy is {with_interval(out_of_fold, 'accuracy')} and the ROC AUC "
        f"{with_interval(out_of_fold, 'roc_auc')}; on the holdout they are {with_interval(holdout, 'accuracy')} and "
        f"{with_interval(holdout, 'roc_auc')}. The paper states accuracies of "
        f"{paper.TABLE_1_MEAN['validation_accuracy']:.4f} and {paper.TABLE_2['accuracy']:.4f} for patients."
    )


def _against_baselines(inputs: Inputs) -> list[str]:
    """Return a sentence on the best rival by out-of-fold accuracy, if there is any."""
    rivals = {k: m for k, m in inputs.baseline_metrics["out_of_fold"].items() if k not in NO_RIVALS}
    if not rivals:
        return []
    best = max(rivals, key=lambda key: (rivals[key]["accuracy"], key))
    difference = rivals[best]["network_minus_this"]
    low, high = difference["accuracy_difference_low"], difference["accuracy_difference_high"]
    verdict = "so neither is shown to be better" if low <= 0 <= high else "an interval without 0"
    return [
        f"Of {len(rivals)} simpler models on the same folds the {baseline_name(best)} is the most accurate with "
        f"{with_interval(rivals[best], 'accuracy')}; the network's accuracy less this is "
        f"{with_interval(difference, 'accuracy_difference', signed=True)}, {verdict}."
    ]


def _checks(inputs: Inputs) -> str:
    checks = inputs.check_metrics["checks"]
    failed = [name.replace("_", " ") for name, check in sorted(checks.items()) if not check["passed"]]
    if failed:
        return f"Of {len(checks)} leakage and chance checks {len(failed)} did not pass: {', '.join(failed)}."
    return f"All {len(checks)} leakage and chance checks passed."
