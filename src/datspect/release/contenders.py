"""Find the two experiments of a comparison: runs, registered versions, DVC experiments, commits, or the workspace."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from datspect.io.records import read_json
from datspect.release.comparing import Contender
from datspect.release.contenders_in_git import of_commit, of_workspace
from datspect.release.registry import CHALLENGER, CHAMPION, NAME, PREVIOUS, Registry, Version, made_by, opened
from datspect.release.stage_results import STAGES, ComparisonError, Find, JudgedSet, Metrics, read_stage

WORKSPACE = "workspace"

Kind = Literal["run", "version", "rev", "workspace"]
_MARKS: tuple[Kind, ...] = ("run", "version", "rev")


@dataclass(frozen=True)
class Named:
    """What a person called A or B: its kind, and its name without the mark of the kind."""

    kind: Kind
    value: str
    text: str

    @classmethod
    def parse(cls, text: str) -> "Named":
        """Tell the kind from the form of a name, without looking anything up.

        >>> [Named.parse(text).kind for text in ("workspace", "0" * 32, "3", "datspect@champion", "main", "rev:3")]
        ['workspace', 'run', 'version', 'version', 'rev', 'rev']
        """
        mark, _, value = text.partition(":")
        for kind in _MARKS:
            if value and mark == kind:
                return cls(kind, value, text)
        if text == WORKSPACE:
            return cls("workspace", text, text)
        if re.fullmatch("[0-9a-f]{32}", text):
            return cls("run", text, text)
        if text.startswith(f"{NAME}@"):
            return cls("version", text.removeprefix(f"{NAME}@"), text)
        if text.isdecimal() or text in (CHAMPION, CHALLENGER, PREVIOUS):
            return cls("version", text, text)
        return cls("rev", text, text)


def read_contender(named: Named, root: Path) -> Contender:
    """Return what a name stands for, with all predictions that are to be had.

    Raises
    ------
    ComparisonError : there is no such thing, or none of its results can be read.
    TrackingError : it is in MLflow, which cannot be reached.
    """
    match named.kind:
        case "workspace":
            found = of_workspace(named.text, root)
        case "rev":
            found = of_commit(named.text, named.value, root)
        case _:
            with opened(alone=False) as (registry, _, _):
                is_version = named.kind == "version"
                found = _of_version(named, registry) if is_version else _of_run(named, named.value, registry)
    if not found.judged:
        reasons = [f"stage {stage}: {why}" for stage, why in found.absent.items()]
        raise ComparisonError("\n  ".join([f"{named.text} ({found.title}): none of its results can be read", *reasons]))
    return found


def _of_version(named: Named, registry: Registry) -> Contender:
    version = registry.version(named.value)
    if version is None:
        raise ComparisonError(
            f"{NAME} has no version {named.value}; run {made_by(named.value)}, or write rev:{named.value}"
        )
    if version.run_id is None:
        raise ComparisonError(f"version {version.number} has no run in this MLflow; run datspect relog, then register")
    title = f"version {version.number} of {NAME}, run {version.run_id}"
    return _of_run(named, version.run_id, registry, title, version)


def _of_run(
    named: Named, run_id: str, registry: Registry, title: str | None = None, version: Version | None = None
) -> Contender:
    run = registry.run(run_id)
    if run is None:
        raise ComparisonError(f"this MLflow has no run {run_id}; check MLFLOW_TRACKING_URI and the id")
    stage = _stage(run_id, run.data.tags)
    # For as long as the block only, since the files may hold rows of single subjects.
    with tempfile.TemporaryDirectory() as folder:
        find = partial(_report, registry, run_id, Path(folder))
        judged = read_stage(stage, find, partial(_recorded, find))
    return Contender(
        name=named.text,
        title=title or f"run {run_id} of stage {stage}",
        params=dict(run.data.params),
        judged=judged,
        absent={},
        test_set=version.tags.get("datspect.test_set") if version else None,
    )


def _report(registry: Registry, run_id: str, folder: Path, name: str) -> Path:
    path = registry.copied_report(run_id, name, folder)
    if path is None:
        raise ComparisonError(
            f"run {run_id} has no {name} in MLflow. If the run ended early or its files are gone, run datspect relog; "
            "rows of single real subjects go to a server beyond this machine with tracking.share_subject_level: true "
            "only"
        )
    return path


def _recorded(find: Find, judged_set: JudgedSet) -> Metrics:
    recorded: Metrics = read_json(find("metrics.json"))[judged_set.name]
    return recorded


def _stage(run_id: str, tags: Mapping[str, str]) -> str:
    stage, parent = tags.get("datspect.stage", "none"), tags.get("mlflow.parentRunId")
    if parent is not None:
        raise ComparisonError(f"run {run_id} is one part of run {parent}; compare that one, if it is of cv or final")
    if stage not in STAGES:
        raise ComparisonError(f"run {run_id} is of stage {stage}; only runs of {' and '.join(STAGES)} can be compared")
    return stage
