"""Tables of results beside the paper's, as Markdown that reads well in a terminal too."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from datspect.cohort.scope import Scope
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.metrics import TABLE_1_MEASURES, ConfusionCounts
from datspect.reporting import paper
from datspect.reporting.markdown import markdown_table

READER, STACK, CEILING = "sbr_regression", "network_and_sbr", "true_binding"
"""The baseline that the network is held against: the regions as a clinic reads them, worse and better side; the network
and these together; and on a phantom what nobody who has only the scans can know."""
BASELINES = {
    "putamen_sbr_threshold": "putamen-SBR threshold",
    READER: "regression on SBRs",
    f"{READER}_age_sex": "regression on SBRs, age, sex",
    STACK: "network and SBRs together",
    "voxel_svm": "linear SVM on voxels",
    "feature_logistic_regression": "regression on features",
    "slab_logistic_regression": "regression on slabs",
    "age_sex": "age and sex only (control)",
    CEILING: "ceiling: the true binding",
}
"""Shown names of the baselines, in the order of the tables."""
IN_BRIEF = ("putamen_sbr_threshold", READER, STACK, "voxel_svm", CEILING)
"""Those of the printed tables."""
MEASURES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "loss": "loss",
}
"""Shown names of the measures of Table 2."""
CALIBRATION = {"calibration_slope": "calibration slope", "calibration_intercept": "calibration intercept"}
ALL_MEASURES = (
    MEASURES
    | {"brier": "Brier score"}
    | CALIBRATION
    | {"recalibration_gain": "loss that recalibration saves", "calibration_error": "calibration error"}
)

_COUNTS = {
    "true_positive": "true positive",
    "false_positive": "false positive",
    "true_negative": "true negative",
    "false_negative": "false negative",
}
_INTERVAL = "(95 % interval)"

Metrics = Mapping[str, Any]


def heading(scope: Scope, theirs: str = "The paper's columns are") -> str:
    """Return a line on what the numbers are of; those of a phantom are never called anything else."""
    ours = f"**{scope.banner}.**" if scope.kind.banner else f"{scope.caption.capitalize()}."
    return f"{ours} {theirs} of 659 PPMI subjects."


def baseline_name(key: str) -> str:
    """Return the name of a baseline in tables and figures."""
    return BASELINES.get(key, key.replace("_", " "))


def ordered_baselines(keys: Sequence[str]) -> list[str]:
    """Return `keys` in the order of `BASELINES`, then unknown ones by name."""
    known = list(BASELINES)
    return sorted(keys, key=lambda key: (known.index(key) if key in known else len(known), key))


def with_interval(metrics: Metrics, name: str, *, signed: bool = False) -> str:
    """Return a measure with its bounds; without bounds the number alone, without the number "".

    >>> with_interval({"accuracy": 0.9408, "accuracy_low": 0.9201, "accuracy_high": 0.9564}, "accuracy")
    '0.9408 (0.9201 to 0.9564)'
    """
    if name not in metrics:
        return ""
    form = "+.4f" if signed else ".4f"
    text = f"{metrics[name]:{form}}"
    if f"{name}_low" in metrics:
        text += f" ({metrics[f'{name}_low']:{form}} to {metrics[f'{name}_high']:{form}})"
    return text


def table_1(table: pd.DataFrame, metrics: Metrics) -> str:
    """Return Table 1: every fold's last epoch, the weighted means and the standard deviations, beside the paper's.

    `table`: columns fold, n_validation and the four measures; `metrics`: those of stage `cv`.
    """
    names = ("train loss", "train acc", "val loss", "val acc")
    rows = [["fold", "n", *names, *(f"paper {name}" for name in names)]]
    for index, fold in table.iterrows():
        position = int(str(index))
        published = paper.TABLE_1[position] if len(table) == len(paper.TABLE_1) else (None,) * 4
        own = [fold[column] for column in TABLE_1_MEASURES]
        rows.append([f"{fold['fold']:.0f}", f"{fold['n_validation']:.0f}", *_numbers(own), *_numbers(published)])
    summary = metrics["cv"]
    means = [summary[f"{column}_mean"] for column in TABLE_1_MEASURES]
    sds = [summary[f"{column}_sd"] for column in TABLE_1_MEASURES]
    paper_means = [paper.TABLE_1_MEAN[column] for column in TABLE_1_MEASURES]
    paper_sds = [paper.TABLE_1_SD.get(column) for column in TABLE_1_MEASURES]
    rows.append(["mean", f"{table['n_validation'].sum():.0f}", *_numbers(means), *_numbers(paper_means)])
    rows.append(["sd", "", *_numbers(sds), *_numbers(paper_sds)])
    return markdown_table(rows)


def tuning_note(cv_metrics: Metrics) -> str:
    """Return what a reader of Table 1 must know if the parameters came from a study; else "". Plain text."""
    return str(cv_metrics["parameters_from"]["note"]) if "parameters_from" in cv_metrics else ""


def table_2(metrics: Metrics) -> str:
    """Return Table 2: the holdout, beside the paper's, whose intervals of proportions follow from its counts."""
    holdout = metrics["holdout"]
    rows = [["holdout", f"here {_INTERVAL}", f"paper {_INTERVAL}"], ["n", f"{holdout['n']}", f"{paper.TABLE_2['n']}"]]
    for key, name in _COUNTS.items():
        rows.append([name, f"{holdout[key]}", f"{paper.TABLE_2[key]}"])
    published = _paper_with_bounds()
    for key, name in MEASURES.items():
        rows.append([name, with_interval(holdout, key), with_interval(published, key)])
    return markdown_table(rows)


def measures_table(cv_metrics: Metrics, final_metrics: Metrics) -> str:
    """Return every measure, out of fold and on the holdout."""
    out_of_fold, holdout = cv_metrics["out_of_fold"], final_metrics["holdout"]
    rows = [["measure", f"out of fold {_INTERVAL}", f"holdout {_INTERVAL}"]]
    rows += [[name, f"{out_of_fold[key]}", f"{holdout[key]}"] for key, name in ({"n": "n"} | _COUNTS).items()]
    for key, name in ALL_MEASURES.items():
        rows.append([name, with_interval(out_of_fold, key), with_interval(holdout, key)])
        if key == "roc_auc":
            rows.append(["ROC AUC, mean ± sd over folds", _fold_auc(cv_metrics["cv"]), ""])
    return markdown_table(rows)


def baselines_in_brief(cv_metrics: Metrics, baselines: Metrics) -> str:
    """Return network and the baselines `IN_BRIEF` out of fold: accuracy, ROC AUC, loss, and differences."""
    rows = [
        ["out of fold", "accuracy", "ROC AUC", "loss", "accuracy, network minus this", "loss, network minus this"],
        ["network", *_in_brief(cv_metrics["out_of_fold"]), "", ""],
    ]
    for key in (key for key in IN_BRIEF if key in baselines["out_of_fold"]):
        metrics = baselines["out_of_fold"][key]
        names = ("accuracy_difference", "loss_difference")
        differences = (with_interval(metrics["network_minus_this"], name, signed=True) for name in names)
        rows.append([baseline_name(key), *_in_brief(metrics), *differences])
    return markdown_table(rows)


def in_one_table(cv_metrics: Metrics, baselines: Metrics) -> str:
    """Return the network, the baselines that it is held against and the paper's, out of fold, with intervals."""
    measures, known = ("accuracy", "roc_auc", "loss"), baselines["out_of_fold"]
    rows = [[f"out of fold {_INTERVAL}", *(MEASURES[name] for name in measures)]]
    models = [("network", cv_metrics["out_of_fold"])]
    models += [(baseline_name(key), known[key]) for key in (READER, STACK, CEILING) if key in known]
    rows += [[name, *(with_interval(metrics, measure) for measure in measures)] for name, metrics in models]
    published = paper.TABLE_1_MEAN
    rows.append(
        [
            "the paper, mean of ten folds",
            *_numbers([published["validation_accuracy"], None, published["validation_loss"]]),
        ]
    )
    return markdown_table(rows)


def baseline_measures(network: Metrics, baselines: Mapping[str, Metrics]) -> str:
    """Return network and baselines on the same subjects: proportions, area under the ROC curve, and calibration."""
    measures = ("accuracy", "sensitivity", "specificity", "roc_auc", *CALIBRATION)
    rows = [["model", *(ALL_MEASURES[name] for name in measures)]]
    models = [("network", network), *((baseline_name(key), baselines[key]) for key in ordered_baselines([*baselines]))]
    for name, metrics in models:
        rows.append([name, *(with_interval(metrics, measure) for measure in measures)])
    return markdown_table(rows)


def out_of_fold_differences(baselines: Mapping[str, Metrics]) -> str:
    """Return network minus each baseline on the same folds."""
    rows = [["network minus", f"accuracy {_INTERVAL}", f"ROC AUC {_INTERVAL}", f"loss {_INTERVAL}"]]
    for key in ordered_baselines([*baselines]):
        differences = baselines[key]["network_minus_this"]
        measures = ("accuracy_difference", "roc_auc_difference", "loss_difference")
        rows.append([baseline_name(key), *(with_interval(differences, name, signed=True) for name in measures)])
    return markdown_table(rows)


def holdout_differences(baselines: Mapping[str, Metrics]) -> str:
    """Return network minus each baseline on the holdout, with McNemar's and DeLong's tests."""
    rows = [["network minus", "accuracy", "only network right", "only other right", "p", "ROC AUC", "p"]]
    for key in ordered_baselines([*baselines]):
        differences = baselines[key]["network_minus_this"]
        rows.append(
            [
                baseline_name(key),
                with_interval(differences, "accuracy_difference", signed=True),
                f"{differences['n_only_network_right']:.0f}",
                f"{differences['n_only_other_right']:.0f}",
                p_value(differences["mcnemar_p"]),
                with_interval(differences, "roc_auc_difference", signed=True),
                p_value(differences["delong_p"]),
            ]
        )
    return markdown_table(rows)


def p_value(p: float) -> str:
    """Return p with four decimals, never 0.0000."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _in_brief(metrics: Metrics) -> list[str]:
    return [f"{metrics[name]:.4f}" if name in metrics else "" for name in ("accuracy", "roc_auc", "loss")]


def _fold_auc(summary: Metrics) -> str:
    if "roc_auc_fold_mean" not in summary:  # no fold holds both classes
        return ""
    return f"{summary['roc_auc_fold_mean']:.4f} ± {summary['roc_auc_fold_sd']:.4f}"


def _paper_with_bounds() -> dict[str, float]:
    published: dict[str, float] = dict(paper.TABLE_2)
    counts = ConfusionCounts(**{name: int(published[name]) for name in _COUNTS})
    for name, (successes, trials) in counts.proportions().items():
        published |= with_bounds(name, published[name], wilson_interval(successes, trials))
    return published


def _numbers(values: Sequence[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.4f}" for value in values]
