"""Run every benchmark, one after another, each in a process of its own, and write docs/benchmarks.md.

    python benchmarks/run_all.py [--into docs/benchmarks.md]
    python benchmarks/run_all.py --quick --into FILE

Needs the results of `dvc repro` and a quiet machine; about 45 minutes on two cores. A benchmark that fails is named in
the document, the others still run, and the exit code is 1.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from datspect.io.atomic import replacing
from document import Benchmark, document
from measuring import machine, versions

HERE = Path(__file__).parent
NEEDED = (
    Path("data/images/images.npy"),
    Path("data/images/cohort.json"),
    Path("data/features/bank.npy"),
    Path("data/splits.csv"),
    Path("models/backbone/backbone.weights.h5"),
)


@dataclass(frozen=True)
class Planned:
    """A benchmark to run: its script, what a person would call it, and about how long it takes."""

    name: str
    title: str
    minutes: float
    quick_minutes: float


PLAN = (
    Planned("noop", "dvc repro with nothing to do", 0.4, 0.3),
    Planned("features", "speed and memory of the features", 3, 1),
    Planned("heads", "stacked heads against plain fit", 1, 0.4),
    Planned("tracking", "the record in MLflow against its stage", 2.5, 1),
    Planned("importing", "import and preprocess against the obvious ways", 5, 1),
    Planned("paper_recipe", "the race against the paper's recipe", 28, 3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run of everything, to see that it works")
    parser.add_argument("--into", type=Path, help="the document; docs/benchmarks.md, but for a short run")
    arguments = parser.parse_args()
    if arguments.quick and arguments.into is None:
        parser.error("--quick needs --into: the figures of a short run do not belong into docs/")
    into = arguments.into or Path("docs/benchmarks.md")
    if missing := [str(path) for path in NEEDED if not path.is_file()]:
        sys.exit(f"error: missing: {', '.join(missing)}; run `dvc repro` first, from the repository root")
    done = run_all(quick=arguments.quick)
    kind = json.loads(Path("data/images/cohort.json").read_text(encoding="utf-8"))["kind"]
    text = document(done, machine(), versions(), kind, quick=arguments.quick)
    with replacing(into) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    print(f"written: {into}, after {sum(each.minutes for each in done):.1f} min")
    if failed := [each.name for each in done if each.result is None]:
        sys.exit(f"failed: {', '.join(failed)}")


def run_all(*, quick: bool) -> list[Benchmark]:
    """Each benchmark in turn, with a line on what runs and how long all still takes."""
    done = []
    expected = [each.quick_minutes if quick else each.minutes for each in PLAN]
    with tempfile.TemporaryDirectory() as folder:
        for number, planned in enumerate(PLAN):
            ahead = sum(expected[number:])
            place = f"[{number + 1}/{len(PLAN)}] {planned.title}"
            print(f"{place}: about {expected[number]:g} min, {ahead:.0f} min left in all", flush=True)
            done.append(run(planned, Path(folder) / f"{planned.name}.json", quick=quick))
            outcome = "done" if done[-1].result is not None else "FAILED"
            print(f"{place}: {outcome} after {done[-1].minutes:.1f} min\n", flush=True)
    return done


def run(planned: Planned, path: Path, *, quick: bool) -> Benchmark:
    """One benchmark; its output goes to the terminal, its result through the file `path`."""
    options = ["--quick"] if quick else []
    started = time.perf_counter()
    script = HERE / f"{planned.name}.py"
    answer = subprocess.run([sys.executable, str(script), *options, "--json", str(path)], check=False)
    minutes = (time.perf_counter() - started) / 60
    worked = answer.returncode == 0 and path.is_file()
    result = json.loads(path.read_text(encoding="utf-8")) if worked else None
    return Benchmark(planned.name, " ".join(["python", f"benchmarks/{planned.name}.py", *options]), minutes, result)


if __name__ == "__main__":
    main()
