"""Say how a finished model did on a labelled cohort: as a table, and as rows for a file."""

from collections.abc import Mapping
from typing import Any

from datspect.evaluation.elsewhere import STATES
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import ALL_MEASURES, with_interval

STATE_NAMES = {
    "answer": "firm answers",
    "inconclusive": "inconclusive",
    "withheld": "withheld, no class",
    "refused": "refused, not read",
}
_SHOWN = ("accuracy", "sensitivity", "specificity", "roc_auc", "pr_auc", "loss", "brier", "calibration_slope",
          "calibration_intercept")  # fmt: skip


def as_text(found: Mapping[str, Any]) -> str:
    """Return what `cohort_measures` found as two tables: what became of the scans, and measures of those with a class.

    The second one is missing where no scan has a class.
    """
    shares = found["shares"]
    rows = [["scans", "number", "share (95 % interval)"]]
    rows += [[STATE_NAMES[state], f"{shares[f'n_{state}']}", with_interval(shares, state)] for state in STATES]
    tables = [markdown_table(rows)]
    if found["measures"]:
        tables.append(_measures(found))
    return "\n\n".join(tables)


def as_rows(found: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return a row for every number: its part, its name, the value and, if it has them, its bounds."""
    return [
        {
            "part": part,
            "name": name,
            "value": value,
            "low": values.get(f"{name}_low"),
            "high": values.get(f"{name}_high"),
        }
        for part, values in found.items()
        for name, value in values.items()
        if not name.endswith(("_low", "_high"))
    ]


def _measures(found: Mapping[str, Any]) -> str:
    model, ratios, decisions = found["measures"], found["ratios"], found["decisions"]
    head = [f"{model['n']} scans with a class", "model (95 % interval)", "binding ratios alone"]
    rows = [[ALL_MEASURES[name], with_interval(model, name), with_interval(ratios, name)] for name in _SHOWN]
    rows.insert(1, ["accuracy of firm answers", with_interval(decisions, "conclusive_accuracy"), ""])
    return markdown_table([head, *(row for row in rows if row[1])])
