"""Find versions of the registered model, create them once, and name them by aliases."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from datspect.errors import PromotionError
from datspect.io.writable import check_writable_folder
from datspect.params.whole import Params, load_params
from datspect.prediction.files import FOLDER_NAME
from datspect.release.dvc_cache import found_md5
from datspect.release.manifest import MANIFEST_TAG, write_manifest
from datspect.release.run_files import REPORTS, why_absent
from datspect.running.addresses import repository_root
from datspect.tracking import required_connection
from datspect.tracking.connection import Connection
from datspect.tracking.earlier import SUPERSEDED
from datspect.tracking.environment import without_progress_bars
from datspect.tracking.locality import beyond_this_machine

NAME = "datspect"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DIGEST_TAG = "datspect.model_digest"
COMMIT_TAG, CHANGED_TAG = "datspect.git_commit", "datspect.git_changed"
"""The commit at training, and the tracked files that differed from it then."""
OUTPUT_TAG = "dvc."
"""Begins the tags that hold the hashes of outputs in dvc.lock."""

_LOCK_NAME = "mlflow.db.registry.lock"  # in the repository root, where git ignores it
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what stores answer for a name that is not there


def made_by(which: str) -> str:
    """Return the command that makes the version with this alias or number.

    >>> made_by("champion"), made_by("challenger"), made_by("3")
    ('datspect promote', 'datspect register', 'datspect register')
    """
    return "datspect promote" if which == CHAMPION else "datspect register"


def is_of_a_commit(tags: Mapping[str, str]) -> bool:
    """Return whether a version with these tags was trained from a commit, all tracked files as in it.

    >>> is_of_a_commit({COMMIT_TAG: "1f2e3d", CHANGED_TAG: ""}), is_of_a_commit({COMMIT_TAG: "1f", CHANGED_TAG: "a.py"})
    (True, False)
    """
    return tags.get(COMMIT_TAG, "none") != "none" and not tags.get(CHANGED_TAG)


@dataclass(frozen=True)
class Version:
    """One version: its number, its tags, the run of stage `final` that it comes from, and where its files are."""

    number: str
    tags: Mapping[str, str]
    run_id: str | None
    source: str

    @property
    def outputs(self) -> dict[str, str]:
        """Path to hash in dvc.lock of every output that the version stands for, sorted by path."""
        return {
            key.removeprefix(OUTPUT_TAG): md5 for key, md5 in sorted(self.tags.items()) if key.startswith(OUTPUT_TAG)
        }


class Opened(NamedTuple):
    """The registry of this repository, with the repository's root and parameters."""

    registry: "Registry"
    root: Path
    params: Params


@contextmanager
def opened(*, alone: bool = True) -> Iterator[Opened]:
    """Open the registry in this repository's tracking store; if `alone`, one program of the repository at a time.

    Raises
    ------
    TrackingError : the store cannot be reached, or fails within the block.
    """
    root = repository_root()
    params = load_params(root / "params.yaml")
    lock = FileLock(root / _LOCK_NAME) if alone else nullcontext()
    with lock, required_connection(params.tracking.experiment) as connection:
        yield Opened(Registry(connection), root, params)


class Registry:
    """Read and change the registered model `NAME` through a required connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def is_beyond_this_machine(self) -> bool:
        """Whether what a version carries goes to another machine."""
        with self.connection.protected():
            return any(beyond_this_machine(uri) for uri in (self.connection.client.tracking_uri, self._place()))
        raise AssertionError  # a required connection has raised

    def check_writable(self) -> None:
        """Check that files of a version can be stored, if that is a folder of this machine.

        Raises
        ------
        DatspectError : nothing can be written to it.
        """
        with self.connection.protected():
            parts = urlsplit(self._place())
            if parts.scheme in ("", "file") and not parts.netloc:
                check_writable_folder(Path(unquote(parts.path)), "files of a version go to")

    def _place(self) -> str:
        """Return the address below which MLflow stores files."""
        return str(self.connection.client.get_experiment(self.connection.experiment_id).artifact_location)

    def version(self, which: str) -> Version | None:
        """Return the version with this alias or number; None if there is none."""
        client = self.connection.client
        with self.connection.protected(), _passing(*_ABSENT):
            if which.isdecimal():
                return _version(client.get_model_version(NAME, which))
            return _version(client.get_model_version_by_alias(NAME, which))
        return None

    def named(self, which: str) -> Version:
        """Return the version with this alias or number.

        Raises
        ------
        PromotionError : there is none.
        """
        version = self.version(which)
        if version is None:
            raise PromotionError(f"{NAME} has no version {which}; run {made_by(which)} first")
        return version

    def with_digest(self, digest: str) -> Version | None:
        """Return a version whose predictor has this digest, or None.

        If there are several it is one with a manifest, then one that was trained from a commit, then the earliest.
        """
        with self.connection.protected():
            found = self.connection.client.search_model_versions(
                f"name = '{NAME}' and tags.`{DIGEST_TAG}` = '{digest}'"
            )
        versions = [_version(each) for each in found]
        return min(
            versions,
            key=lambda one: (MANIFEST_TAG not in one.tags, not is_of_a_commit(one.tags), int(one.number)),
            default=None,
        )

    def create(
        self,
        predictor_folder: Path,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        description: str,
        extras: Sequence[tuple[str, Path]],
    ) -> Version:
        """Upload a predictor as a served model and make it a new version; `extras`: names and paths of more files."""
        from datspect.release.serving import write_served_model
        from datspect.tracking.run import model_description

        client, experiment_id = self.connection.client, self.connection.experiment_id
        with self.connection.protected(), tempfile.TemporaryDirectory() as temporary, without_progress_bars():
            logged = client.create_logged_model(experiment_id, name=FOLDER_NAME, source_run_id=run_id)
            folder = Path(temporary) / "model"
            write_served_model(folder, predictor_folder, mlflow_model=model_description(logged, run_id), extras=extras)
            digest = write_manifest(folder)
            client.log_model_artifacts(logged.model_id, str(folder))
            client.finalize_logged_model(logged.model_id, "READY")
            created = client.create_model_version(
                NAME,
                source=f"models:/{logged.model_id}",
                run_id=run_id,
                model_id=logged.model_id,
                tags={**tags, MANIFEST_TAG: digest},
                description=f"{description}\n\nModel card: "
                f"[artifacts/card.html](#/experiments/{experiment_id}/models/{logged.model_id}/artifacts)",
            )
            # As MLflow's own register_model does; without it the UI calls the model not registered.
            versions = json.dumps([{"name": NAME, "version": created.version}])
            client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})
        return _version(created)

    def ensure(self) -> None:
        """Create the registered model if there is none."""
        with self.connection.protected(), _passing("RESOURCE_ALREADY_EXISTS"):
            self.connection.client.create_registered_model(NAME)

    def artifact(self, version: Version, name: str) -> Path:
        """Return the path of a file or folder that was stored with a version under this name.

        Raises
        ------
        PromotionError : nothing was stored under it, or the file is gone.
        """
        from mlflow.models import Model
        from mlflow.pyfunc import FLAVOR_NAME

        with self.connection.protected(), _passing("RESOURCE_DOES_NOT_EXIST"):
            if (root := self.folder(version)) is not None:
                stored = Model.load(root).flavors.get(FLAVOR_NAME, {}).get("artifacts", {})
                if name not in stored:
                    raise PromotionError(
                        f"version {version.number} of {NAME} has no {name}; it was not made by this project"
                    )
                path = root / str(stored[name]["path"])
                if path.exists():
                    return path
        raise PromotionError(
            f"version {version.number} of {NAME}: {name} is gone from MLflow; restore {version.source}, or delete "
            "the version there and register it again"
        )

    def folder(self, version: Version) -> Path | None:
        """Return the folder of a version's files, downloaded if they are elsewhere; None if they are gone."""
        from mlflow.artifacts import download_artifacts

        with self.connection.protected(), without_progress_bars(), _passing("RESOURCE_DOES_NOT_EXIST"):
            path = Path(download_artifacts(version.source, tracking_uri=self.connection.client.tracking_uri))
            return path if path.is_dir() else None
        return None

    def run_file(self, version: Version, name: str) -> Path:
        """Return the path of a report of the run that a version comes from.

        Raises
        ------
        PromotionError : the version has no run here; the run has no such file, withheld or lost; or it has another one
            than the version was registered with.
        """
        from mlflow.exceptions import MlflowException

        if version.run_id is None:
            raise PromotionError(
                f"version {version.number} has no run in this MLflow; run datspect relog, then register"
            )
        with self.connection.protected(), without_progress_bars():
            run = self._run_with_files(version.run_id)
            try:
                path = Path(self.connection.client.download_artifacts(run.info.run_id, f"{REPORTS}/{name}"))
            except (OSError, MlflowException) as error:
                why = why_absent(name, run.data.tags)
                raise PromotionError(
                    f"version {version.number}: its run {run.info.run_id} has no {name}; {why}"
                ) from error
            _refuse_another(path, version, name)
            return path
        raise AssertionError  # a required connection has raised

    def run(self, run_id: str) -> Any:
        """Return the run of this id; None if there is none."""
        with self.connection.protected(), _passing(*_ABSENT):
            return self.connection.client.get_run(run_id)
        return None

    def copied_report(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Copy a report of a run into `folder`, and return its path; None if the run has no such file."""
        from mlflow.exceptions import MlflowException

        with self.connection.protected(), without_progress_bars():
            try:
                run_id = self._run_with_files(run_id).info.run_id
                return Path(self.connection.client.download_artifacts(run_id, f"{REPORTS}/{name}", str(folder)))
            except (OSError, MlflowException):
                return None
        raise AssertionError  # a required connection has raised

    def _run_with_files(self, run_id: str) -> Any:
        """Return the run that replaced this one, by `datspect relog` after its files were lost; else this one."""
        run = self.connection.client.get_run(run_id)
        replaced_by = run.data.tags.get(SUPERSEDED)
        return self.connection.client.get_run(replaced_by) if replaced_by else run

    def run_with_files(self, version: Version) -> str | None:
        """Return the id of the run that holds a version's reports; None if there is no such run here."""
        with self.connection.protected(), _passing(*_ABSENT):
            return str(self._run_with_files(version.run_id).info.run_id) if version.run_id else None
        return None

    def run_tags(self, version: Version) -> dict[str, str]:
        """Return the tags of the run that a version comes from; none if there is no such run here."""
        with self.connection.protected(), _passing(*_ABSENT):
            return dict(self.connection.client.get_run(version.run_id).data.tags) if version.run_id else {}
        return {}

    def set_alias(self, alias: str, version: Version) -> None:
        """Make `alias` name this version."""
        with self.connection.protected():
            self.connection.client.set_registered_model_alias(NAME, alias, version.number)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self.connection.protected():
            for key, value in tags.items():
                self.connection.client.set_model_version_tag(NAME, version.number, key, value)

    def model_tags(self) -> dict[str, str]:
        """Return the tags of the registered model itself."""
        with self.connection.protected():
            return dict(self.connection.client.get_registered_model(NAME).tags)
        return {}

    def set_model_tag(self, key: str, value: str) -> None:
        """Set a tag of the registered model itself."""
        with self.connection.protected():
            self.connection.client.set_registered_model_tag(NAME, key, value)


def _refuse_another(path: Path, version: Version, name: str) -> None:
    expected = version.outputs.get(f"reports/final/{name}")
    if expected and (found := found_md5(path)) != expected:
        raise PromotionError(
            f"version {version.number}: {name} of its run is not the file that it was registered with (MD5 {expected}, "
            f"got {found}); check out its commit, then dvc checkout and datspect relog"
        )


def _version(found: Any) -> Version:
    return Version(str(found.version), dict(found.tags), found.run_id or None, found.source)


@contextmanager
def _passing(*codes: str) -> Iterator[None]:
    """End the block without an error if the store answers with one of these error codes."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise
