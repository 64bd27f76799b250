"""The tables that `datspect tables` prints; README holds them in brief, docs/results.md all of them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from datspect.cohort.scope import Scope
from datspect.reporting import paper
from datspect.reporting.markdown import escape
from datspect.reporting.paper_tables import (
    baselines_in_brief,
    heading,
    in_one_table,
    table_1,
    table_2,
    tuning_note,
)
from datspect.reporting.verdict import against_reader

Metrics = Mapping[str, Any]


HOLDOUT_ASIDE = (
    "Table 2, of the holdout, is left out: each look at it among versions to choose from makes its figures a little "
    "more optimistic. `datspect tables --holdout` shows it."
)


def printed_tables(
    table: pd.DataFrame, cv_metrics: Metrics, final_metrics: Metrics, baselines: Metrics, *, holdout: bool
) -> str:
    """Return Table 1 and the baselines in brief, with headings and the paper's inconsistencies; with `holdout` Table 2.

    Table 1 and the baselines are out of fold, over all subjects as in the paper.
    """
    remarks = "\n".join(f"- {remark}" for remark in paper.REMARKS)
    return "\n\n".join(
        [
            f"{heading(Scope.of(cv_metrics))}\n"
            f"Table 1: {len(table)}-fold cross-validation, last epoch; mean weighted by fold size, sd with ddof 0.",
            table_1(table, cv_metrics),
            *([escape(note)] if (note := tuning_note(cv_metrics)) else []),
            baselines_in_brief(cv_metrics, baselines),
            "Differences are paired, with 95 % intervals. " + " ".join(against_reader(baselines["out_of_fold"])),
            *(_table_2(final_metrics) if holdout else [HOLDOUT_ASIDE]),
            f"About the paper's figures:\n{remarks}",
        ]
    )


def table_in_brief(cv_metrics: Metrics, baselines: Metrics) -> str:
    """Return one table that fits a screen, out of fold alone, below a line on what it is of."""
    of_what = heading(Scope.of(cv_metrics), theirs="The paper's row is")
    return f"{of_what}\n\n{in_one_table(cv_metrics, baselines)}"


def _table_2(final_metrics: Metrics) -> list[str]:
    return [
        "Table 2: the final model on the holdout; intervals: Wilson, for the ROC AUC DeLong, for PR AUC and loss "
        "bootstrap, given the fitted model.",
        table_2(final_metrics),
    ]
