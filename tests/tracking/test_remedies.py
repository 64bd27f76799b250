"""Stores that cannot be used as they are, and the commands that their messages end with, run as they stand."""

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.tracking import made_up_results
from tests.tracking.projects import Recorded
from tests.tracking.servers import free_port, tracking_server

from datspect import tracking
from datspect.commands.relog import relog
from datspect.tracking import TrackingError
from datspect.tracking.store import connect

FOLDER_STORE = """
import sys, mlflow
from pathlib import Path
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("datspect")
with mlflow.start_run(run_name="old"):
    mlflow.log_text("hello", "note.txt")
"""


def run_command(line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A line as a person would paste it into a shell."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-euc", line], env=os.environ | {"PATH": path, **environment}, capture_output=True, text=True, check=True
    )


def delete_experiment(recorded: Recorded) -> str:
    identity = str(recorded.client.get_experiment_by_name("datspect").experiment_id)
    recorded.client.delete_experiment(identity)
    return identity


def write_params(project: Path, experiment: str) -> Path:
    text = made_up_results.PARAMS_PATH.read_text(encoding="utf-8")
    assert "experiment: datspect" in text
    path = project / "params.yaml"
    path.write_text(text.replace("experiment: datspect", f"experiment: {experiment}"))
    return path


def statuses(recorded: Recorded) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in recorded.parents()}


def test_a_deleted_experiment_costs_a_warning_that_names_both_ways_out(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    connect("datspect")
    identity = delete_experiment(recorded)
    with tracking.open_run("cv", stage="cv", experiment="datspect") as run:
        assert run.run_id is None
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert warning.startswith(f"the experiment datspect (id {identity}) was deleted in MLflow at sqlite:///")
    assert "`datspect relog` sends it later" in warning
    assert "as tracking.experiment in params.yaml" in warning
    assert warning.endswith(f" mlflow experiments restore --experiment-id {identity}")


@pytest.mark.slow
def test_once_it_is_restored_by_that_command_relog_sends_what_was_missed(project: Path, recorded: Recorded) -> None:
    connect("datspect")
    delete_experiment(recorded)
    made_up_results.write_result(project, "cv")
    with pytest.raises(TrackingError, match="was deleted") as refused:
        relog(params=made_up_results.PARAMS_PATH)
    run_command(str(refused.value).partition("bring it back: ")[2])
    relog(params=made_up_results.PARAMS_PATH)
    assert statuses(recorded) == {"cv": "FINISHED"}


def test_relog_sends_to_the_experiment_that_params_name_now(project: Path, recorded: Recorded) -> None:
    connect("datspect")
    delete_experiment(recorded)
    made_up_results.write_result(project, "cv")
    relog(params=write_params(project, "another"))
    assert statuses(Recorded(project, "another")) == {"cv": "FINISHED"}


@pytest.mark.slow
def test_a_server_says_the_same_and_the_command_takes_its_address_from_the_environment(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracking_server(project, free_port()) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("//", "//ann:secret@"))
        connect("datspect")
        delete_experiment(recorded)
        made_up_results.write_result(project, "cv")
        with pytest.raises(TrackingError, match="was deleted") as refused:
            relog(params=made_up_results.PARAMS_PATH)
        assert "secret" not in str(refused.value)
        command = str(refused.value).partition("bring it back: ")[2]
        assert command.startswith("mlflow experiments restore")
        run_command(command)
        relog(params=made_up_results.PARAMS_PATH)
    assert statuses(recorded) == {"cv": "FINISHED"}


def folder_store(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", FOLDER_STORE, str(folder)], env=os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true"},
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("address", "database"), [("./mlruns", False), ("file:{}/my%20runs", False), ("mlruns", True)])
def test_a_folder_as_store_is_refused_with_the_command_that_takes_its_runs_along(
    empty_project: Path, migrated_database: Path, monkeypatch: pytest.MonkeyPatch, address: str, database: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    address = address.format(empty_project)
    folder_store(empty_project / ("my runs" if "my" in address else "mlruns"))
    if database:
        (empty_project / "mlflow.db").write_bytes(migrated_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with tracking.open_run("cv", stage="cv", experiment="datspect"):
        pass
    (warning,) = [entry.getMessage() for entry in caplog.records]
    command = warning[warning.rindex("export " if database else "unset ") :]
    assert "mlflow migrate-filestore --source" in command
    run_command(command)
    target = shlex.split(command)[-1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", target)
    _, experiment = connect("datspect")
    (run,) = MlflowClient(target).search_runs([experiment])
    assert run.info.run_name == "old"
    assert Path(MlflowClient(target).download_artifacts(run.info.run_id, "note.txt")).read_text() == "hello"
    if database:
        assert (empty_project / "mlflow.db").read_bytes() == migrated_database.read_bytes()


def test_a_folder_without_runs_needs_no_migration(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    message = r"It holds no runs.*: unset MLFLOW_TRACKING_URI$"
    with pytest.raises(TrackingError, match=message), tracking.required_connection("datspect"):
        pass
    assert not (empty_project / "mlruns").exists()


def test_what_the_user_allows_is_left_to_mlflow(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with tracking.open_run("cv", stage="cv", experiment="datspect") as run:
        assert run.run_id is not None


def test_a_complete_run_whose_files_are_gone_is_sent_again_and_replaced(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "datspect")
    made_up_results.write_result(project, "cv")
    relog(params=made_up_results.PARAMS_PATH)
    (first,) = recorded.parents()
    (project / "mlruns" / first.info.run_id / "artifacts/reports/roc.csv").unlink()
    caplog.clear()
    relog(params=made_up_results.PARAMS_PATH)
    assert f"cv: MLflow has run {first.info.run_id}, but cannot open of it: reports/roc.csv" in caplog.text
    assert "MLflow has all of it" not in caplog.text
    (new,) = [run for run in recorded.parents() if run.info.run_id != first.info.run_id]
    assert new.info.status == "FINISHED"
    assert recorded.client.get_run(first.info.run_id).data.tags["datspect.superseded_by"] == new.info.run_id
    relog(params=made_up_results.PARAMS_PATH)
    assert f"cv: MLflow has all of it, as run {new.info.run_id}; nothing sent" in caplog.text
    child = recorded.children(new.info.run_id)[0]
    (output,) = child.outputs.model_outputs
    (project / "mlruns/models" / output.model_id / "artifacts/data/model.keras").write_bytes(b"")
    caplog.clear()
    relog(params=made_up_results.PARAMS_PATH)
    assert f"cannot open of it: model {child.info.run_name}" in caplog.text
    assert len(recorded.parents()) == 3
