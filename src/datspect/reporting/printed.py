"""The tables that `datspect tables` prints and README holds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from datspect.reporting import paper
from datspect.reporting.markdown import escape
from datspect.reporting.paper_tables import baselines_in_brief, heading, table_1, table_2, tuning_note
from datspect.reporting.verdict import against_reader

Metrics = Mapping[str, Any]


def both_tables(table: pd.DataFrame, cv_metrics: Metrics, final_metrics: Metrics, baselines: Metrics) -> str:
    """Return Tables 1 and 2 and the baselines in brief, with headings and the paper's inconsistencies."""
    remarks = "\n".join(f"- {remark}" for remark in paper.REMARKS)
    return "\n\n".join(
        [
            f"{heading(cv_metrics['cohort_kind'])}\n"
            f"Table 1: {len(table)}-fold cross-validation, last epoch; mean weighted by fold size, sd with ddof 0.",
            table_1(table, cv_metrics),
            *([escape(note)] if (note := tuning_note(cv_metrics)) else []),
            baselines_in_brief(cv_metrics, baselines),
            "Differences are paired, with 95 % intervals. " + " ".join(against_reader(baselines["out_of_fold"])),
            "Table 2: the final model on the holdout; intervals: Wilson, for the ROC AUC DeLong, for PR AUC and loss "
            "bootstrap, given the fitted model.",
            table_2(final_metrics),
            f"About the paper's figures:\n{remarks}",
        ]
    )
