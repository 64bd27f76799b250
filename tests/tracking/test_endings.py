"""Real processes, ended from outside, and real `mlflow run`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ENDLESS = """
with open_run("cv", stage="cv", experiment="datspect") as run, run.child("fold-01"):
    print("started", flush=True)
    time.sleep(300)
"""


def end_with(signum, start):
    process = start(ENDLESS)
    assert process.stdout.readline() == "started\n"
    process.send_signal(signum)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_process_leaves_killed_runs_and_the_usual_exit_status(recorded, start, signum):
    assert end_with(signum, start) == -signum
    assert recorded.status() == {"cv": "KILLED", "fold-01": "KILLED"}


def test_runs_of_a_process_killed_at_once_are_closed_by_the_next(recorded, start):
    assert end_with(signal.SIGKILL, start) == -signal.SIGKILL
    assert recorded.status() == {"cv": "RUNNING", "fold-01": "RUNNING"}
    again = start("with open_run('again', stage='cv', experiment='datspect'): pass")
    assert again.communicate(timeout=60) == ("", "")
    assert recorded.status() == {"cv": "KILLED", "fold-01": "KILLED", "again": "FINISHED"}


def test_mlflow_run_does_not_capture_the_runs_below_it(recorded, project):
    program = (
        "from datspect.tracking import open_run\n\nwith open_run('cv', stage='cv', experiment='datspect') as run:\n"
    )
    (project / "stage.py").write_text(program + "    run.log_metrics({'accuracy': 1.0})\n")
    (project / "MLproject").write_text("name: probe\nentry_points:\n  cv:\n    command: python stage.py\n")
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "1"}
    command = [str(binaries / "mlflow"), "run", ".", "-e", "cv", "--env-manager", "local"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    (run,) = recorded.runs()
    (outer,) = recorded.client.search_runs(["0"])
    assert (run.info.run_name, run.info.status, run.data.metrics) == ("cv", "FINISHED", {"accuracy": 1.0})
    assert run.data.tags["datspect.launched_by"] == outer.info.run_id
    assert (outer.info.status, outer.data.metrics) == ("FINISHED", {})
