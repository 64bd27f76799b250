"""Where runs are kept: the tracking URI of the environment, or an SQLite database in the repository root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datspect.running.addresses import absolute_sqlite, repository_root, sqlite_path

_LOCK_SECONDS = 120.0  # another process creates the database in about 5
_FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # else the UI takes runs for evaluations of chats


def tracking_uri(root: Path) -> str:
    """The environment's tracking URI with a relative SQLite path taken from `root`; default `<root>/mlflow.db`."""
    return absolute_sqlite(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db", root)


def connect(experiment: str) -> tuple[Any, str]:
    """A client of the tracking store, and the id of the experiment, which is created when it is new."""
    from mlflow import MlflowClient

    root = repository_root()
    uri = tracking_uri(root)
    path = sqlite_path(uri)
    if path is None:
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, experiment, artifacts=None)
    with _only_process(path):  # the first client migrates the database; two at once would break each other
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, experiment, artifacts=(root / "mlruns").as_uri())


@contextmanager
def _only_process(database: Path) -> Iterator[None]:
    from filelock import FileLock

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=_LOCK_SECONDS):
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
    return str(found.experiment_id)
