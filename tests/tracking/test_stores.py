import subprocess
import sys

import pytest

from datspect.running.addresses import repository_root
from datspect.tracking.environment import quiet_mlflow
from datspect.tracking.store import connect, tracking_uri


def test_importing_tracking_and_recording_imports_neither_mlflow_nor_keras():
    program = """
import sys, datspect.tracking, datspect.training.to_mlflow
sys.exit(bool({'mlflow', 'keras'} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_root_is_the_nearest_folder_with_a_dvc_project(empty_project, monkeypatch):
    below = empty_project / "reports" / "cv"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert repository_root() == empty_project


def test_the_root_is_the_one_that_dvc_names_in_a_throwaway_copy(empty_project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "original"))
    assert repository_root() == tmp_path / "original"


def test_the_default_is_a_database_in_the_root(empty_project):
    assert tracking_uri(empty_project) == f"sqlite:///{empty_project}/mlflow.db"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///runs/all.db", "sqlite:////root/runs/all.db"),
        ("sqlite:////elsewhere/all.db", "sqlite:////elsewhere/all.db"),
        ("sqlite://", "sqlite://"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("databricks", "databricks"),
    ],
)
def test_a_relative_database_is_taken_from_the_root(empty_project, monkeypatch, given, used):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    root = type(empty_project)("/root")
    assert tracking_uri(root) == used


def test_a_relative_database_of_the_environment_is_opened_in_the_root(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    (project / "reports").mkdir()
    monkeypatch.chdir(project / "reports")
    with quiet_mlflow():
        client, experiment_id = connect("datspect")
    assert client.get_experiment(experiment_id).artifact_location == (project / "mlruns").as_uri()
    assert not list((project / "reports").glob("*.db"))


def test_an_experiment_is_created_once(project):
    with quiet_mlflow():
        assert connect("datspect")[1] == connect("datspect")[1]


@pytest.mark.slow
def test_two_processes_may_start_on_a_new_database_at_once(empty_project, start):
    program = "with open_run(sys.argv[0], stage='cv', experiment='datspect') as run: print(run.run_id)"
    processes = [start(program) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [error for _, error in answers] == ["", ""]
    assert len({run_id for run_id, _ in answers} - {"None\n"}) == 2
