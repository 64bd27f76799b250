"""Versions of the registered model: found by digest, created once, named by aliases."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from datspect.errors import PromotionError
from datspect.prediction.files import FOLDER_NAME
from datspect.running.addresses import repository_root
from datspect.tracking import required_connection
from datspect.tracking.connection import Connection

NAME = "datspect"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DIGEST_TAG = "datspect.model_digest"

_LOCK_NAME = "mlflow.db.registry.lock"  # in the repository root, where git ignores it
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what stores answer for an alias that is not set


@dataclass(frozen=True)
class Version:
    """One version: its number, its tags, the run of stage `final` it comes from, and where its files are."""

    number: str
    tags: Mapping[str, str]
    run_id: str | None
    source: str


@contextmanager
def opened(experiment: str) -> Iterator["Registry"]:
    """The registry of the tracking store, for one program of this repository at a time.

    Raises
    ------
    TrackingError : the store cannot be reached, or fails within the block.
    """
    with FileLock(repository_root() / _LOCK_NAME), required_connection(experiment) as connection:
        yield Registry(connection)


def model_folder(model: str) -> Path:
    """The predictor's folder of a version, named by alias or number; fetched where the store is elsewhere.

    Raises
    ------
    PromotionError : there is no such version.
    """
    from datspect.params.whole import load_params

    with required_connection(load_params(repository_root() / "params.yaml").tracking.experiment) as connection:
        registry = Registry(connection)
        version = registry.version(model)
        if version is None:
            raise PromotionError(
                f"the registered model {NAME} has no version or alias {model}; name a folder, or run datspect register"
            )
        return registry.artifact(version, FOLDER_NAME)


class Registry:
    """The registered model `NAME` in the store behind a required connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def version(self, which: str) -> Version | None:
        """By alias or by number; None if there is none."""
        from mlflow.exceptions import MlflowException

        client = self.connection.client
        with self.connection.protected():
            try:
                if which.isdecimal():
                    return _version(client.get_model_version(NAME, which))
                return _version(client.get_model_version_by_alias(NAME, which))
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
        return None

    def with_digest(self, digest: str) -> Version | None:
        """The version of these very files, the earliest if there are several."""
        with self.connection.protected():
            found = self.connection.client.search_model_versions(
                f"name = '{NAME}' and tags.`{DIGEST_TAG}` = '{digest}'"
            )
        return min((_version(each) for each in found), key=lambda version: int(version.number), default=None)

    def create(
        self,
        predictor_folder: Path,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        description: str,
        extras: Sequence[tuple[str, Path]],
    ) -> Version:
        """Upload a predictor as a served model and make it a new version; `extras` are further artifacts by name."""
        from datspect.release.serving import write_served_model
        from datspect.tracking.run import model_description

        client, experiment_id = self.connection.client, self.connection.experiment_id
        with self.connection.protected(), tempfile.TemporaryDirectory() as temporary, _without_bars():
            logged = client.create_logged_model(experiment_id, name=FOLDER_NAME, source_run_id=run_id)
            folder = Path(temporary) / "model"
            write_served_model(folder, predictor_folder, mlflow_model=model_description(logged, run_id), extras=extras)
            client.log_model_artifacts(logged.model_id, str(folder))
            client.finalize_logged_model(logged.model_id, "READY")
            created = client.create_model_version(
                NAME,
                source=f"models:/{logged.model_id}",
                run_id=run_id,
                model_id=logged.model_id,
                tags=dict(tags),
                description=f"{description}\n\nModel card: "
                f"[artifacts/card.html](#/experiments/{experiment_id}/models/{logged.model_id}/artifacts)",
            )
            # As MLflow's own register_model does; without it the UI calls the model not registered.
            versions = json.dumps([{"name": NAME, "version": created.version}])
            client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})
        return _version(created)

    def ensure(self) -> None:
        """Create the registered model if there is none."""
        from mlflow.exceptions import MlflowException

        with self.connection.protected():
            try:
                self.connection.client.create_registered_model(NAME)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

    def artifact(self, version: Version, name: str) -> Path:
        """A file or folder that was stored with a version, by the name it was given."""
        from mlflow.artifacts import download_artifacts
        from mlflow.pyfunc import FLAVOR_NAME

        with self.connection.protected(), _without_bars():
            tracking_uri = self.connection.client.tracking_uri
            root = Path(download_artifacts(version.source, tracking_uri=tracking_uri))
        from mlflow.models import Model

        stored = Model.load(root).flavors[FLAVOR_NAME]["artifacts"]
        if name not in stored:
            raise PromotionError(f"version {version.number} of {NAME} has no {name}; it was not made by this project")
        return root / str(stored[name]["path"])

    def run_file(self, version: Version, name: str) -> Path:
        """A report of the run that a version comes from.

        Raises
        ------
        PromotionError : the version has no run here, or the run has no such file.
        """
        from mlflow.exceptions import MlflowException

        if version.run_id is None:
            raise PromotionError(
                f"version {version.number} has no run in this MLflow; run datspect relog, then register"
            )
        with self.connection.protected(), _without_bars():
            try:
                return Path(self.connection.client.download_artifacts(version.run_id, f"reports/{name}"))
            except (OSError, MlflowException) as error:
                raise PromotionError(
                    f"version {version.number}: its run {version.run_id} has no {name}; rows of single real subjects "
                    "go to a server beyond this machine with tracking.share_subject_level: true only"
                ) from error
        raise AssertionError  # a required connection has raised

    def run_tags(self, version: Version) -> dict[str, str]:
        """Tags of the run that a version comes from; none if there is no such run here."""
        from mlflow.exceptions import MlflowException

        with self.connection.protected():
            try:
                return dict(self.connection.client.get_run(version.run_id).data.tags) if version.run_id else {}
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
        return {}

    def set_alias(self, alias: str, version: Version) -> None:
        """Let `alias` name this version from now on."""
        with self.connection.protected():
            self.connection.client.set_registered_model_alias(NAME, alias, version.number)

    def remove_alias(self, alias: str) -> None:
        """Let `alias` name nothing."""
        with self.connection.protected():
            self.connection.client.delete_registered_model_alias(NAME, alias)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self.connection.protected():
            for key, value in tags.items():
                self.connection.client.set_model_version_tag(NAME, version.number, key, value)

    def model_tags(self) -> dict[str, str]:
        """Tags of the registered model itself."""
        with self.connection.protected():
            return dict(self.connection.client.get_registered_model(NAME).tags)
        return {}

    def set_model_tag(self, key: str, value: str) -> None:
        """Set a tag of the registered model itself."""
        with self.connection.protected():
            self.connection.client.set_registered_model_tag(NAME, key, value)


def _version(found: Any) -> Version:
    return Version(str(found.version), dict(found.tags), found.run_id or None, found.source)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Without MLflow's progress bars."""
    name = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
