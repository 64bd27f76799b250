"""A bounded load test of the served model on the loopback device: requests a second, latencies, memory over time.

Starts `mlflow models serve` on a registered version, sends one scan a request from a few clients for some minutes, with
bodies that must be refused among them, and ends the server.

    python benchmarks/serving.py [--minutes 10] [--clients 4] [--model datspect@champion] [--quick]
        [--json FILE] [--into PAGE]

Needs a registered version (`datspect register`); traffic goes to 127.0.0.1 alone.
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from datspect.running.addresses import repository_root
from datspect.tracking.store import tracking_uri
from measuring import BenchmarkError, page_parser, publish

VOLUMES = Path("data/phantom/cohort/volumes")
MEMORY_SECONDS = 5.0
BAD_SHARE = 20
"""One request in so many is a body that must be refused."""


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--model", default="datspect@champion")
    arguments = parser.parse_args()
    minutes = 0.3 if arguments.quick else arguments.minutes
    result = load_test(arguments.model, minutes, arguments.clients)
    text = (
        f"{result['n']} answers in {minutes:g} min from {arguments.clients} clients: {result['per_second']:.1f}/s; "
        f"p50 {result['p50']:.2f} s, p95 {result['p95']:.2f} s, p99 {result['p99']:.2f} s; "
        f"{result['n_refused']} bad bodies refused with 4xx, {result['n_wrong']} answers of another kind; "
        f"memory {result['memory_mb'][0]:,} MB at the start, {result['memory_mb'][-1]:,} MB at the end, "
        f"at most {max(result['memory_mb']):,} MB."
    )
    publish(arguments, [text], result)


def load_test(model: str, minutes: float, n_clients: int) -> dict[str, Any]:
    """Start, load, measure, end."""
    scans = sorted(VOLUMES.glob("*.nii"))[:32]
    if not scans:
        raise BenchmarkError(f"{VOLUMES}: no scans; run `dvc repro` first")
    good = [_body(path.read_bytes()) for path in scans]
    bad = [b"{", _body(b"no scan"), _body(scans[0].read_bytes()[:9999]), _body(bytes(2 << 20))]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["datspect", "serve", re.split("[@/]", model)[-1]]
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri(repository_root())}
    server = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _wait(server, port)
        for body in good[:4]:
            _ask(port, body)  # compiles what is compiled once
        return _under_load(server, port, good, bad, minutes * 60, n_clients)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _under_load(
    server: "subprocess.Popen[bytes]", port: int, good: list[bytes], bad: list[bytes], duration: float, n_clients: int
) -> dict[str, Any]:
    ends = time.monotonic() + duration
    latencies: list[float] = []
    statuses: list[tuple[bool, int]] = []

    def client(number: int) -> None:
        turn = number
        while time.monotonic() < ends:
            turn += 1
            is_bad = turn % BAD_SHARE == 0
            started = time.perf_counter()
            status = _ask(port, bad[turn // BAD_SHARE % len(bad)] if is_bad else good[turn % len(good)])
            statuses.append((is_bad, status))
            if not is_bad:
                latencies.append(time.perf_counter() - started)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(n_clients)]
    memory = [_memory_mb(server.pid)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(MEMORY_SECONDS, duration))
        memory.append(_memory_mb(server.pid))
    p50, p95, p99 = np.quantile(latencies, [0.5, 0.95, 0.99])
    return {
        "n": len(latencies),
        "per_second": len(latencies) / duration,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "n_refused": sum(is_bad and 400 <= status < 500 for is_bad, status in statuses),
        "n_wrong": sum(not (400 <= status < 500 if is_bad else status == 200) for is_bad, status in statuses),
        "memory_mb": memory,
    }


def _body(content: bytes) -> bytes:
    return json.dumps({"dataframe_records": [{"nifti": base64.b64encode(content).decode()}]}).encode()


def _ask(port: int, body: bytes) -> int:
    address = f"http://127.0.0.1:{port}/invocations"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(480):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2):
                return
        except OSError:
            time.sleep(0.25)
        if server.poll() is not None:
            raise BenchmarkError("the server ended; register a version first (datspect register)")
    raise BenchmarkError("the server did not start within two minutes")


def _memory_mb(pid: int) -> int:
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(process.memory_info().rss for process in processes if process.is_running()) // 2**20


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
