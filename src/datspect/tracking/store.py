"""Connect to where runs are kept: the environment's tracking URI, or an SQLite database in the repository root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from datspect.running.addresses import absolute_sqlite, repository_root, sqlite_path
from datspect.tracking.moved import FOLDER, follow_repository
from datspect.tracking.remedies import deleted, refuse_folders

_LOCK_SECONDS = 120.0  # another process creates the database in about 5
_FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # without it the UI shows evaluations of chats


def tracking_uri(root: Path) -> str:
    """Return the environment's tracking URI, by default `<root>/mlflow.db`; a relative SQLite path starts at `root`."""
    return absolute_sqlite(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db", root)


def connect(experiment: str) -> tuple[Any, str]:
    """Return a client of the tracking store and the id of the experiment; create the experiment if it is new.

    Raises
    ------
    UnusableStoreError : the address names a folder, or the experiment was deleted.
    """
    from mlflow import MlflowClient

    root = repository_root()
    uri = tracking_uri(root)
    refuse_folders(uri, root)
    path = sqlite_path(uri)
    with _held(path):
        client = MlflowClient(tracking_uri=uri)
        if path is not None:
            follow_repository(path, root)
        artifacts = None if path is None else (root / FOLDER).as_uri()
        return client, _experiment_id(client, experiment, artifacts)


def ready_uri() -> str:
    """Return the tracking URI for a program that opens the store by itself; a database follows the repository first."""
    root = repository_root()
    uri = tracking_uri(root)
    refuse_folders(uri, root)
    path = sqlite_path(uri)
    if path is not None and path.is_file():
        with _held(path):
            follow_repository(path, root)
    return uri


@contextmanager
def _held(path: Path | None) -> Iterator[None]:
    """Let one process at a time open a database: the first client migrates it, and two at once would break it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_LOCK_SECONDS) if path is not None else nullcontext():
        yield


def _experiment_id(client: Any, name: str, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts, tags=_FOR_TRAINING))
        except MlflowException:  # a server's other client may have been faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise deleted(client.tracking_uri, found)
    return str(found.experiment_id)
