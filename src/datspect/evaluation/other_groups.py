"""Sum up what a model makes of groups that it was never taught: neither its classes nor their errors, shares alone."""

from typing import Any

import pandas as pd

from datspect.evaluation.intervals import wilson_interval, with_bounds

CALLED = ("called_pd", "called_control", "called_inconclusive", "withheld")
"""Shares of a group that add up to 1; a class is called only where the answer is conclusive."""


def answers_by_group(answers: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each label, in alphabetical order, the shares `CALLED` and `unlike` with bounds, and medians.

    `answers`: a row a scan; label, prediction (pd or control), probability (of PD), inconclusive (0 or 1), withheld
    (why, "" if it is not), unlike (what is unlike training, "" if nothing), and the measured binding ratios, whose
    medians are of the side that binds less. What is withheld is inconclusive too, and counted as withheld alone.

    >>> answers = pd.DataFrame(
    ...     {
    ...         "label": "swedd",
    ...         "prediction": ["pd", "control", "control", "control"],
    ...         "probability": [0.9, 0.4, 0.2, 0.1],
    ...         "inconclusive": [0, 1, 0, 1],
    ...         "withheld": ["", "", "", "noisier than training scans"],
    ...         "unlike": ["features", "", "", ""],
    ...         **{f"sbr_{nucleus}_{side}": 2.0 for nucleus in ("caudate", "putamen") for side in ("left", "right")},
    ...     }
    ... )
    >>> (row,) = answers_by_group(answers)
    >>> row["n"], [row[name] for name in CALLED], row["unlike"], round(row["probability"], 3), row["sbr_putamen"]
    (4, [0.25, 0.25, 0.25, 0.25], 0.25, 0.3, 2.0)
    """
    return [_row(str(label), group) for label, group in answers.groupby("label", sort=True)]


def _row(label: str, group: pd.DataFrame) -> dict[str, Any]:
    inconclusive, withheld = group["inconclusive"].astype(bool), group["withheld"] != ""
    counts = {
        "called_pd": ((group["prediction"] == "pd") & ~inconclusive).sum(),
        "called_control": ((group["prediction"] == "control") & ~inconclusive).sum(),
        "called_inconclusive": (inconclusive & ~withheld).sum(),
        "withheld": withheld.sum(),
        "unlike": (group["unlike"] != "").sum(),
    }
    row: dict[str, Any] = {"label": label, "n": len(group)}
    for name, count in counts.items():
        row |= with_bounds(name, int(count) / len(group), wilson_interval(int(count), len(group)))
    row["probability"] = float(group["probability"].median())
    for nucleus in ("caudate", "putamen"):
        worse = group[[f"sbr_{nucleus}_left", f"sbr_{nucleus}_right"]].min(axis=1)
        row[f"sbr_{nucleus}"] = float(worse.median())
    return row
