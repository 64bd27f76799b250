"""Other programs are asked within a limit, and what is told of this machine names nobody."""

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from datspect.running.programs import NOT_FOUND, TOO_SLOW, Said, ended_with_block, said_by, unnamed


def test_what_a_program_says_is_returned_with_its_code() -> None:
    said = said_by([sys.executable, "-c", "import sys; print('here'); sys.exit('why\\nit failed')"], seconds=20)
    assert (said.code, said.out, said.last_line) == (1, "here\n", "it failed")


def test_a_program_that_is_too_slow_is_ended_with_what_it_started(tmp_path: Path) -> None:
    child = "import time; time.sleep(60)"
    code = (
        f"import subprocess, sys, pathlib; p = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(p.pid)); p.wait()"
    )
    started = time.monotonic()
    said = said_by([sys.executable, "-c", code], seconds=3)
    assert (said.code, said.err) == (TOO_SLOW, "no answer within 3 s")
    assert time.monotonic() - started < 20
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_programs_of_other_threads_end_with_a_block_that_is_left_by_ctrl_c() -> None:
    sleeping = [sys.executable, "-c", "print('awake', flush=True); import time; time.sleep(60)"]
    found: list[Said] = []
    thread = threading.Thread(target=lambda: found.append(said_by(sleeping, seconds=60)))

    @ended_with_block()
    def interrupted() -> None:
        thread.start()
        time.sleep(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    thread.join(20)
    assert not thread.is_alive()
    assert found[0].code < 0


def test_a_program_that_is_not_there_has_a_code_of_its_own() -> None:
    assert said_by(["no-such-program-here"], seconds=1).code == NOT_FOUND


def test_variables_and_folder_are_the_programs(tmp_path: Path) -> None:
    code = "import os; print(os.environ['ONE'], os.getcwd())"
    said = said_by([sys.executable, "-c", code], seconds=20, folder=tmp_path, environment={"ONE": "1"})
    assert said.out.split() == ["1", str(tmp_path.resolve())]


def test_home_user_and_logins_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert unnamed("/home/ann/project") == "~/project"
    assert unnamed("in /home/ann, or /home/anna") == "in ~, or /home/anna"
    assert unnamed("/scratch/ann/cache") == "/scratch/USER/cache"
    assert unnamed("https://ann:token@host/ann/runs") == "https://host/USER/runs"
    assert unnamed("announced") == "announced"


def test_a_home_that_is_the_root_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert unnamed("/data/cohort") == "/data/cohort"
