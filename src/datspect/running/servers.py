"""Run a server, and end it with everything that it has started when this program ends, however that ends.

`python -m datspect.running.servers mlflow ui --port 5000` is for scripts. A server such as MLflow's starts others,
which do not notice that it is gone; a process of our own outside of them does.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psutil  # type: ignore[import-untyped]

from datspect.running.launch import with_clear_errors

_SECONDS_TO_END = 10.0


def serve(command: Sequence[str]) -> int:
    """Run `command` until it ends and return its exit code; what it has started ends with it or with this process."""
    tell_guard = _guard() if hasattr(os, "fork") else None
    with subprocess.Popen(command, start_new_session=True) as server:  # noqa: S603  (our own scripts' commands)
        if tell_guard is not None:
            os.write(tell_guard, f"{server.pid}\n".encode())
        try:
            return server.wait()
        finally:
            end_family(server.pid)


def end_family(leader: int) -> None:
    """End a session and all below its leader: in order if they can in some seconds, otherwise at once."""
    family = list(_family(leader))
    _signal(family, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=_SECONDS_TO_END)
    _signal(alive, getattr(signal, "SIGKILL", signal.SIGTERM))


def _family(leader: int) -> Iterator[psutil.Process]:
    """Yield the leader of a session, what is below it, and what stays in the session after its end."""
    try:
        below = {process.pid for process in psutil.Process(leader).children(recursive=True)}
    except psutil.NoSuchProcess:
        below = set()
    for process in psutil.process_iter():
        with suppress(OSError):  # it has just ended
            if process.pid in below or os.getsid(process.pid) == leader:
                yield process


def _signal(processes: Sequence[psutil.Process], signum: int) -> None:
    for process in processes:
        try:
            process.send_signal(signum)
        except psutil.NoSuchProcess:
            continue


def _guard() -> int:
    """Start a process that ends a server once this one is gone; return where to write the server's id."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(reading)
        return writing
    try:
        os.close(writing)
        os.setsid()  # a signal to the terminal's or the scheduler's group is not for it
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN)
        with os.fdopen(reading) as told:
            pid = told.readline()
            told.read()  # returns when the other end closes
        if pid:
            end_family(int(pid))
    finally:
        os._exit(0)


if __name__ == "__main__":
    with_clear_errors(lambda: sys.exit(serve(sys.argv[1:])))
