"""Look at the files of a finished run in the artifact store: the database may know of files that are gone."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datspect.errors import DatspectError
from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.tracking import missing_files
from datspect.tracking.connection import Connection
from datspect.tracking.environment import without_progress_bars
from datspect.training.to_mlflow import ARRIVING, SUBJECT_LEVEL

REPORTS = "reports"
"""Folder of a run's artifacts that holds what its stage reported."""

_WITHHELD_TAG = "datspect.subject_level"
_SHOWN = 3


def lost_files(connection: Connection, run_id: str, record: Mapping[str, Any]) -> list[str]:
    """Return what of a finished run the store has lost, or holds with another content than it was sent with.

    `record` is run.json on disk; where the run still has its own, that one says which files belong to the run. Files
    that were withheld are not lost.

    Raises
    ------
    TrackingError : the store cannot be reached.
    """
    with connection.protected(), without_progress_bars(), tempfile.TemporaryDirectory() as folder:
        run = connection.client.get_run(run_id)
        reports = _reports(connection.client, run_id, Path(folder))
        own = _own_record(reports) or record
        files = dict(own.get("files", {}))
        files |= {name: run.data.tags[tag] for name, tag in ARRIVING.items() if tag in run.data.tags}
        missing = missing_files(
            connection,
            run_id,
            reports=["run.json", *files],
            may_be_withheld=SUBJECT_LEVEL,
            models=own.get("models", []),
        )
        return missing + _others(reports, files)
    raise AssertionError  # a required connection has raised


def _others(reports: Path, files: Mapping[str, str]) -> list[str]:
    """Return a line for each file whose SHA-256 is not the one that it was sent with; missing ones are told before."""
    there = {name: reports / name for name in files if (reports / name).is_file() and (reports / name).stat().st_size}
    return [f"{REPORTS}/{name} (another file)" for name, path in there.items() if file_digest(path) != files[name]]


def in_words(lost: list[str]) -> str:
    """Return lost files as one line."""
    return ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")


def why_absent(name: str, tags: Mapping[str, str]) -> str:
    """Return why a run with these tags has no report of this name: it was withheld, or it is lost."""
    if name in SUBJECT_LEVEL and tags.get(_WITHHELD_TAG) == "withheld":
        return (
            "it was withheld: rows of single real subjects go to a server beyond this machine only with "
            "tracking.share_subject_level: true in params.yaml; datspect relog --again then sends them"
        )
    return (
        "it is lost, since the run was sent with it: bring MLflow's files back (a disk that is not mounted? a folder "
        "that was left behind?), or check out the commit of these results, then dvc checkout and datspect relog"
    )


def _reports(client: Any, run_id: str, folder: Path) -> Path:
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run_id, REPORTS, str(folder)))
    except (OSError, MlflowException):
        return folder / REPORTS  # not there


def _own_record(reports: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = read_json(reports / "run.json")
    except DatspectError:
        return None
    return record if isinstance(record, dict) else None
