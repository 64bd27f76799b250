"""Seconds that `dvc repro` takes when there is nothing to do.

    python benchmarks/noop.py [--rounds 5] [--quick] [--json FILE] [--into PAGE]

Stops if anything is out of date, so that it never starts a training.
"""

import json
import subprocess
import sys

from measuring import BenchmarkError, Goal, goals_part, page_parser, publish, seconds
from projection import sample_summary

GOAL_SECONDS = 2.5


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    refuse_work()
    times = [seconds(lambda: dvc("repro")) for _ in range(2 if arguments.quick else arguments.rounds)]
    found = sample_summary(times)
    goal = Goal(
        name="`dvc repro` with everything up to date",
        wanted=f"under {GOAL_SECONDS} s",
        found=f"{found['median']:.1f} s (median of {found['n']}, {found['low']:.1f} to {found['high']:.1f})",
        met=found["median"] < GOAL_SECONDS,
        limit="DVC's own start, and its look at every dependency.",
    )
    publish(arguments, [goals_part([goal])], {"seconds": found})


def refuse_work() -> None:
    """Stop if `dvc repro` would do anything.

    Raises
    ------
    BenchmarkError : it would.
    """
    changed = json.loads(dvc("status", "--json"))
    if changed:
        raise BenchmarkError(f"not up to date: {', '.join(sorted(changed))}; run `dvc repro` first")


def dvc(*words: str) -> str:
    """Return what a DVC command prints.

    Raises
    ------
    BenchmarkError : it failed.
    """
    answer = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise BenchmarkError(f"dvc {' '.join(words)} failed: {answer.stderr.strip()}")
    return answer.stdout


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
