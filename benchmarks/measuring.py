"""What every benchmark needs: stopwatch, peak memory of a program, the machine, the versions, the result as JSON."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

SAMPLING_SECONDS = 0.02
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "mlflow", "dvc")
INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")
"""Those that decide how fast a matrix product is."""

_CPU_INFO = Path("/proc/cpuinfo")


class BenchmarkError(Exception):
    """A benchmark cannot run here; the message says why and what to do."""


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    parser.add_argument("--quick", action="store_true", help="a short run that shows that it works, not how fast it is")
    return parser


def write_result(path: Path | None, result: Mapping[str, Any]) -> None:
    """The result as JSON, if a path is given."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternating(works: Mapping[str, Callable[[], object]], n_rounds: int) -> dict[str, list[float]]:
    """Seconds of each of `works` in each round; they take turns, so that all see the same state of the machine."""
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(n_rounds):
        for name, work in works.items():
            samples[name].append(seconds(work))
    return samples


def peak_memory_mb(command: Sequence[str]) -> int:
    """Peak resident memory, MB, of a program and its children, sampled from outside.

    Raises
    ------
    subprocess.CalledProcessError : the program failed.
    """
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        process, peak = psutil.Process(child.pid), 0
        while child.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(SAMPLING_SECONDS)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return peak // 2**20


def peak_memory_of(script: str, *options: str) -> int:
    """`peak_memory_mb` of a Python script with `options`."""
    return peak_memory_mb([sys.executable, script, *options])


def machine() -> dict[str, Any]:
    """What decides how fast and how large things may be here."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "instruction_sets": _instruction_sets(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages whose speed is measured, those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # TensorFlow goes by two names
            continue
    return found


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:  # it ended between the two calls
        pass
    return total


def _cpu_model() -> str:
    for line in _cpu_info().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _instruction_sets() -> list[str]:
    words = set(_cpu_info().split())
    return [name for name in INSTRUCTION_SETS if name in words]


def _cpu_info() -> str:
    return _CPU_INFO.read_text(encoding="utf-8") if _CPU_INFO.is_file() else ""
