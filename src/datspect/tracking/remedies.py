"""Say what to do about a tracking store that cannot be used as it is."""

import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from datspect.errors import DatspectError
from datspect.tracking.secrets import without_secrets


class UnusableStoreError(DatspectError):
    """The store answers, or need not be asked, and what is wrong with it has a known remedy.

    problem : what is wrong; remedy : a sentence with what to do, which may end with a command
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem, self.remedy = problem, remedy


def refuse_folders(uri: str, root: Path) -> None:
    """Refuse what MLflow 3 no longer opens, unless the user allows it: runs in a folder instead of a database.

    Raises
    ------
    UnusableStoreError : `uri` names a folder; it ends with the command that takes its runs into a database.
    """
    folder = _folder(uri)
    if folder is None or os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
        return
    source, default = shlex.quote(str(folder)), root / "mlflow.db"
    problem = f"MLFLOW_TRACKING_URI names the folder {folder}, and MLflow 3 keeps runs in a database"
    if not list(folder.glob("*/meta.yaml")):
        raise UnusableStoreError(
            problem, "It holds no runs. To use the repository's database: unset MLFLOW_TRACKING_URI"
        )
    if not default.exists():
        raise UnusableStoreError(
            problem,
            "To take its runs along into the repository's database: unset MLFLOW_TRACKING_URI && "
            f"mlflow migrate-filestore --source {source} --target {shlex.quote(f'sqlite:///{default}')}",
        )
    address = shlex.quote(f"sqlite:///{root / 'mlflow.db.migrated'}")
    raise UnusableStoreError(
        problem,
        "The repository has a database already (unset MLFLOW_TRACKING_URI uses it). To read the folder's runs in one "
        f"of their own: export MLFLOW_TRACKING_URI={address} && "
        f"mlflow migrate-filestore --source {source} --target {address}",
    )


def _folder(uri: str) -> Path | None:
    """Return the folder that an address names to MLflow: a path, or file:path."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or uri.startswith("databricks"):
        return None
    return Path(unquote(parts.path) if parts.scheme else uri).absolute()


def deleted(uri: str, experiment: Any) -> UnusableStoreError:
    """Return what to say of an experiment that somebody deleted: how to bring it back, or to use another."""
    shown = without_secrets(uri, uri)
    # Whoever gave an address with a password gave it in the environment, where the command finds it too.
    prefix = f"MLFLOW_TRACKING_URI={shlex.quote(uri)} " if uri == shown else ""
    return UnusableStoreError(
        f"the experiment {experiment.name} (id {experiment.experiment_id}) was deleted in MLflow at {shown}",
        "Name another one as tracking.experiment in params.yaml, or bring it back: "
        f"{prefix}mlflow experiments restore --experiment-id {experiment.experiment_id}",
    )
