"""Seconds, processor time and peak memory of each stage of `dvc repro`, from nothing, with the committed parameters.

    python benchmarks/graph.py [--here] [--quick] [--json FILE] [--into PAGE]

The graph runs in a clone of the commit at hand with a cache and an MLflow database of its own, so that nothing here
changes and nothing comes out of a cache. `--here` runs it in this working tree, every stage anew. `--quick` runs a few
stages on a small cohort. Seven minutes on two cores.
"""

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from datspect.reporting.markdown import markdown_table
from measuring import BenchmarkError, Goal, goals_part, page_parser, publish

GOAL_SECONDS = 300.0
QUICK_STAGES = ("split", "cameras")
QUICK_COHORT = {"n_pd": 16, "n_control": 8, "n_sites": 3}

_SAMPLING_SECONDS = 0.5
_STAGE = re.compile(r"Running stage '(?:.+:)?(.+)':")


@dataclass(frozen=True)
class Moment:
    """What had been used when a stage began, or at the end.

    processor_seconds : of DVC and of all programs that it had started and that had ended
    """

    stage: str
    seconds: float
    processor_seconds: float


@dataclass(frozen=True)
class StageCost:
    """What a stage took, with what DVC does around it: digests of its outputs, and their place in the cache."""

    stage: str
    seconds: float
    processor_seconds: float
    peak_memory_gb: float


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--here", action="store_true", help="run everything anew in this working tree, not in a clone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if arguments.here:
            folder, what = Path.cwd(), ("--force",)
        else:
            folder, what = clone(Path(name) / "datspect"), QUICK_STAGES if arguments.quick else ()
        if arguments.quick and not arguments.here:
            set_params(folder, {"phantom": QUICK_COHORT})
        costs = run(folder, what)
        said = [] if arguments.quick else [f"`datspect reproduced` of these results: {verdict(folder)}"]
    publish(arguments, [*parts(costs), *said], {"stages": [vars(cost) for cost in costs]})


def clone(folder: Path) -> Path:
    """Clone the commit at hand into `folder` and return that."""
    subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(folder)], check=True)
    return folder


def set_params(folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Change values of params.yaml, by section."""
    yaml, file = YAML(), folder / "params.yaml"
    params = yaml.load(file.read_text(encoding="utf-8"))
    for section, values in changes.items():
        params[section].update(values)
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(params, stream)


def run(folder: Path, words: Iterable[str]) -> list[StageCost]:
    """Run `dvc repro` with more `words`, such as stages, in `folder` and return the cost of each stage that ran.

    Raises
    ------
    BenchmarkError : it failed; the message has the last lines that it printed.
    """
    command = [sys.executable, "-m", "dvc", "repro", *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        memory = _Memory(process.pid)
        moments, lines = [], []
        for line in process.stdout or ():
            lines.append(line)
            if begun := _STAGE.match(line):
                moments.append(_now(begun[1], process.pid))
                memory.begin(begun[1])
                print(line, end="", file=sys.stderr, flush=True)
        moments.append(Moment("", time.monotonic(), _processor_seconds_of_ended(process)))
        memory.end()
    if process.returncode:
        raise BenchmarkError("dvc repro failed:\n" + "".join(lines[-15:]))
    return list(costs_between(moments, memory.peaks_gb))


def costs_between(moments: list[Moment], peaks_gb: dict[str, float]) -> Iterator[StageCost]:
    """Yield what was used from the beginning of each stage to that of the next; the last moment is the end."""
    for begun, ended in itertools.pairwise(moments):
        yield StageCost(
            begun.stage,
            ended.seconds - begun.seconds,
            ended.processor_seconds - begun.processor_seconds,
            peaks_gb.get(begun.stage, 0.0),
        )


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a shell in a new clone: its own code, database and cache."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), ours.get("PATH", "")])
    own = {"PATH": path, "PYTHONPATH": str(folder / "src"), "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}
    return ours | own


def verdict(folder: Path) -> str:
    """Return what `datspect reproduced` says of the results."""
    command = [sys.executable, "-m", "datspect", "reproduced"]
    found = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    return (found.stdout.strip() or found.stderr.strip()).splitlines()[0]


def parts(costs: list[StageCost]) -> list[str]:
    """Return the table of the stages and the goal as Markdown."""
    n_cores = psutil.cpu_count()
    total = sum(cost.seconds for cost in costs)
    rows = [["stage", "seconds", "share", "processor seconds", "cores busy", "peak memory, GB"]]
    rows += [_row(cost, total) for cost in costs]
    peak = max(cost.peak_memory_gb for cost in costs)
    busy = sum(cost.processor_seconds for cost in costs)
    rows.append(["all", f"{total:.1f}", "", f"{busy:.1f}", f"{busy / total:.2f}", f"{peak:.1f}"])
    longest = sorted(costs, key=lambda cost: -cost.seconds)[:3]
    goal = Goal(
        name="`dvc repro` from nothing, after the installation",
        wanted=f"under {GOAL_SECONDS:.0f} s",
        found=f"{total:.0f} s",
        met=total < GOAL_SECONDS,
        limit=f"{', '.join(f'{cost.stage} takes {cost.seconds:.0f} s' for cost in longest)}; of {n_cores} cores "
        f"{busy / total:.2f} are busy on average.",
    )
    return [markdown_table(rows), goals_part([goal])]


def _row(cost: StageCost, total: float) -> list[str]:
    return [
        cost.stage,
        f"{cost.seconds:.1f}",
        f"{cost.seconds / total:.0%}",
        f"{cost.processor_seconds:.1f}",
        f"{cost.processor_seconds / cost.seconds:.2f}",
        f"{cost.peak_memory_gb:.1f}",
    ]


class _Memory:
    """Sample the memory of a program and of all below it, and keep the peak of each stage, GB."""

    def __init__(self, pid: int) -> None:
        self.peaks_gb: dict[str, float] = {}
        self._process = psutil.Process(pid)
        self._stage = ""
        self._over = Event()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()

    def begin(self, stage: str) -> None:
        """Count for `stage` from here on."""
        self._stage = stage

    def end(self) -> None:
        """Stop sampling."""
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLING_SECONDS):
            try:
                programs = self._process.children(recursive=True)
            except psutil.NoSuchProcess:
                return
            used = sum(_own_memory(program) for program in programs) / 2**30
            self.peaks_gb[self._stage] = max(self.peaks_gb.get(self._stage, 0.0), used)


def _own_memory(process: Any) -> int:
    try:
        return int(process.memory_full_info().uss)  # without what forked workers share with their parent
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended between the two calls
        return 0


def _now(stage: str, pid: int) -> Moment:
    times = psutil.Process(pid).cpu_times()
    used = times.user + times.system + times.children_user + times.children_system
    return Moment(stage, time.monotonic(), used)


def _processor_seconds_of_ended(process: "subprocess.Popen[str]") -> float:
    """Wait for `process` and return the processor time of it and of all below it; this program started no other."""
    before = os.times()
    process.wait()
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
