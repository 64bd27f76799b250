"""Write outcomes as rows: all that is said of a scan for CSV and JSON, the most of it for a terminal."""

import math
from collections.abc import Sequence

import pandas as pd

from datspect.io.tables import csv_cells
from datspect.prediction.answering import Outcome
from datspect.prediction.predictor import Answer
from datspect.prediction.statement import percent

REGIONS = ("caudate_left", "caudate_right", "putamen_left", "putamen_right")

HOW = {"as it is": "", "resampled": "resampled from another MNI grid", "registered": "registered to MNI space"}
"""How a scan came to MNI space, in words."""
SMALLEST_RISK = 0.001
"""A chance to be wrong that is smaller is said to be below 0.1 %: with one decimal it might read as 0."""
_DECIMALS = {"probability": 6, "ratio_probability": 6, "model_probability": 6, "error_risk": 4}
"""Of numbers in tables; the others have 3."""

Row = dict[str, object]


def row(outcome: Outcome) -> Row:
    """Return what is said of a scan, by column; of one without an answer, its name and the error."""
    known: Row = {"scan": outcome.scan, "error": outcome.error}
    if outcome.answer is None:
        return known
    answer = outcome.answer
    judged = {name: _rounded(name, value) for name, value in answer.judged.items()}
    known |= {
        "state": answer.state,
        **(dict.fromkeys(judged) if answer.withheld else judged),
        "prevalence": round(answer.prevalence, 6),
        "inconclusive": answer.inconclusive,
        "withheld": "; ".join(answer.withheld),
        "unlike": " ".join(answer.unlike),
        "flags": " ".join(answer.flags),
        "placed": answer.how,
        "notes": "; ".join(outcome.notes),
        "unjudged": judged if answer.withheld else None,
    }
    names = (*(f"sbr_{region}" for region in REGIONS), "feature_distance", "spread")
    known |= {name: _rounded(name, answer.measures[name]) for name in names if name in answer.measures}
    return known | _against_controls(answer)


def as_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV, without a line end at the end."""
    table = csv_cells(pd.DataFrame(rows).drop(columns="unjudged", errors="ignore"))
    return table.to_csv(index=False, lineterminator="\n").rstrip("\n")


def as_table(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as a table for a terminal; its numbers are rounded once, so that they are those of the page."""
    shares = [outcome.answer.prevalence for outcome in outcomes if outcome.answer is not None]
    probability = f"P(PD) at {percent(shares[0])} PD" if shares else "P(PD)"
    heads = (
        *("scan", "class", probability, "LR", "", "may be wrong", "by ratios", "caudate L R", "putamen L R"),
        "z against controls",
        "unlike the training cohort; flags",
    )
    lines = [heads, *map(_line, outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _line(outcome: Outcome) -> tuple[str, ...]:
    name, answer = outcome.scan, outcome.answer
    if answer is None:
        return (name, "-", "-", "", "", "", "", "", "", "", f"ERROR: {outcome.error}")
    said = (" ".join(answer.unlike), " ".join(answer.flags), HOW[answer.how], "; ".join(outcome.notes))
    remarks = "; ".join(text for text in said if text)
    if answer.withheld:
        why = f"WITHHELD: {'; '.join(answer.withheld)}"
        text = f"{why} ({remarks})" if remarks else why
        return (name, "-", "-", "", "withheld", "", "", "", "", "", text)
    caudate, putamen = (
        " ".join(f"{answer.measures[f'sbr_{part}_{side}']:.2f}" for side in ("left", "right"))
        for part in ("caudate", "putamen")
    )
    return (
        name,
        answer.prediction,
        f"{answer.probability:.4f}",
        f"{answer.likelihood_ratio:.2g}",
        "inconclusive" if answer.inconclusive else "",
        "<0.1%" if answer.error_risk < SMALLEST_RISK else f"{answer.error_risk:.1%}",
        f"{answer.ratio_probability:.4f}",
        caudate,
        putamen,
        _z_cell(answer),
        remarks,
    )


def _against_controls(answer: Answer) -> dict[str, str | float | None]:
    """Return z-score and 95 % range of each binding ratio; nothing of a withheld scan, or if there are no ranges."""
    found = answer.against_controls
    if found is None:
        return {}
    cells: dict[str, str | float | None] = {
        f"{name}_{key}": _rounded(key, getattr(ratio, key))
        for name, ratio in found.ratios.items()
        for key in ("z", "low", "high")
    }
    return cells | {"controls": found.whom}


def _z_cell(answer: Answer) -> str:
    """Return the z-scores in the order of the ratios before them, caudate and putamen, left and right."""
    found = answer.against_controls
    return "" if found is None else " ".join(f"{found.ratios[f'sbr_{region}'].z:+.1f}" for region in REGIONS)


def _rounded(name: str, value: str | float | None) -> str | float | None:
    """Return a value as tables have it; None for what is no finite number."""
    if value is None or isinstance(value, str):
        return value
    if not math.isfinite(value):
        return None
    return float(f"{value:.4g}") if name == "likelihood_ratio" else round(value, _DECIMALS.get(name, 3))
