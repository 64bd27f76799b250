"""Seconds that each stage takes to import what it names at its start, before it reads anything.

    python benchmarks/startup.py [--rounds 5] [--quick] [--json FILE] [--into PAGE]

Each import is a process of its own, with Python's start in it. Stages take turns; a first round, which fills the cache
of files, does not count.
"""

import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from datspect import stages
from datspect.reporting.markdown import markdown_table
from measuring import Goal, alternating, goals_part, page_parser, publish

GOAL_SECONDS = 25.0
STAGES = sorted(path.stem for path in Path(stages.__file__).parent.glob("[!_]*.py"))
_LIBRARIES = ("keras", "mlflow", "sklearn", "scipy.stats", "matplotlib", "pandas")
"""What takes a fifth of a second or more."""


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    works = {stage: partial(imported, stage) for stage in STAGES}
    samples = alternating(works, 1 + (1 if arguments.quick else arguments.rounds))
    result = {
        "seconds": {stage: statistics.median(times[1:]) for stage, times in samples.items()},
        "libraries": {stage: libraries(stage) for stage in STAGES},
    }
    publish(arguments, parts(result), result)


def imported(stage: str) -> None:
    """Import a stage in a process of its own."""
    subprocess.run([sys.executable, "-c", f"import datspect.stages.{stage}"], check=True)


def libraries(stage: str) -> list[str]:
    """Return which of the slow libraries the stage loads at its start."""
    program = f"import sys, datspect.stages.{stage}; print(*(name for name in {_LIBRARIES} if name in sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return said.stdout.split()


def parts(result: dict[str, Any]) -> list[str]:
    """Return the table of stages, the slowest first, and the goal."""
    seconds, total = result["seconds"], sum(result["seconds"].values())
    slowest = sorted(seconds, key=seconds.__getitem__, reverse=True)
    rows = [["stage", "seconds", "loads at its start"]]
    rows += [[stage, f"{seconds[stage]:.2f}", ", ".join(result["libraries"][stage])] for stage in slowest]
    with_keras = [stage for stage in slowest if "keras" in result["libraries"][stage]]
    of_keras = sum(seconds[stage] for stage in with_keras)
    goal = Goal(
        "sum of all stages' imports",
        f"under {GOAL_SECONDS:g} s",
        f"{total:.1f} s",
        total < GOAL_SECONDS,
        f"the stages that load Keras take {of_keras:.1f} s of it: {', '.join(with_keras) or 'none'}",
    )
    return [markdown_table(rows), goals_part([goal])]


if __name__ == "__main__":
    main()
