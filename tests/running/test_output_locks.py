"""One process at a time writes to an output; who is refused learns who that is, and a killed holder holds nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datspect.errors import OutputTakenError
from datspect.io.atomic import replacing
from datspect.running.output_locks import outputs_taken

_HOLDER = """
import pathlib, sys, time
from datspect.running.output_locks import outputs_taken
with outputs_taken([pathlib.Path(path) for path in sys.argv[2:]]):
    print("holds", flush=True)
    time.sleep(float(sys.argv[1]))
"""


def start(*paths: Path, seconds: float = 120) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _HOLDER, str(seconds), *map(str, paths)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def test_who_is_refused_learns_by_whom_since_when_and_what_to_do(tmp_path: Path) -> None:
    with start(tmp_path / "cv") as holder:
        with pytest.raises(OutputTakenError) as refused, outputs_taken([tmp_path / "cv"], seconds=0):
            pass
        holder.kill()
    said = str(refused.value).removeprefix(str(tmp_path))
    assert said.startswith(f"/cv: process {holder.pid} on ")
    assert f"(python{sys.version_info[0]}" in said or "(python" in said
    assert f"writes there since {time.strftime('%Y-%m-%d')}" in said
    assert f"kill {holder.pid}" in said
    assert "start again" in said
    assert sys.prefix not in said


@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL])
def test_a_holder_that_was_killed_holds_nothing(ended: int, tmp_path: Path) -> None:
    with start(tmp_path / "cv", tmp_path / "reports") as holder:
        holder.send_signal(ended)
        holder.wait(20)
    with outputs_taken([tmp_path / "cv", tmp_path / "reports"], seconds=0):
        pass


def test_a_holder_that_is_ending_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "datspect.start")
    with start(tmp_path / "cv", seconds=0.5) as holder, outputs_taken([tmp_path / "cv"], seconds=20):
        assert holder.wait(20) == 0
    assert f"process {holder.pid} on" in caplog.text
    assert "waiting 20 s for its end" in caplog.text


def test_other_outputs_are_free_and_so_is_the_same_one_afterwards(tmp_path: Path) -> None:
    with outputs_taken([tmp_path / "cv"], seconds=0), outputs_taken([tmp_path / "final"], seconds=0):
        pass
    with outputs_taken([tmp_path / "cv"], seconds=0):
        pass


def test_all_or_none_are_taken(tmp_path: Path) -> None:
    with start(tmp_path / "b") as holder:
        with pytest.raises(OutputTakenError), outputs_taken([tmp_path / "a", tmp_path / "b"], seconds=0):
            pass
        with outputs_taken([tmp_path / "a"], seconds=0):
            pass
        holder.kill()


def test_what_a_killed_process_had_not_finished_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder, table = tmp_path / "cv", tmp_path / "splits.csv"
    folder.mkdir()
    left = []
    for path in (folder / "roc.csv", table, tmp_path / "others.csv"):
        with replacing(path) as unfinished:
            path.write_text("whole")
            unfinished.write_text("")
            left.append(unfinished.with_name(unfinished.name.replace(str(os.getpid()), "4711")))
    for file in left:
        file.write_text("half")
    with outputs_taken([folder, table], seconds=0):
        assert [file.exists() for file in left] == [False, False, True]
    assert (folder / "roc.csv").exists()
    assert table.exists()


def test_a_note_that_is_being_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    with start(tmp_path / "cv") as holder:
        (tmp_path / ".unfinished/cv.json").write_text("{")
        with pytest.raises(OutputTakenError, match="another process writes there"), outputs_taken([tmp_path / "cv"], 0):
            pass
        holder.kill()
