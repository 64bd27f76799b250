"""Connect to where runs are kept: the environment's tracking URI, or an SQLite database in the repository root."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from datspect.errors import DatspectError
from datspect.running.addresses import absolute_sqlite, repository_root, sqlite_path, without_password
from datspect.tracking.moved import FOLDER, follow_repository

_LOCK_SECONDS = 120.0  # another process creates the database in about 5
_FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # without it the UI shows evaluations of chats


def tracking_uri(root: Path) -> str:
    """Return the environment's tracking URI, by default `<root>/mlflow.db`; a relative SQLite path starts at `root`."""
    return absolute_sqlite(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db", root)


class UnusableStoreError(DatspectError):
    """The store answers, or need not be asked, and what is wrong with it has a known remedy.

    problem : what is wrong; remedy : a sentence with what to do, which may end with a command
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem, self.remedy = problem, remedy


def connect(experiment: str) -> tuple[Any, str]:
    """Return a client of the tracking store and the id of the experiment; create the experiment if it is new.

    Raises
    ------
    UnusableStoreError : the address names a folder, or the experiment was deleted.
    """
    from mlflow import MlflowClient

    root = repository_root()
    uri = tracking_uri(root)
    _refuse_folders(uri, root)
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
    _refuse_folders(uri, root)
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


def _refuse_folders(uri: str, root: Path) -> None:
    """Refuse what MLflow 3 no longer opens, unless the user allows it: runs in a folder instead of a database."""
    folder = _folder(uri)
    if folder is None or os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
        return
    problem = f"MLFLOW_TRACKING_URI names the folder {folder}, and MLflow 3 keeps runs in a database"
    default = root / "mlflow.db"
    if not list(folder.glob("*/meta.yaml")):
        raise UnusableStoreError(
            problem, "It holds no runs. To use the repository's database: unset MLFLOW_TRACKING_URI"
        )
    if not default.exists():
        raise UnusableStoreError(
            problem,
            "To take its runs along into the repository's database: unset MLFLOW_TRACKING_URI && "
            f"mlflow migrate-filestore --source {shlex.quote(str(folder))} --target {shlex.quote(f'sqlite:///{default}')}",
        )
    address = shlex.quote(f"sqlite:///{root / 'mlflow-migrated.db'}")
    raise UnusableStoreError(
        problem,
        "The repository has a database already (unset MLFLOW_TRACKING_URI uses it). To read the folder's runs in one "
        f"of their own: export MLFLOW_TRACKING_URI={address} && "
        f"mlflow migrate-filestore --source {shlex.quote(str(folder))} --target {address}",
    )


def _folder(uri: str) -> Path | None:
    """Return the folder that an address names to MLflow: a path, or file:path."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or uri.startswith("databricks"):
        return None
    return Path(unquote(parts.path) if parts.scheme else uri).absolute()


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
        raise _deleted(client.tracking_uri, found)
    return str(found.experiment_id)


def _deleted(uri: str, experiment: Any) -> UnusableStoreError:
    # Whoever gave an address with a password gave it in the environment, where the command finds it too.
    prefix = f"MLFLOW_TRACKING_URI={shlex.quote(uri)} " if uri == without_password(uri) else ""
    return UnusableStoreError(
        f"the experiment {experiment.name} (id {experiment.experiment_id}) was deleted in MLflow at "
        f"{without_password(uri)}",
        "Name another one as tracking.experiment in params.yaml, or bring it back: "
        f"{prefix}mlflow experiments restore --experiment-id {experiment.experiment_id}",
    )
