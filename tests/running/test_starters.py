"""A program ends with DVC, make or a program of ours that started it, and with nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from datspect.running.starters import is_shell_at_a_task, program, starters

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and shells are those of POSIX")

_PROGRAM = """
import pathlib, sys, time
from datspect.running.launch import launch
def main(folder: pathlib.Path) -> None:
    try:
        (folder / "begun").write_text("")
        time.sleep(120)
        (folder / "done").write_text("")
    except BaseException as error:
        (folder / "ended").write_text(type(error).__name__)
        raise
launch(main)
"""
_STARTER = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.fixture
def started() -> Iterator[list[psutil.Process]]:
    """Processes to end after the test, with all below them."""
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait(20)


def start(folder: Path, started: list[psutil.Process], *names: str, shell: bool = False) -> list[psutil.Process]:
    """Start programs of these names, each by the one before and the last one the program; return all, that last."""
    (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
    command = [sys.executable, str(folder / "program.py"), str(folder)]
    if shell:
        command = ["sh", "-c", '"$@"; true', "sh", *command]  # the shell stays, since it has more to do
    for name in reversed(names):
        (folder / name).write_text(_STARTER, encoding="utf-8")
        command = [sys.executable, str(folder / name), *command]
    path = os.pathsep.join(sys.path)
    first = psutil.Popen(command, env=os.environ | {"PYTHONPATH": path})
    wait_until(lambda: (folder / "begun").exists())
    family = [first, *first.children(recursive=True)]
    started += family
    return family


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    ("names", "shell"), [(("dvc",), False), (("dvc",), True), (("make", "dvc"), False), (("make", "dvc"), True)]
)
def test_it_ends_in_order_with_the_first_of_those_who_wait_for_it(
    names: tuple[str, ...], shell: bool, signum: int, tmp_path: Path, started: list[psutil.Process]
) -> None:
    family = start(tmp_path, started, *names, shell=shell)
    family[0].send_signal(signum)
    _, alive = psutil.wait_procs(family[-1:], timeout=20)
    assert not alive
    assert (tmp_path / "ended").read_text("utf-8") == "Stopped"
    assert not (tmp_path / "done").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["terminal", "timeout"])
def test_it_outlives_whoever_does_not_wait_for_it(name: str, tmp_path: Path, started: list[psutil.Process]) -> None:
    family = start(tmp_path, started, name)
    family[0].kill()
    time.sleep(2)
    assert family[-1].is_running()
    assert not (tmp_path / "ended").exists()


def test_a_parent_that_ended_before_it_was_looked_at_is_noticed() -> None:
    """A parent that is gone sends no signal, so the look at it comes after the signal was asked for."""
    with subprocess.Popen(
        [sys.executable, "-c", _LATE], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as late:
        assert late.wait(20) == -signal.SIGTERM


_LATE = """
import time
from types import SimpleNamespace
import psutil
from datspect.running import starters
def gone(): raise psutil.NoSuchProcess(4711)
parent = SimpleNamespace(pid=4711, cmdline=lambda: ["dvc", "repro"], is_running=lambda: False, status=gone)
starters.psutil.Process.parents = lambda self: [parent]
starters.end_with_starters()
time.sleep(60)
"""


class Pretended:
    def __init__(self, *command: str) -> None:
        self.command = command

    def cmdline(self) -> list[str]:
        if not self.command:
            raise psutil.AccessDenied
        return list(self.command)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([("python", "-m", "dvc", "repro"), ("bash",), ("make",)], [0]),  # a terminal under make is a person's
        ([("fish", "--no-config", "-c", "python x"), ("python", "/bin/dvc", "repro"), ("make", "repro")], [0, 1, 2]),
        ([("/bin/sh", "scripts/serve", "5001"), ("gmake", "serve")], [0, 1]),
        ([("bash", "-c", "python x"), ("sshd",)], []),
        ([("-bash",), ("sshd",)], []),
        ([("python", "train.py")], []),
        ([(), ("make",)], []),  # another user's
        ([("python3", "-m", "datspect.stages.cv"), ("bash", "-l")], [0]),
        ([], []),
    ],
)
def test_starters_are_the_nearest_programs_that_wait(parents: list[tuple[str, ...]], expected: list[int]) -> None:
    pretended = [Pretended(*command) for command in parents]
    assert starters(pretended) == [pretended[place] for place in expected]  # type: ignore[comparison-overlap]


def test_command_lines_are_read_as_the_system_gives_them() -> None:
    assert program([]) == ""
    assert program(["python", "-u", "-m", "dvc.something", "repro"]) == "dvc"
    assert program(["python3.11", "-c", "import dvc"]) == "python3.11"
    assert program(["C:/venv/Scripts/dvc.exe", "repro"]) == "dvc"
    assert not is_shell_at_a_task([])
    assert not is_shell_at_a_task(["zsh", "-l", "-i"])
    assert is_shell_at_a_task(["/usr/bin/bash", "--noprofile", "--norc", "-c", "x"])
