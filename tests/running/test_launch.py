"""A program says errors as one message, and a signal unwinds what is at work before it ends the program."""

import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from datspect.errors import DatspectError
from datspect.io.tables import write_table
from datspect.running.launch import launch, with_clear_errors

_PROGRAM = """
import os, pathlib, signal, sys, time
from datspect.errors import CohortError
from datspect.io.atomic import replacing
from datspect.running.launch import launch
from datspect.running.pool import unordered

def wait(seconds):
    time.sleep(seconds)

def main(what: str, folder: pathlib.Path) -> None:
    if what == "close":
        folder.mkdir()
        try:
            print("begun", flush=True)
            time.sleep(60)
        finally:
            print("closing", flush=True)
            time.sleep(1)
            (folder / "closed").touch()
    if what == "fail":
        raise CohortError("nothing there")
    with replacing(folder / "table.csv") as unfinished:
        unfinished.write_text("half")
        if what == "share":
            print("begun", flush=True)
            list(unordered(wait, [60, 60], 2))
        print("begun", flush=True)
        time.sleep(60)

launch(main, "folder")
"""


def start(folder: Path, what: str) -> "subprocess.Popen[str]":
    (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
    command = [sys.executable, str(folder / "program.py"), what, str(folder / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_an_error_is_one_message(tmp_path: Path) -> None:
    with start(tmp_path, "fail") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == "error: nothing there\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("what", "signum"), [("wait", signal.SIGTERM), ("wait", signal.SIGHUP), ("share", signal.SIGTERM)]
)
def test_a_signal_leaves_nothing_unfinished_and_the_usual_exit_status(what: str, signum: int, tmp_path: Path) -> None:
    with start(tmp_path, what) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert len(list((tmp_path / "out").iterdir())) == 1
        process.send_signal(signum)
        _, said = process.communicate(timeout=30)
    assert process.returncode == -signum
    assert said == ""
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_second_signal_does_not_break_off_what_the_first_one_lets_close(tmp_path: Path) -> None:
    with start(tmp_path, "close") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "closing\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert (tmp_path / "out/closed").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_nobody_else_may_write_to_what_a_program_names(tmp_path: Path) -> None:
    with start(tmp_path, "wait") as first:
        assert first.stdout is not None
        first.stdout.readline()
        with start(tmp_path, "wait") as second:
            _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"process {first.pid} on" in said.splitlines()[-1]
        first.kill()


def ended_by(error: BaseException) -> str:
    def app() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        with_clear_errors(app)
    return str(end.value.code)


def test_an_error_of_ours_is_its_message() -> None:
    assert ended_by(DatspectError("scan 7: no\n  second\x1b[2J line")) == "error: scan 7: no\n  second\\x1b[2J line"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line(code: int) -> None:
    said = ended_by(OSError(code, "No room", "data/splits.csv"))
    assert said.startswith("error: No room (data/splits.csv);")
    assert "\n" not in said


def test_another_error_of_the_system_is_not_hidden() -> None:
    with pytest.raises(PermissionError):
        with_clear_errors(lambda: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))


def test_a_table_that_finds_no_room_leaves_nothing_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "splits.csv"
    write_table(path, pd.DataFrame({"a": [1]}))
    before = path.read_bytes()

    def full(self: pd.DataFrame, target: object, **_options: object) -> None:
        Path(str(target)).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space left"):
        write_table(path, pd.DataFrame({"a": [2]}))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["splits.csv"]


def test_log_lines_do_not_steer_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr("sys.argv", ["stage"])

    def main() -> None:
        logging.getLogger("datspect.test").warning("scan %s is bad", "a\x1b[2Jb")

    with pytest.raises(SystemExit):
        launch(main)
    assert capsys.readouterr().err == "scan a\\x1b[2Jb is bad\n"
