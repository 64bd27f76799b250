"""Start a server on a predictor as `datspect serve` does, and watch its processes."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import psutil  # type: ignore[import-untyped]

from attack_parts.wire import HOST
from measuring import BenchmarkError

_START_SECONDS = 240.0
_SAMPLING_SECONDS = 0.1


@contextmanager
def served(predictor: Path, scratch: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Write a version of `predictor` into `scratch`, serve it, and give the server's process and port."""
    from mlflow.models import Model

    from datspect.release.serving import write_served_model

    write_served_model(scratch / "model", predictor, mlflow_model=Model())
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    # What `datspect serve` runs once it has checked a version's files.
    app = [sys.executable, "-m", "datspect.release.scoring_app", str(scratch / "model"), str(port)]
    command = [sys.executable, "-m", "datspect.running.servers", *app]
    with (scratch / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=scratch, stdout=log, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        try:
            _wait(server, port, scratch / "server.log")
            yield psutil.Process(server.pid), port
        finally:
            server.terminate()
            server.wait(60)


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/ping", timeout=2):
            return
        if server.poll() is not None:
            raise BenchmarkError(f"the server ended: {log.read_text('utf-8', 'replace')[-2000:]}")
        time.sleep(0.25)
    raise BenchmarkError(f"the server did not answer within {_START_SECONDS:.0f} s")


class Watch:
    """Notes, until the block ends, the memory of a process and all below it, and which processes those are."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.family = self._family()
        """Those at the start; a worker that is started again is another process."""
        self.start_mb = self._memory_mb()
        self.peak_mb = self.start_mb
        self.end_mb = self.start_mb

    @property
    def n_ended(self) -> int:
        """How many of the processes at the start are gone."""
        return sum(not each.is_running() for each in self.family)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self.end_mb = self._memory_mb()

    def _look(self) -> None:
        while not self._ended.wait(_SAMPLING_SECONDS):
            self.peak_mb = max(self.peak_mb, self._memory_mb())

    def _family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def _memory_mb(self) -> int:
        total = 0
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
        return total // 2**20
