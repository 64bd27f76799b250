"""Ask the gate's rules about the robustness panel: floors, and no row in which a challenger is shown to be worse."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from datspect.arrays import FloatArray
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import THRESHOLD
from datspect.evaluation.robustness import NETWORK, differences
from datspect.params.promotion import RobustnessLimits
from datspect.release.rules import Rule

NAME = "robustness"
_FLOORS = (("roc_auc", "ROC AUC", "min_roc_auc"), ("accuracy", "accuracy", "min_accuracy"))
_REFUSED = -1  # is no label: a scan that could not be used counts as answered wrongly


def wide_panel(answers: pd.DataFrame) -> pd.DataFrame:
    """Return a row a scan, from a row a scan and row of the panel: columns scan_id, target, and a probability a row."""
    names = list(dict.fromkeys(answers["row"]))
    wide = answers.pivot_table("probability", "scan_id", "row", aggfunc="first", dropna=False).reindex(columns=names)
    return answers.groupby("scan_id")["target"].first().to_frame().join(wide).reset_index()


def panel_floors(rows: Sequence[Mapping[str, Any]], limits: RobustnessLimits) -> list[Rule]:
    """Hold the measures of each row that is not excused against the floors; a rule for each row that is below one."""
    asked = [row for row in rows if row["name"] not in limits.excused]
    failed = [rule for row in asked for rule in _below(row, limits)]
    if failed:
        return failed
    excused = [row["name"] for row in rows if row["name"] in limits.excused]
    least = [
        f"least {title} {_least(asked, key)}, at least {getattr(limits, limit):g}" for key, title, limit in _FLOORS
    ]
    left_out = f"; excused: {', '.join(excused)}" if excused else ""
    return [Rule(f"{NAME}, floors", "passed", f"{len(asked)} rows, lower bounds: {'; '.join(least)}{left_out}")]


def panel_not_worse(challenger: pd.DataFrame, champion: pd.DataFrame, limits: RobustnessLimits) -> list[Rule]:
    """Compare both on the altered scans that both have, row by row; a rule for each row where the challenger is worse.

    `challenger`, `champion`: a row a scan, columns scan, target and one of probabilities for each row of the panel. A
    row stops the challenger if the whole paired interval lies beyond the margin, in log loss or in accuracy: with so
    many rows, to ask that each be shown not to be worse would refuse equals.
    """
    both = challenger.merge(champion, on="scan", suffixes=("", "_champion"), validate="one_to_one")
    names = [name for name in challenger.columns if name not in ("scan", "target") and name in champion.columns]
    found = {name: _difference(both, name) for name in names}
    failed = [rule for name in names for rule in _worse(name, found[name], limits, len(both))]
    if failed:
        return failed
    worst = max(names, key=lambda name: found[name].get("loss_difference", -np.inf))
    return [
        Rule(
            f"{NAME}, against the champion",
            "passed",
            f"{len(names)} rows on {len(both)} scans; none shown to be worse by more than {limits.loss_margin:g} in "
            f"log loss or {limits.accuracy_margin:g} in accuracy; worst {_said(found[worst], 'loss')} ({worst})",
        )
    ]


def _below(row: Mapping[str, Any], limits: RobustnessLimits) -> list[Rule]:
    measures = row[NETWORK]
    short = [
        f"{title}, lower bound {_bound(measures, key)}, at least {getattr(limits, limit):g}"
        for key, title, limit in _FLOORS
        if not measures.get(f"{key}_low", -1.0) >= getattr(limits, limit)
    ]
    return [Rule(f"{NAME}, {row['name']}", "FAILED", "; ".join(short), dict(measures))] if short else []


def _bound(measures: Mapping[str, float], key: str) -> str:
    return f"{measures[f'{key}_low']:.4f}" if f"{key}_low" in measures else "not known"


def _least(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    row = min(rows, key=lambda row: row[NETWORK][f"{key}_low"])
    return f"{row[NETWORK][f'{key}_low']:.4f} ({row['name']})"


def _difference(both: pd.DataFrame, name: str) -> dict[str, float]:
    """Return challenger minus champion; a scan that one could not use takes no part in the loss."""
    labels = both["target"].to_numpy(np.int64)
    ours, theirs = (both[column].to_numpy(np.float64) for column in (name, f"{name}_champion"))
    found = differences(labels, _decided(ours), _decided(theirs))
    known = ~(np.isnan(ours) | np.isnan(theirs))
    if known.any():
        found |= differences(labels[known], _probable(ours[known]), _probable(theirs[known])) | found
    return found


def _decided(probabilities: FloatArray) -> Predictions:
    labels = np.where(np.isnan(probabilities), _REFUSED, probabilities >= THRESHOLD).astype(np.int64)
    return Predictions(labels, probabilities)


def _probable(probabilities: FloatArray) -> Predictions:
    return Predictions((probabilities >= THRESHOLD).astype(np.int64), probabilities, probabilities)


def _worse(name: str, found: Mapping[str, float], limits: RobustnessLimits, n: int) -> list[Rule]:
    worse = []
    if found.get("loss_difference_low", -np.inf) > limits.loss_margin:
        worse.append(f"log loss {_said(found, 'loss')}, margin {limits.loss_margin:g}")
    if found["accuracy_difference_high"] < -limits.accuracy_margin:
        worse.append(f"accuracy {_said(found, 'accuracy')}, margin {limits.accuracy_margin:g}")
    told = f"challenger minus champion on {n} scans: {'; '.join(worse)}; the whole interval is beyond the margin"
    return [Rule(f"{NAME}, {name}, against the champion", "FAILED", told, dict(found))] if worse else []


def _said(found: Mapping[str, float], measure: str) -> str:
    key = f"{measure}_difference"
    if key not in found:
        return "unknown"
    return f"{found[key]:+.4f} ({found[f'{key}_low']:+.4f} to {found[f'{key}_high']:+.4f})"
