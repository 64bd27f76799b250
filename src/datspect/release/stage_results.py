"""Read what an execution of stage cv or final left, wherever its files lie: what was said of whom, and by what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.cohort.table import targets
from datspect.errors import DatspectError
from datspect.evaluation.metrics import binary_metrics
from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.io.tables import read_table

Metrics = Mapping[str, float]
Find = Callable[[str], Path]
"""Gives the path of a stage's report by its name; raises a ComparisonError if it is not to be had."""

STAGES = ("cv", "final")
_NEEDED = {"cohort", "files", "heads", "result_id", "splits_sha256"}
_COLUMNS = ("scan_id", "subject_id", "label", "probability")
_SOURCES = {"code": "code_sha256", "split": "splits_sha256"}


class ComparisonError(DatspectError):
    """Two results cannot be found or compared as asked."""


@dataclass(frozen=True)
class JudgedSet:
    """Subjects whom a stage judges by heads that were not trained on them.

    name : key of its measures; title : in words; heads : how the names of the heads that judge begin
    place : column of its table that holds the fold or the role
    """

    name: str
    title: str
    stage: str
    file: str
    heads: str
    place: str

    @property
    def out_of_fold(self) -> bool:
        """Whether several heads share the subjects; otherwise one model judges all."""
        return self.place != "role"


OUT_OF_FOLD = JudgedSet("out_of_fold", "out of fold, all subjects", "cv", "predictions.csv", "", "fold")
DEVELOPMENT = JudgedSet(
    "dev_out_of_fold", "out of fold, training role", "final", "dev_predictions.csv", "dev", "dev_fold"
)
HOLDOUT = JudgedSet("holdout", "holdout", "final", "predictions.csv", "final", "role")
JUDGED_SETS = (OUT_OF_FOLD, DEVELOPMENT, HOLDOUT)


@dataclass(frozen=True, eq=False)
class Judged:
    """What one result says of one set of subjects.

    table : columns scan_id, subject_id, label, probability and the set's place, a row a scan; None if it is not here
    missing : why there is no table; measures : with their bounds, as `binary_metrics` gives them
    n_train : mean number of subjects that a head was trained on; sources : digests of what the result was made from
    note : what a study that chose the parameters does to the measures, "" without one
    recipe : which one it was made by, "" if it is the paper's
    """

    kind: CohortKind
    cohort: str
    result_id: str
    n_train: float
    sources: Mapping[str, str]
    note: str
    table: pd.DataFrame | None
    missing: str = ""
    measures: Metrics = field(default_factory=dict)
    recipe: str = ""


def results_in(root: Path) -> list[Path]:
    """Return the paths of what is read of both stages' results, below a repository's root."""
    return [
        root / "reports" / one.stage / name for one in JUDGED_SETS for name in dict.fromkeys(("run.json", one.file))
    ]


def read_stage(
    stage: str, find: Find, recorded: Callable[[JudgedSet], Metrics] = lambda _: {}
) -> dict[JudgedSet, Judged]:
    """Return what a stage's result says of each set of subjects that the stage judges.

    `recorded` gives measures of a set whose rows of single subjects are not to be had.

    Raises
    ------
    ComparisonError : there is no run.json, it comes from an earlier release, or a table is not the one it names.
    """
    record = read_json(find("run.json"))
    if missing := _NEEDED - set(record):
        raise ComparisonError(f"run.json of stage {stage} has no {', '.join(sorted(missing))}: an earlier release's")
    return {
        judged_set: _judged(judged_set, record, find, recorded(judged_set))
        for judged_set in JUDGED_SETS
        if judged_set.stage == stage
    }


def _judged(judged_set: JudgedSet, record: Mapping[str, Any], find: Find, recorded: Metrics) -> Judged:
    table, missing = None, ""
    try:
        path = find(judged_set.file)
    except ComparisonError as error:
        missing = str(error)
    else:
        table = _table(path, judged_set, record)
    origin = record.get("parameters_from")
    return Judged(
        kind=CohortKind.of(record["cohort"]["kind"]),
        cohort=record["cohort"]["digest"],
        result_id=record["result_id"],
        n_train=float(np.mean([h["n_train"] for h in record["heads"] if h["name"].startswith(judged_set.heads)])),
        sources=_sources(record),
        note=origin["note"] if origin else "",
        recipe=Scope.of_tags(record.get("tags", {})).recipe,
        table=table,
        missing=missing,
        measures=recorded if table is None else measures_of(table),
    )


def measures_of(table: pd.DataFrame) -> Metrics:
    """Return the measures of the predictions in a table."""
    return binary_metrics(targets(table["label"]), table["probability"].to_numpy())


def _table(path: Path, judged_set: JudgedSet, record: Mapping[str, Any]) -> pd.DataFrame:
    if file_digest(path) != record["files"].get(judged_set.file):
        raise ComparisonError(
            f"{judged_set.file} is not the file that was written with run.json of stage {judged_set.stage}, result "
            f"{record['result_id']}; run dvc checkout, or dvc repro"
        )
    return read_table(path, (*_COLUMNS, judged_set.place))[[*_COLUMNS, judged_set.place]]


def _sources(record: Mapping[str, Any]) -> dict[str, str]:
    sources = {name: str(record.get(key, "")) for name, key in _SOURCES.items()}
    return sources | {"weights of the backbone": str(record.get("features", {}).get("backbone_tensor_digest", ""))}
