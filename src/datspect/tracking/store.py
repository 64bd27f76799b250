"""Connect to where runs are kept: the environment's tracking URI, or an SQLite database in the repository root."""

import os
from pathlib import Path
from typing import Any

from filelock import FileLock

from datspect.running.addresses import absolute_sqlite, repository_root, sqlite_path

_LOCK_SECONDS = 120.0  # another process creates the database in about 5
_FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # without it the UI shows evaluations of chats


def tracking_uri(root: Path) -> str:
    """Return the environment's tracking URI, by default `<root>/mlflow.db`; a relative SQLite path starts at `root`."""
    return absolute_sqlite(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db", root)


def connect(experiment: str) -> tuple[Any, str]:
    """Return a client of the tracking store and the id of the experiment; create the experiment if it is new."""
    from mlflow import MlflowClient

    root = repository_root()
    uri = tracking_uri(root)
    path = sqlite_path(uri)
    if path is None:
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, experiment, artifacts=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The first client migrates the database; two at once would break each other.
    with FileLock(f"{path}.lock", timeout=_LOCK_SECONDS):
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, experiment, artifacts=(root / "mlruns").as_uri())


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
