"""Kill DVC, a stage or both, start again with another parameter: the second result stands, and the first is gone."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from tests.stages.conftest import Inputs

from datspect.io.tables import read_table, write_table

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]

_STAGES = """
stages:
  cv:
    cmd: python -m datspect.stages.cv images features backbone splits.csv models/cv reports/cv
    deps: [features]
    params: [training.epochs]
    outs: [models/cv, reports/cv]
  final:
    cmd: python -m datspect.stages.final images features backbone splits.csv models/final reports/final
    deps: [features]
    params: [training.epochs]
    outs: [models/final, reports/final]
  checks:
    cmd: python -m datspect.stages.checks images features splits.csv cameras.csv reports/checks
    deps: [features]
    params: [checks.permuted_epochs]
    outs: [reports/checks]
"""
_PARAMETER = {"cv": ("training", "epochs"), "final": ("training", "epochs"), "checks": ("checks", "permuted_epochs")}
"""What says how long a stage trains."""
_SECONDS = 240  # on a busy machine


class Project:
    """A repository of DVC whose stages train on made-up features."""

    def __init__(self, inputs: Inputs, stage: str) -> None:
        self.inputs, self.root, self.stage = inputs, inputs.root, stage
        self.reports = self.root / "reports" / stage
        (self.root / "dvc.yaml").write_text(_STAGES, encoding="utf-8")
        subjects = read_table(self.root / "images/subjects.csv")
        numbers = range(len(subjects))
        about = {
            "sex": ["female", "male"] * (len(subjects) // 2),
            "age": [60.0 + n % 7 for n in numbers],
            "site": "one",
        }
        write_table(self.root / "images/subjects.csv", subjects.assign(**about))
        self.dvc("init", "--no-scm", "-q").communicate(timeout=_SECONDS)

    def dvc(self, *words: str) -> psutil.Popen:
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), ours.get("PATH", "")])
        environment = ours | {"PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), "DVC_NO_ANALYTICS": "1"}
        return psutil.Popen(
            [sys.executable, "-m", "dvc", *words],
            cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def trained_for(self, n_epochs: int) -> psutil.Popen:
        """Start DVC on the stage."""
        section, name = _PARAMETER[self.stage]
        self.inputs.change(**{section: {name: n_epochs}})
        return self.dvc("repro", "-s", self.stage)

    def at_work(self, dvc: psutil.Popen) -> psutil.Process:
        """Wait for the process of the stage to be in its training."""
        deadline = time.monotonic() + _SECONDS
        note = self.reports.parent / f".unfinished/{self.stage}.json"
        while not (note.exists() and (self.stage == "checks" or self.statuses() == ["RUNNING"])):
            assert dvc.poll() is None, dvc.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (process,) = (one for one in dvc.children(recursive=True) if f"datspect.stages.{self.stage}" in one.cmdline())
        time.sleep(5)
        return process

    def statuses(self) -> list[str]:
        """States of the stage's runs, children left out, sorted."""
        query = (
            "SELECT status FROM runs WHERE run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
        )
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self.root / "mlflow.db")) as connection:
            return sorted(status for (status,) in connection.execute(query))
        return []

    def outputs(self) -> dict[Path, bytes]:
        folders = [self.reports, self.root / "models" / self.stage]
        return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def started() -> Iterator[list[psutil.Process]]:
    """Processes that must not outlive a test that failed."""
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize(
    ("stage", "killed", "signum"),
    [
        pytest.param("cv", "dvc", signal.SIGTERM, marks=pytest.mark.long),
        ("cv", "dvc", signal.SIGKILL),
        pytest.param("cv", "stage", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("cv", "stage", signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("cv", "tree", signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("final", "dvc", signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("checks", "dvc", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_the_second_start_has_the_last_word(
    stage: str, killed: str, signum: int, inputs: Inputs, started: list[psutil.Process]
) -> None:
    project = Project(inputs, stage)
    dvc = project.trained_for(200_000)
    process = project.at_work(dvc)
    started += [dvc, process]
    family = {"dvc": [dvc], "stage": [process], "tree": [dvc, *dvc.children(recursive=True)]}[killed]
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signum)
    dvc.wait(_SECONDS)
    second = project.trained_for(4)
    output, _ = second.communicate(timeout=_SECONDS)
    assert second.returncode == 0, output
    dvc.communicate(timeout=_SECONDS)
    written = project.outputs()
    assert written
    assert not process.is_running()  # what does not run writes nothing
    time.sleep(3)
    assert project.outputs() == written
    assert not list(project.root.rglob("*-unfinished-*"))
    if stage != "checks":
        assert len(read_table(project.reports / "history.csv")["epoch"].unique()) == 4
        assert project.statuses() == ["FINISHED", "KILLED"]
