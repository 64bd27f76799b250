"""A real tracking server on the loopback device that goes away in the middle of a run."""

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.tracking.projects import Recorded
from tests.tracking.servers import Server, free_port, tracking_server

from datspect import tracking

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Path:
    """The server's folder."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(migrated_database, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Server]:
    with tracking_server(place, free_port()) as server:
        yield server


@pytest.fixture
def server(running: Server, empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
    return running


@pytest.fixture
def recorded(place: Path) -> Recorded:
    """What the server's database holds."""
    return Recorded(place)


def open_cv():
    return tracking.open_run("cv", stage="cv", experiment="datspect")


def test_a_whole_run_reaches_the_server(server, recorded, place, empty_project, rng):
    (empty_project / "table1.csv").write_text("a,b\n")
    loss = rng.random(500)
    with open_cv() as run, run.child("fold-01") as child:
        run.log_files([empty_project / "table1.csv"], folder="tables")
        child.log_history({"loss": loss})
    assert recorded.status() == {"cv": "FINISHED", "fold-01": "FINISHED"}
    assert recorded.history(child.run_id, "loss") == list(enumerate(loss.tolist(), 1))
    assert len(list((place / "files").rglob("tables/table1.csv"))) == 1


# The hanging one goes on afterwards; the dead one is the last.
@pytest.mark.parametrize(("signum", "seconds"), [(signal.SIGSTOP, 45), (signal.SIGKILL, 20)], ids=["hanging", "dead"])
def test_a_server_lost_in_a_run_costs_one_warning_and_seconds(
    server, recorded, empty_project, caplog, capfd, signum, seconds
):
    def lose_the_server() -> float:
        server.send(signum)
        return time.monotonic()

    try:
        with open_cv() as run:
            run.log_metrics({"cv/accuracy_mean": 0.96})
            with run.child("fold-01") as first:
                lost = lose_the_server()
                first.log_history({"loss": np.ones(500)})
                first.log_files([empty_project / "dvc.yaml"])
            with run.child("fold-02") as second:
                second.log_metrics({"accuracy": 1.0})
        assert time.monotonic() - lost < seconds
        for thread in threading.enumerate():
            if thread.name == "SystemMetricsMonitor":
                thread.join(60)
        assert len(caplog.records) == 1
        assert capfd.readouterr() == ("", "")
        assert second.run_id is None
        of_this_run = [recorded.client.get_run(run.run_id), *recorded.children(run.run_id)]
        assert "FINISHED" not in {one.info.status for one in of_this_run}
    finally:
        server.send(signal.SIGCONT)
