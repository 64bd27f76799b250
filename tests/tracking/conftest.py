"""A project folder of its own for every test, with a database that is already migrated."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from datspect.tracking.environment import quiet_mlflow
from datspect.tracking.store import connect

Start = Callable[..., "Popen[str]"]

# A shell that starts the tests in the background makes them ignore Ctrl-C, and the programs would inherit that.
_PROGRAM_START = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from datspect.tracking import open_run
"""


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_", "DATSPECT_")):
            monkeypatch.delenv(name)
    # Set and removed: what a test leaves in these is undone afterwards.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "DATSPECT_LAUNCHED_BY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch, quiet_mlflow():
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        connect("template")
    return folder / "mlflow.db"


@pytest.fixture
def empty_project(tmp_path: Path, clean_environment: pytest.MonkeyPatch) -> Path:
    """A repository root without a database, as the current folder."""
    root = tmp_path / "a project"
    root.mkdir()
    (root / "dvc.yaml").write_text("stages: {}\n")
    clean_environment.chdir(root)
    return root


@pytest.fixture
def project(empty_project: Path, migrated_database: Path) -> Path:
    shutil.copyfile(migrated_database, empty_project / "mlflow.db")
    return empty_project


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python programs, in a fresh process each; none outlives the test."""
    processes: list[Popen[str]] = []

    def start_program(program: str) -> "Popen[str]":
        process = Popen([sys.executable, "-c", _PROGRAM_START + program], stdout=PIPE, stderr=PIPE, text=True)
        processes.append(process)
        return process

    yield start_program
    for process in processes:
        process.kill()
        process.communicate()


class Recorded:
    """What the project's database holds."""

    def __init__(self, root: Path, experiment: str = "datspect") -> None:
        import mlflow

        self.client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
        self.experiment = experiment

    def runs(self, condition: str = "") -> list:
        experiment = self.client.get_experiment_by_name(self.experiment)
        return list(self.client.search_runs([experiment.experiment_id], condition, order_by=["start_time ASC"]))

    def by_name(self) -> dict:
        return {run.info.run_name: run for run in self.runs()}

    def status(self) -> dict[str, str]:
        return {run.info.run_name: run.info.status for run in self.runs()}

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        return sorted((m.step, m.value) for m in self.client.get_metric_history(run_id, key))


@pytest.fixture
def recorded(project: Path) -> Recorded:
    return Recorded(project)
