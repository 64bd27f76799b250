"""What every benchmark needs: stopwatch, peak memory of a program, the machine, goals, and its part of the page."""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from datspect.reporting.markdown import markdown_table

SAMPLING_SECONDS = 0.02
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "mlflow", "dvc")
INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")
"""Those that decide how fast a matrix product is."""

_CPU_INFO = Path("/proc/cpuinfo")


class BenchmarkError(Exception):
    """A benchmark cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Goal:
    """One goal beside what was found; `limit` says what holds it back and is shown where it is missed."""

    name: str
    wanted: str
    found: str
    met: bool
    limit: str


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write the result to")
    parser.add_argument("--quick", action="store_true", help="a short run that shows that it works, not how fast it is")
    return parser


def page_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser for a benchmark that ends with `publish`."""
    parser = benchmark_parser(description)
    parser.add_argument("--into", type=Path, help="page whose marked part is replaced, docs/measurements.md")
    return parser


def write_result(path: Path | None, result: Mapping[str, Any]) -> None:
    """Write the result as JSON, if a path is given."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def publish(arguments: argparse.Namespace, parts: Sequence[str], result: Mapping[str, Any]) -> None:
    """Print the Markdown `parts` below how they were measured; write the result and the page if `arguments` ask for it.

    Raises
    ------
    BenchmarkError : the page has no marks with the script's name.
    """
    short = (
        ["**Short run (`--quick`): it shows that everything works, not how fast it is.**"] if arguments.quick else []
    )
    text = "\n\n".join([measured_by(), *short, *parts])
    print(text)
    write_result(arguments.json, {**result, "machine": machine(), "versions": versions()})
    if arguments.into is not None:
        put(arguments.into, Path(sys.argv[0]).stem, text)


def measured_by() -> str:
    """Return one line with the command, its minutes, the date, the commit, the machine and the versions."""
    minutes = (time.time() - psutil.Process().create_time()) / 60
    commit = _git("describe", "--always", "--exclude=*") or "not known"
    changed = " with changed files" if _git("status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)docs") else ""
    here = machine()
    sets = ", ".join(here["instruction_sets"]) or "instruction sets not known"
    hardware = f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB, {sets}, {here['system']}"
    software = ", ".join(f"{name} {number}" for name, number in versions().items())
    script, *options = _without_json(sys.argv)
    shown = os.path.relpath(script) if Path(script).is_relative_to(Path.cwd()) else script
    command = shlex.join(["python", shown, *options])
    return f"`{command}`, {minutes:.1f} min, {date.today()}, commit {commit}{changed}; {hardware}; {software}."


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()


def _without_json(words: Sequence[str]) -> list[str]:
    """Return the words of a command without `--json FILE`, which says where somebody keeps files."""
    if "--json" not in words:
        return list(words)
    at = words.index("--json")
    return [*words[:at], *words[at + 2 :]]


def put(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks `name: begin` and `name: end` of a page.

    Raises
    ------
    BenchmarkError : a mark is missing.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begun, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise BenchmarkError(f"{page}: expected the marks {begin} and {end}; add them where the figures belong")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def goals_part(goals: Sequence[Goal]) -> str:
    """Return the table of goals and, below it, what limits those that are missed."""
    rows = [["goal", "wanted", "found", ""]]
    rows += [[goal.name, goal.wanted, goal.found, "met" if goal.met else "MISSED"] for goal in goals]
    limits = [f"- {goal.name}: {goal.limit}" for goal in goals if not goal.met]
    return "\n\n".join([markdown_table(rows), *(["What limits those missed:", "\n".join(limits)] if limits else [])])


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock time of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternating(works: Mapping[str, Callable[[], object]], n_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each of `works` by round; they take turns, so that all see the same machine."""
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(n_rounds):
        for name, work in works.items():
            samples[name].append(seconds(work))
    return samples


def peak_memory_mb(command: Sequence[str]) -> int:
    """Return the peak resident memory, MB, of a program and its children, sampled from outside.

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
    """Return the `peak_memory_mb` of a Python script with `options`."""
    return peak_memory_mb([sys.executable, script, *options])


def machine() -> dict[str, Any]:
    """Return what decides how fast and how large things may be here."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "instruction_sets": _instruction_sets(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of those packages in `PACKAGES` that are installed."""
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
