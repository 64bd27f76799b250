"""Stage `grouped`: cross-validation that holds whole groups of scans out, such as sites, beside that of random folds.

With `split.group: none` nothing is trained, and the stage leaves little more than that it had nothing to do.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.cohort.table import targets
from datspect.errors import CohortError
from datspect.evaluation.grouped import brackets, grouped_minus_random
from datspect.evaluation.metrics import binary_metrics
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import NO_GROUP, SplitParams
from datspect.params.recipes import read_recipe_in_force
from datspect.running.launch import launch
from datspect.training.data import in_order
from datspect.training.splitting import NO_FOLD

if TYPE_CHECKING:
    from datspect.training.execution import Execution

# What needs Keras is imported where folds are trained: without a group there are none.

log = logging.getLogger("datspect.grouped")

STAGE = "grouped"
_CAMERAS = ("scan_id", "group", "grouped_fold")
_RANDOM = ("scan_id", "label", "fold", "probability")


class Read(Sections):
    """The sections that the stage reads beside those of a fit."""

    split: SplitParams


def main(
    images_folder: Path,
    features_folder: Path,
    backbone_folder: Path,
    splits_path: Path,
    cameras_path: Path,
    random_folder: Path,
    models_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Train every grouped fold and compare it with the random ones; write what stage `cv` writes, and log it.

    `random_folder`: the reports of stage `cv`.
    """
    group = read_params(Read, params_path).split.group
    models_folder.mkdir(parents=True, exist_ok=True)
    if group == NO_GROUP:
        kind = CohortKind.of(read_json(images_folder / "cohort.json")["kind"])
        scope = Scope(kind, read_recipe_in_force(params_path).named)
        write_json(reports_folder / "metrics.json", {**scope.record, "group": group})
        log.info("split.group is %s: no grouped folds", group)
        return
    from datspect.training.execution import Places, execution

    cameras, random = _Table.of(cameras_path, _CAMERAS), _Table.of(random_folder / "predictions.csv", _RANDOM)
    if not (cameras.rows["grouped_fold"] != NO_FOLD).all():
        raise CohortError(f"{cameras_path}: no grouped folds, but split.group is {group}; run dvc repro")
    read = (cameras.path, random.path)
    places = Places(
        images_folder, features_folder, backbone_folder, splits_path, models_folder, reports_folder, params_path, read
    )
    with execution(STAGE, places, group) as stage:
        _fit_and_report(stage, group, cameras, random)


@dataclass(frozen=True)
class _Table:
    """A table and where it came from."""

    path: Path
    rows: pd.DataFrame

    @classmethod
    def of(cls, path: Path, columns: tuple[str, ...]) -> Self:
        return cls(path, read_table(path, columns))

    def of_scans(self, scans: "pd.Series[str]") -> pd.DataFrame:
        return in_order(self.rows, scans, self.path)


def _fit_and_report(stage: "Execution", group: str, cameras: _Table, random: _Table) -> None:
    from datspect.training import crossval
    from datspect.training.out_of_fold import evaluate, write_models, write_reports

    params, reports, scans = stage.params, stage.places.reports, stage.data.splits["scan_id"]
    places, by_random_folds = cameras.of_scans(scans), random.of_scans(scans)
    data = replace(stage.data, splits=stage.data.splits.assign(grouped_fold=places["grouped_fold"].to_numpy()))
    heads = crossval.grouped_heads(data.splits["grouped_fold"].to_numpy(), params.classifier, params.training)
    fitted = stage.fit(heads)
    evaluation = evaluate(heads, fitted, data, stage.scope, stage.record["parameters_from"], "grouped_fold")
    evaluation.metrics.update(_comparison(group, evaluation.predictions, by_random_folds, places["group"]))
    folds = f"{len(heads)} grouped folds by {group}"
    write_reports(evaluation, fitted, folds, stage.scope, params.training_is_on, reports)
    models = write_models(fitted, stage.sources, params, stage.places.models)
    _say(evaluation.metrics)
    stage.finish(heads, fitted, models)


def _comparison(group: str, grouped: pd.DataFrame, random: pd.DataFrame, groups: "pd.Series[str]") -> dict[str, Any]:
    """Return what the stage's metrics hold beyond those of a cross-validation; all tables are in one order."""
    labels, probabilities = targets(grouped["label"]), grouped["probability"].to_numpy(np.float64)
    of_random = random["probability"].to_numpy(np.float64)
    measures = binary_metrics(labels, of_random)
    return {
        "group": group,
        "n_groups": groups.nunique(),
        "n_random_folds": random["fold"].nunique(),
        "folds": _folds(grouped, groups),
        "random": measures,
        "grouped_minus_random": grouped_minus_random(labels, of_random, probabilities, list(groups)),
        "bracket": brackets(measures, binary_metrics(labels, probabilities)),
    }


def _folds(grouped: pd.DataFrame, groups: "pd.Series[str]") -> list[dict[str, int]]:
    return [
        {
            "fold": int(str(fold)),
            "n_groups": int(groups[rows.index].nunique()),
            **{f"n_{label}": int((rows["label"] == label).sum()) for label in ("control", "pd")},
        }
        for fold, rows in grouped.groupby("grouped_fold")
    ]


def _say(metrics: dict[str, Any]) -> None:
    lost, title = metrics["grouped_minus_random"], Scope.of(metrics).caption
    log.info(
        "grouped by %s minus random folds: loss %+.4f (%+.4f to %+.4f), accuracy %+.4f (%s)",
        *(metrics["group"], *(lost[f"loss_difference{end}"] for end in ("", "_low", "_high"))),
        *(lost["accuracy_difference"], title),
    )


if __name__ == "__main__":
    launch(main, "models_folder", "reports_folder")
