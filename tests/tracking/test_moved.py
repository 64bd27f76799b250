"""Repositories that were moved or copied with their MLflow, in whole or in part."""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from tests.sharing import built_once
from tests.tracking.projects import new_project
from tests.tracking.stores import WEIGHTS, fill, listing, mentions

from datspect import tracking
from datspect.tracking import TrackingError, moved
from datspect.tracking.moved import ADDRESSES, follow_repository
from datspect.tracking.remedies import UnusableStoreError

NO_ADDRESSES = {
    "assessments.source_id", "assessments.source_type", "datasets.dataset_source", "datasets.dataset_source_type",
    "evaluation_dataset_records.source", "evaluation_dataset_records.source_id",
    "evaluation_dataset_records.source_type", "experiments.lifecycle_stage", "inputs.source_id", "inputs.source_type",
    "entity_associations.source_id", "entity_associations.source_type", "issues.root_causes", "issues.source_run_id",
    "logged_models.source_run_id", "mcp_access_endpoints.url", "mcp_server_versions.source", "model_versions.run_link",
    "endpoint_bindings.resource_id", "endpoint_bindings.resource_type", "runs.source_name", "runs.source_type",
    "runs.source_version", "webhooks.url",
}  # fmt: skip
"""Columns of MLflow that sound like an address and lead to no folder that it opens."""


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Path:
    """A folder `a project` with a filled MLflow, to copy."""

    def build(folder: Path) -> None:
        here = Path.cwd()
        with pytest.MonkeyPatch.context() as patch:
            root = new_project(folder, patch)
            shutil.copyfile(migrated_database, root / "mlflow.db")
            fill(root)
        os.chdir(here)

    return built_once(tmp_path_factory, "filled", build) / "a project"


@pytest.fixture
def original(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of the test's own that holds its MLflow, as the current folder."""
    root = new_project(tmp_path, monkeypatch)
    shutil.copytree(filled, root, dirs_exist_ok=True)
    follow_repository(root / "mlflow.db", root)
    return root


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def the_run(root: Path) -> Any:
    client = client_of(root)
    (run,) = client.search_runs([client.get_experiment_by_name("datspect").experiment_id])
    return run


def record(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One more run with a file, in the repository."""
    monkeypatch.chdir(root)
    with tracking.open_run("again", stage="cv", experiment="datspect") as run:
        run.log_files([root / "roc.csv"], "reports")
    return str(run.run_id)


def assert_files_open(root: Path) -> None:
    client, run = client_of(root), the_run(root)
    assert run.info.artifact_uri == (root / "mlruns" / run.info.run_id / "artifacts").as_uri()
    assert Path(client.download_artifacts(run.info.run_id, "reports/roc.csv")).read_text() == "1,2\n"
    (output,) = run.outputs.model_outputs
    for source in (f"models:/{output.model_id}", "models:/datspect/1", "models:/datspect/2"):
        folder = Path(download_artifacts(source, tracking_uri=client.tracking_uri))
        assert folder.is_relative_to(root / "mlruns")
        assert (folder / "data/model.keras").read_bytes() == WEIGHTS


def folders(root: Path) -> list[Path]:
    """Where the database says that the files of runs and models are."""
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        tables = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))
        rows = [row for table, column in tables for row in connection.execute(f"select {column} from {table}")]
    return [Path(unquote(urlsplit(address).path)) for (address,) in rows]


names = st.text(st.sampled_from("ab -_.%#+&ü@'"), min_size=1, max_size=12).filter(lambda name: name.strip(" .") != "")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(journey=st.lists(names | st.just("mlruns"), min_size=1, max_size=3, unique=True), copied=st.booleans())
def test_after_a_move_no_column_of_any_table_names_the_old_place(
    filled: Path, journey: list[str], copied: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "first" / "home"
        shutil.copytree(filled, place)
        follow_repository(place / "mlflow.db", place)
        n_mentioned = len(mentions(place / "mlflow.db", place))
        assert n_mentioned >= len({table for table, _ in ADDRESSES}) - 1  # workspaces has no rows
        for number, name in enumerate(journey):
            old, place = place, Path(folder) / f"stop {number}" / name
            shutil.copytree(old, place)
            if not copied:
                shutil.rmtree(old)
            follow_repository(place / "mlflow.db", place)
            assert mentions(place / "mlflow.db", old) == {}
            assert len(mentions(place / "mlflow.db", place)) == n_mentioned
            if copied:
                assert mentions(old / "mlflow.db", place) == {}
                assert len(mentions(old / "mlflow.db", old)) == n_mentioned
            assert [path.is_dir() for path in folders(place)] == [True, True]


def test_every_column_of_mlflow_that_sounds_like_an_address_is_known(original: Path) -> None:
    words = ("location", "uri", "url", "root", "source", "path", "storage", "artifact")
    with closing(sqlite3.connect(original / "mlflow.db")) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        columns = {
            f"{table}.{row[1]}" for table in tables for row in connection.execute(f"pragma table_info('{table}')")
        }
    sounding = {column for column in columns if any(word in column.partition(".")[2] for word in words)}
    followed = {f"{table}.{column}" for table, column in ADDRESSES}
    assert followed <= columns
    assert sounding - followed <= NO_ADDRESSES


def test_a_copy_says_so_once_and_never_touches_what_it_was_copied_from(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "datspect")
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    before = listing(original)
    new = record(copy, monkeypatch)
    record(copy, monkeypatch)
    (said,) = [entry.getMessage() for entry in caplog.records]
    assert said == (
        f"this repository was moved or copied: its MLflow now reads and writes {copy}/mlruns, no more {original}/mlruns"
    )
    assert (copy / "mlruns" / new / "artifacts/reports/roc.csv").is_file()
    assert listing(original) == before


def test_a_store_of_an_earlier_release_without_a_mark_follows_its_files(original: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(original / "mlflow.db")) as connection, connection:
        connection.execute("drop table datspect_repository")
        connection.execute("update experiments set artifact_location = 'mlflow-artifacts:/0' where experiment_id = 0")
    moved_to = original.rename(tmp_path / "moved")
    follow_repository(moved_to / "mlflow.db", moved_to)
    assert mentions(moved_to / "mlflow.db", original) == {}
    assert_files_open(moved_to)


def test_a_database_copied_without_files_writes_here_and_says_what_is_missing(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("dvc.yaml", "mlflow.db", "roc.csv"):
        shutil.copy(original / name, copy)
    before = listing(original)
    run = record(copy, monkeypatch)
    assert "the files of 2 runs and models are not here: copy that folder as well" in caplog.text
    assert (copy / "mlruns" / run / "artifacts/reports/roc.csv").is_file()
    shutil.copytree(original / "mlruns", copy / "mlruns", dirs_exist_ok=True)
    client_of(copy).delete_run(run)
    assert_files_open(copy)
    assert listing(original) == before


def test_artifacts_that_were_put_elsewhere_on_purpose_stay_there(original: Path, tmp_path: Path) -> None:
    client, disk = client_of(original), tmp_path / "disk/mlruns"
    experiment = client.create_experiment("large", artifact_location=disk.as_uri())
    run = client.create_run(experiment)
    client.log_artifact(run.info.run_id, str(original / "roc.csv"))
    cloud = client.create_experiment("cloud", artifact_location="s3://bucket/mlruns/1")
    moved_to = original.rename(tmp_path / "moved")
    follow_repository(moved_to / "mlflow.db", moved_to)
    client = client_of(moved_to)
    assert client.get_experiment(experiment).artifact_location == disk.as_uri()
    assert client.get_run(run.info.run_id).info.artifact_uri == run.info.artifact_uri
    assert client.get_experiment(cloud).artifact_location == "s3://bucket/mlruns/1"
    assert_files_open(moved_to)


def test_a_database_that_several_share_follows_only_what_is_gone(original: Path, tmp_path: Path) -> None:
    shared, other = tmp_path / "shared.db", tmp_path / "other"
    shutil.copy(original / "mlflow.db", shared)
    shutil.copytree(original, other)
    follow_repository(shared, other)
    assert mentions(shared, other) == {}, "the files are there and in use"
    moved_to = original.rename(tmp_path / "moved")
    follow_repository(shared, tmp_path / "without files")
    assert mentions(shared, tmp_path / "without files") == {}
    follow_repository(shared, moved_to)
    assert "runs.artifact_uri" in mentions(shared, moved_to)


def test_another_way_to_the_same_place_changes_nothing(original: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(original)
    before = mentions(original / "mlflow.db", original)
    follow_repository(tmp_path / "link/mlflow.db", tmp_path / "link")
    after = mentions(original / "mlflow.db", original)
    assert {key: after[key] for key in before if not key.startswith("datspect")} == {
        key: value for key, value in before.items() if not key.startswith("datspect")
    }


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Root may write to everything; SQLite itself refuses."""
    connect = sqlite3.connect

    def connect_to_read(database: Any, **options: Any) -> sqlite3.Connection:
        return connect(f"{Path(database).as_uri()}?mode=ro", uri=True, **options)

    monkeypatch.setattr(moved.sqlite3, "connect", connect_to_read)
    yield
    monkeypatch.setattr(moved.sqlite3, "connect", connect)


def test_a_database_that_cannot_be_written_is_an_error_only_when_it_must_be(
    original: Path, read_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_repository(original / "mlflow.db", original)
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    with pytest.raises(UnusableStoreError, match=r"still names .*/a project/mlruns for its files and cannot be"):
        follow_repository(copy / "mlflow.db", copy)
    monkeypatch.chdir(copy)
    with pytest.raises(TrackingError, match="Make it writable once"), tracking.required_connection("datspect"):
        pass


@pytest.mark.slow
def test_two_processes_may_come_first_to_a_moved_repository(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    moved_to = original.rename(tmp_path / "moved")
    monkeypatch.chdir(moved_to)
    program = """
from pathlib import Path
with open_run("again", stage="cv", experiment="datspect") as run:
    run.log_files([Path("roc.csv")], "reports")
print(run.run_id)
"""
    answers = [process.communicate(timeout=120) for process in [start(program) for _ in range(2)]]
    for answer, said in answers:
        assert said == ""
        assert (moved_to / "mlruns" / answer.strip() / "artifacts/reports/roc.csv").is_file()
    assert not original.exists()
    assert mentions(moved_to / "mlflow.db", original) == {}
