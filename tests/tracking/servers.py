"""A real tracking server on the loopback device, which can be killed and started again on the same store."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Server:
    def __init__(self, process: subprocess.Popen, uri: str) -> None:
        self.process = process
        self.uri = uri

    def send(self, signum: int) -> None:
        os.killpg(self.process.pid, signum)  # the server and its workers, in a session of their own


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def tracking_server(project: Path, port: int, store: str | None = None) -> Iterator[Server]:
    """Start a server with files in `project`, and runs in its mlflow.db or in the database `store`."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    backend = ["--backend-store-uri", store or f"sqlite:///{project}/mlflow.db"]
    files = ["--artifacts-destination", str(project / "files")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # no background workers: starts sooner
    with (project / "server.log").open("ab") as output:
        process = subprocess.Popen(
            [*command, *backend, *files], stdout=output, stderr=output, start_new_session=True, env=environment
        )
    running = Server(process, f"http://127.0.0.1:{port}")
    try:
        _wait_until_up(running.uri)
        yield running
    finally:
        if process.poll() is None:
            running.send(signal.SIGKILL)
        process.wait()


def _wait_until_up(uri: str) -> None:
    for _ in range(720):
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
        except OSError:
            time.sleep(0.25)
        else:
            return
    raise TimeoutError(f"{uri} does not answer")
