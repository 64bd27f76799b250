"""The paper's two tables with ours beside them, as Markdown that reads well in a terminal too."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from datspect.evaluation import paper

_TABLE_1_COLUMNS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
_COUNTS = {
    "true_positive": "true positive",
    "false_positive": "false positive",
    "true_negative": "true negative",
    "false_negative": "false negative",
}
_MEASURES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "loss": "loss",
}


def heading(cohort_kind: str) -> str:
    """What the numbers are of; a phantom's are never called anything else."""
    if cohort_kind == "phantom":
        return "**PHANTOM cohort: simulated scans, not patients.** The paper's columns are of 659 PPMI subjects."
    return "Cohort of real scans."


def table_1(table: pd.DataFrame, metrics: Mapping[str, Any]) -> str:
    """Table 1: every fold's last epoch, the weighted means and the standard deviations, beside the paper's.

    `table`: columns fold, n_validation and the four measures; `metrics`: what the cv stage wrote.
    """
    names = ("train loss", "train acc", "val loss", "val acc")
    rows = [["fold", "n", *names, *(f"paper {name}" for name in names)]]
    for index, fold in table.iterrows():
        position = int(str(index))
        published = paper.TABLE_1[position] if len(table) == len(paper.TABLE_1) else (None,) * 4
        own = [fold[column] for column in _TABLE_1_COLUMNS]
        rows.append([f"{fold['fold']:.0f}", f"{fold['n_validation']:.0f}", *_numbers(own), *_numbers(published)])
    summary = metrics["cv"]
    means = [summary[f"{column}_mean"] for column in _TABLE_1_COLUMNS]
    sds = [summary[f"{column}_sd"] for column in _TABLE_1_COLUMNS]
    paper_means = [paper.TABLE_1_MEAN[column] for column in _TABLE_1_COLUMNS]
    paper_sds = [paper.TABLE_1_SD.get(column) for column in _TABLE_1_COLUMNS]
    rows.append(["mean", f"{table['n_validation'].sum():.0f}", *_numbers(means), *_numbers(paper_means)])
    rows.append(["sd", "", *_numbers(sds), *_numbers(paper_sds)])
    return _markdown(rows)


def out_of_fold_lines(metrics: Mapping[str, Any]) -> str:
    """The pooled out-of-fold figures, and the putamen-SBR threshold on the same folds."""
    pooled, threshold = metrics["out_of_fold"], metrics["putamen_sbr_threshold"]
    rows = [
        ["out of fold, pooled", "accuracy (95 % interval)", "ROC AUC (95 % interval)"],
        ["network", _with_interval(pooled, "accuracy"), _with_interval(pooled, "roc_auc")],
        ["putamen-SBR threshold", _with_interval(threshold, "accuracy"), ""],
    ]
    return _markdown(rows)


def table_2(metrics: Mapping[str, Any]) -> str:
    """Table 2: the holdout, beside the paper's."""
    holdout = metrics["holdout"]
    rows = [["holdout", "here (95 % interval)", "paper"], ["n", f"{holdout['n']}", f"{paper.TABLE_2['n']}"]]
    for key, name in _COUNTS.items():
        rows.append([name, f"{holdout[key]}", f"{paper.TABLE_2[key]}"])
    for key, name in _MEASURES.items():
        rows.append([name, _with_interval(holdout, key), f"{paper.TABLE_2[key]:.4f}"])
    return _markdown(rows)


def both_tables(table: pd.DataFrame, cv_metrics: Mapping[str, Any], final_metrics: Mapping[str, Any]) -> str:
    """Everything above, with headings and the paper's inconsistencies."""
    remarks = "\n".join(f"- {remark}" for remark in paper.REMARKS)
    return "\n\n".join(
        [
            heading(cv_metrics["cohort_kind"]),
            f"Table 1: {len(table)}-fold cross-validation, last epoch; mean weighted by fold size, sd with ddof 0.",
            table_1(table, cv_metrics),
            out_of_fold_lines(cv_metrics),
            "Table 2: the final model on the holdout; intervals: Wilson, for the AUC DeLong, given the fitted model.",
            table_2(final_metrics),
            "About the paper's figures:",
            remarks,
        ]
    )


def _numbers(values: Sequence[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.4f}" for value in values]


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    text = f"{metrics[name]:.4f}"
    if f"{name}_low" in metrics:
        text += f" ({metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"
    return text


def _markdown(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
