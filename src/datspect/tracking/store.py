"""Where runs are kept: the tracking URI of the environment, or an SQLite database in the repository root."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LOCK_SECONDS = 120.0  # another process creates the database in about 5
_FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # else the UI takes runs for evaluations of chats


def repository_root() -> Path:
    """The root that DVC names (also from within a throwaway copy), else the nearest parent with a DVC project."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() or (folder / ".dvc").is_dir():
            return folder
    return here


def tracking_uri(root: Path) -> str:
    """The environment's tracking URI with a relative SQLite path taken from `root`; default `<root>/mlflow.db`."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = _sqlite_path(uri)
    if path is None or path.is_absolute():
        return uri
    from sqlalchemy.engine import make_url

    return make_url(uri).set(database=(root / path).as_posix()).render_as_string(hide_password=False)


def without_password(text: str) -> str:
    """`text` with the user and password of every address in it left out."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def connect(experiment: str) -> tuple[Any, str]:
    """A client of the tracking store, and the id of the experiment, which is created when it is new."""
    from mlflow import MlflowClient

    root = repository_root()
    uri = tracking_uri(root)
    path = _sqlite_path(uri)
    if path is None:
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, experiment, artifacts=None)
    with _only_process(path):  # the first client migrates the database; two at once would break each other
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment_id(client, experiment, artifacts=(root / "mlruns").as_uri())


def _sqlite_path(uri: str) -> Path | None:
    """Path of the database file that `uri` names, None for a server or a database in memory."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    return Path(database) if database and not database.startswith((":memory:", "file:")) else None


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
