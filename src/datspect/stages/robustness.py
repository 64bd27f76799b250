"""Stage `robustness`: the holdout's scans altered, one thing at a time, and answered; nothing is learnt from it."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datspect.cohort.table import read_cohort, targets
from datspect.errors import CohortError
from datspect.evaluation.baselines import SBR, best_threshold, ordered_sides, worse_putamen_sbr
from datspect.evaluation.mixed_resolution import TwoResolutions, mixed_resolution
from datspect.evaluation.robustness import UNALTERED, chosen_scans, panel_measures, withheld_though_as_good
from datspect.figures.robustness import Line, robustness_figure
from datspect.imaging.alterations import (
    EDITION,
    Original,
    Row,
    rows,
)
from datspect.io.digests import file_digest
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.io.tables import read_table, write_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.robustness import RobustnessParams
from datspect.prediction.files import MODEL_NAME
from datspect.prediction.panel_table import SMOOTHED, PanelScans, answers_and_binding
from datspect.prediction.predictor import Predictor
from datspect.running.launch import launch

_COLUMNS = (
    *("row", "scan_id", "subject_id", "label", "probability", "ratio_probability", "sbr"),
    *("inconclusive", "withheld", "refused", "state", "reason"),
)
"""Of predictions.csv, which is for evaluation: numbers of withheld scans are what the network said all the same."""

log = logging.getLogger("datspect.robustness")


class Read(Sections):
    """The sections that the stage reads."""

    robustness: RobustnessParams


def main(
    cohort_path: Path,
    images_folder: Path,
    splits_path: Path,
    predictor_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Alter scans of the test set, answer them as `datspect predict --space mni` would, beside binding ratios."""
    params = read_params(Read, params_path).robustness
    predictor = Predictor.read(predictor_folder)
    splits = read_table(splits_path, ("scan_id", "subject_id", "label", "role")).sort_values("scan_id")
    training = splits[splits["role"] == "train"].reset_index(drop=True)
    test = splits[splits["role"] == "test"]
    test = test[chosen_scans(targets(test["label"]), params.most_scans, params.seed)].reset_index(drop=True)
    panel = rows(params.names)
    scans = PanelScans(predictor, _paths(cohort_path), test, training, panel, params.seed)
    answers, smoothed = answers_and_binding(scans)
    quality = _in_order(read_table(images_folder / "quality.csv", ("scan_id",)), training)
    threshold = best_threshold(worse_putamen_sbr(quality), targets(training["label"]))
    shown = answers[answers["row"] != SMOOTHED.name]
    shown = shown.assign(target=targets(shown["label"]))
    described = _described(panel, panel_measures(shown, threshold))
    metrics = {
        **predictor.parts.scope.record,
        "model_sha256": file_digest(predictor_folder / MODEL_NAME),
        "n": len(test),
        "panel": f"edition {EDITION}, seed {params.seed}",
        "threshold": threshold,
        "rows": described,
        "as_good": withheld_though_as_good(described),
        "mixed_resolution": _mixed(scans, answers, quality, smoothed),
    }
    _write(reports_folder, metrics, shown, f"{len(test)} scans of the test set; {predictor.parts.scope.caption}")
    _say(metrics, predictor.parts.scope.short)


def _described(panel: Sequence[Row], measures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of metrics.json: what was done, and what came of it."""
    unaltered = {
        "name": UNALTERED,
        "alteration": "",
        "strength": 0.0,
        "title": UNALTERED,
        "text": "as they are",
        "is_largest": True,
    }
    described = [
        {
            "name": row.name,
            "alteration": row.alteration.name,
            "strength": row.strength,
            "title": row.title,
            "text": row.text,
            "is_largest": row.is_largest,
        }
        for row in panel
    ]
    return [row | measures[str(row["name"])] for row in (unaltered, *described)]


def _mixed(scans: PanelScans, answers: pd.DataFrame, quality: pd.DataFrame, smoothed: pd.DataFrame) -> dict[str, Any]:
    """Return the experiment of two resolutions, of the test scans that no row refused."""
    before, after = (_in_order(answers[answers["row"] == name], scans.test) for name in (UNALTERED, SMOOTHED.name))
    used = ((before["refused"] == 0) & (after["refused"] == 0)).to_numpy()
    before, after = before[used], after[used]
    return mixed_resolution(
        _two(scans.training, quality, smoothed, scans.seed),
        _two(scans.test[used], before, after, scans.seed),
        np.stack([before["probability"].to_numpy(np.float64), after["probability"].to_numpy(np.float64)]),
        scans.predictor.parts.prediction.ratio_c,
    )


def _two(scans: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, seed: int) -> TwoResolutions:
    nothing = np.zeros((1, 1, 1), np.float32)  # what is drawn depends on seed and scan alone
    return TwoResolutions(
        targets=targets(scans["label"]),
        smoothed=np.array([Original(nothing, 0.0, seed, scan_id).is_chosen for scan_id in scans["scan_id"]]),
        ratios=np.stack([ordered_sides(table, SBR) for table in (before, after)]),
        sbr=np.stack([worse_putamen_sbr(table) for table in (before, after)]),
    )


def _paths(cohort_path: Path) -> dict[str, Path]:
    scans = read_cohort(cohort_path).scans
    return {scan_id: cohort_path / path for scan_id, path in zip(scans["scan_id"], scans["path"], strict=True)}


def _in_order(table: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    missing = sorted(set(scans["scan_id"]) - set(table["scan_id"]))
    if missing:
        raise CohortError(f"quality.csv has no row of scan(s) {', '.join(missing)} of the split; run dvc repro")
    return table.set_index("scan_id").loc[scans["scan_id"]].reset_index()


def _write(folder: Path, metrics: dict[str, Any], answers: pd.DataFrame, caption: str) -> None:
    """Write predictions.csv (a row a scan and row of the panel), robustness.csv, metrics.json and robustness.png."""
    write_table(folder / "predictions.csv", answers[list(_COLUMNS)])
    write_table(folder / "robustness.csv", pd.DataFrame([_flat(row) for row in metrics["rows"]]))
    write_json(folder / "metrics.json", metrics)
    write_figure(folder / "robustness.png", robustness_figure(*_figure_parts(metrics["rows"]), caption))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= {f"{name}_{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _figure_parts(described: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[Line]]:
    unaltered, *others = described
    lines = []
    for alteration in dict.fromkeys(row["alteration"] for row in others):
        of_it = [row for row in others if row["alteration"] == alteration]
        lines.append(Line(of_it[-1]["text"], of_it))
    return unaltered, lines


def _say(metrics: dict[str, Any], scope: str) -> None:
    unaltered, *others = metrics["rows"]
    worst = min(others, key=lambda row: row["network"].get("accuracy", 1.0))
    log.info(
        "%d altered scans answered, %d rows: accuracy %.3f unaltered, least %.3f (%s) (%s)",
        metrics["n"] * len(others),
        len(others),
        unaltered["network"]["accuracy"],
        worst["network"].get("accuracy", float("nan")),
        worst["text"],
        scope,
    )


if __name__ == "__main__":
    launch(main, "reports_folder")
