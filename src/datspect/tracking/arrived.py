"""Look whether the files that a run should have can be listed and opened where MLflow says that they are."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datspect.tracking.connection import Connection
from datspect.tracking.environment import patient_uploads, without_progress_bars
from datspect.tracking.search import all_runs

_REPORTS, _SINGLE_FILES, _WEIGHTS = "reports", "model", "data/model.keras"


def missing_files(
    connection: Connection,
    run_id: str,
    *,
    reports: Sequence[str],
    may_be_withheld: frozenset[str],
    models: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return what of a run cannot be had from the store: names of reports, and heads whose model is not there.

    Reports are opened; of a model its description is opened and its weights are listed, since they may be large.

    Parameters
    ----------
    reports : names of files below `reports`
    may_be_withheld : those of them that a run does not have if it says that it shows no single subjects
    models : `head` and `file` of each, as in run.json; a `.keras` file is a logged model, another one a plain file
    """
    with connection.protected(), without_progress_bars(), patient_uploads(), tempfile.TemporaryDirectory() as folder:
        client = connection.client
        run = client.get_run(run_id)
        withheld = may_be_withheld if run.data.tags.get("datspect.subject_level") == "withheld" else frozenset()
        there = _opened_reports(client, run_id, Path(folder))
        missing = [f"{_REPORTS}/{name}" for name in reports if name not in withheld and name not in there]
        children = all_runs(client, run.info.experiment_id, f"tags.`mlflow.parentRunId` = '{run_id}'")
        of_head = {child.info.run_name: child for child in children}
        missing += [
            f"model {model['head']}"
            for model in models
            if not _has_model(client, of_head.get(model["head"], run), model["file"], Path(folder))
        ]
        return missing
    raise AssertionError  # a required connection has raised


def _opened_reports(client: Any, run_id: str, folder: Path) -> set[str]:
    from mlflow.exceptions import MlflowException

    try:
        reports = Path(client.download_artifacts(run_id, _REPORTS, str(folder)))
    except (OSError, MlflowException):
        return set()
    return {path.name for path in reports.iterdir() if path.is_file() and path.stat().st_size}


def _has_model(client: Any, run: Any, file: str, folder: Path) -> bool:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        if not file.endswith(".keras"):
            return f"{_SINGLE_FILES}/{file}" in _listed(client.list_artifacts(run.info.run_id, _SINGLE_FILES))
        for output in run.outputs.model_outputs:
            place = client.get_logged_model(output.model_id).artifact_location
            download_artifacts(f"{place}/MLmodel", dst_path=str(folder), tracking_uri=client.tracking_uri)
            if _WEIGHTS in _listed(client.list_logged_model_artifacts(output.model_id, "data")):
                return True
    except (OSError, MlflowException):
        return False
    return False


def _listed(files: Sequence[Any]) -> set[str]:
    return {file.path for file in files if file.file_size}
