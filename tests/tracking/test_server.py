"""A real tracking server on the loopback device that goes away in the middle of a run."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.tracking.servers import Server, free_port, tracking_server

from datspect import tracking

pytestmark = pytest.mark.slow


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with tracking_server(project, free_port()) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
        yield running


def open_cv():
    return tracking.open_run("cv", stage="cv", experiment="datspect")


def test_a_whole_run_reaches_the_server(server, recorded, project, rng):
    (project / "table1.csv").write_text("a,b\n")
    loss = rng.random(500)
    with open_cv() as run, run.child("fold-01") as child:
        run.log_files([project / "table1.csv"], folder="tables")
        child.log_history({"loss": loss})
    assert recorded.status() == {"cv": "FINISHED", "fold-01": "FINISHED"}
    assert recorded.history(child.run_id, "loss") == list(enumerate(loss.tolist(), 1))
    assert len(list((project / "files").rglob("tables/table1.csv"))) == 1


@pytest.mark.parametrize(("signum", "seconds"), [(signal.SIGKILL, 20), (signal.SIGSTOP, 45)], ids=["dead", "hanging"])
def test_a_server_lost_in_a_run_costs_one_warning_and_seconds(
    server, recorded, project, caplog, capfd, signum, seconds
):
    def lose_the_server() -> float:
        server.send(signum)
        return time.monotonic()

    with open_cv() as run:
        run.log_metrics({"cv/accuracy_mean": 0.96})
        with run.child("fold-01") as first:
            lost = lose_the_server()
            first.log_history({"loss": np.ones(500)})
            first.log_files([project / "dvc.yaml"])
        with run.child("fold-02") as second:
            second.log_metrics({"accuracy": 1.0})
    assert time.monotonic() - lost < seconds
    for thread in threading.enumerate():
        if thread.name == "SystemMetricsMonitor":
            thread.join(60)
    assert len(caplog.records) == 1
    assert capfd.readouterr() == ("", "")
    assert second.run_id is None
    assert run.run_id in {recorded_run.info.run_id for recorded_run in recorded.runs()}
    assert "FINISHED" not in recorded.status().values()
