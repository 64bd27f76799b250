"""End this process with the program that started it: DVC, make, `mlflow run` or `datspect`, and nobody else.

Such a program waits for what it starts and uses what comes of it. Once it is gone, nobody wants the result, and the
next start would write the same files at the same time. A process that a person started belongs to that person's
terminal, to nohup or to setsid, as any other.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import psutil  # type: ignore[import-untyped]

STARTERS = ("dvc", "make", "gmake", "mlflow", "datspect")
"""Programs that wait for what they start."""

_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SECONDS_BETWEEN_LOOKS = 0.5

log = logging.getLogger("datspect.start")


def end_with_starters() -> None:
    """Let SIGTERM end this process when one of the programs that started it ends, however that ends.

    On Linux the kernel sends the signal at the end of the parent. It looks at the parent's thread that started this
    process; each of the starters waits in that thread. A thread of our own watches everywhere, and what is above the
    parent: a shell that DVC starts may stay between the two, and make may have started DVC.
    """
    parent, above = os.getppid(), starters(psutil.Process().parents())
    if not above:
        return
    if above[0].pid == parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # The thread looks at once: a parent that ended before the line above was reached sends no signal.
    threading.Thread(target=_end_with, args=(above,), daemon=True).start()


def starters(parents: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return `parents`, the nearest first, as far as each is one of `STARTERS` or a shell at a task for one of them."""
    found: list[psutil.Process] = []
    shells: list[psutil.Process] = []
    for process in parents:
        try:
            command = process.cmdline()
        except psutil.Error:  # ended, or another user's
            break
        if program(command) in STARTERS:
            found += [*shells, process]
            shells = []
        elif is_shell_at_a_task(command):
            shells.append(process)
        else:
            break
    return found


def program(command: Sequence[str]) -> str:
    """Return the name of the program that a command line runs, through Python too.

    >>> program(["/usr/bin/python3", "-m", "dvc", "repro"]), program(["python", "/venv/bin/dvc", "repro"])
    ('dvc', 'dvc')
    >>> program(["make", "repro"]), program(["/usr/bin/python3"])
    ('make', 'python3')
    """
    names = [PurePath(word).stem if word.endswith(".exe") else PurePath(word).name for word in command]
    if len(command) > 1 and names[0].startswith("python"):
        for place, word in enumerate(command[1:], start=1):
            if word in ("-m", "-c"):
                return command[place + 1].partition(".")[0] if word == "-m" and place + 1 < len(command) else names[0]
            if not word.startswith("-"):
                return names[place]
    return names[0] if names else ""


def is_shell_at_a_task(command: Sequence[str]) -> bool:
    """Return whether a command line is a shell with a command or a script to run, not somebody's terminal.

    >>> is_shell_at_a_task(["/bin/sh", "-c", "python x.py"]), is_shell_at_a_task(["-bash"])
    (True, False)
    """
    return bool(command) and PurePath(command[0]).name in _SHELLS and any(word[:1] != "-" for word in command[1:])


def _end_with(above: Sequence[psutil.Process]) -> None:
    while all(map(_lives, above)):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    ended = next(process for process in above if not _lives(process))
    log.warning("process %d, which started this one, has ended; this one ends too", ended.pid)
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # also out of a wait
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that has ended may wait for its own parent to take note."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
