"""Real processes, ended from outside."""

import signal

import pytest

from datspect import tracking

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
    with tracking.open_run("again", stage="cv", experiment="datspect"):
        pass
    assert recorded.status() == {"cv": "KILLED", "fold-01": "KILLED", "again": "FINISHED"}
