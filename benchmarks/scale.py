"""How time and memory of each stage grow with the number of subjects: measured to 2,000, by a fitted law beyond.

    python benchmarks/scale.py [--subjects 330 659 2000] [--quick] [--json FILE] [--into PAGE]

Each size is a phantom cohort with the shares of PD and controls of the default one, in a clone of its own. Draws and
epochs are fewer than by default, and the law of a stage that depends on them is scaled. About 20 minutes on two cores.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datspect.params.whole import load_params
from datspect.reporting.markdown import markdown_table
from graph import StageCost, clone, run, set_params
from measuring import BenchmarkError, page_parser, publish

FAR = 10_000
"""Subjects that the law is asked for."""
DRAWS, EPOCHS = 2, 50
QUICK_SUBJECTS = (24, 48)

Cost = Mapping[str, float]
"""Seconds and peak memory, GB, of a stage."""


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--subjects", type=int, nargs="+", default=[330, 659, 2000])
    arguments = parser.parse_args()
    sizes = list(QUICK_SUBJECTS) if arguments.quick else sorted(arguments.subjects)
    measured = {n: {cost.stage: cost for cost in costs_of(n, quick=arguments.quick)} for n in sizes}
    publish(arguments, parts(measured), {"costs": {n: {s: vars(c) for s, c in m.items()} for n, m in measured.items()}})


def costs_of(n_subjects: int, *, quick: bool) -> list[StageCost]:
    """Return what each stage of the graph costs with so many subjects."""
    default = load_params()
    n_pd = round(n_subjects * default.phantom.n_pd / (default.phantom.n_pd + default.phantom.n_control))
    changes: dict[str, dict[str, Any]] = {
        "phantom": {"n_pd": n_pd, "n_control": n_subjects - n_pd},
        "augment": {"draws": DRAWS},
        "training": {"epochs": EPOCHS},
    }
    if quick:
        changes["split"] = {"n_folds": 3, "n_dev_folds": 3}
        changes["training"] = {"epochs": 3}
    print(f"{n_subjects} subjects", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = clone(Path(name) / "datspect")
        set_params(folder, changes)
        return run(folder, ())


def parts(measured: Mapping[int, Mapping[str, StageCost]]) -> list[str]:
    """Return seconds and memory of each stage by size, and what the law says of `FAR` subjects, as Markdown."""
    sizes = list(measured)
    stages = list(measured[sizes[0]])
    times = [["stage, seconds", *(f"{n:,}" for n in sizes), "fixed", "per 1,000 subjects", f"{FAR:,} by the law"]]
    memory = [["stage, peak memory, GB", *(f"{n:,}" for n in sizes), f"{FAR:,} by the law"]]
    total = 0.0
    for stage in stages:
        seconds = [measured[n][stage].seconds for n in sizes]
        gigabytes = [measured[n][stage].peak_memory_gb for n in sizes]
        (fixed, each), (base, gb_each) = law(sizes, seconds), law(sizes, gigabytes)
        total += fixed + each * FAR
        times.append(
            [stage, *(f"{x:.0f}" for x in seconds), f"{fixed:.0f}", f"{each * 1000:.0f}", f"{fixed + each * FAR:,.0f}"]
        )
        memory.append([stage, *(f"{x:.1f}" for x in gigabytes), f"{base + gb_each * FAR:.1f}"])
    sums = [sum(cost.seconds for cost in measured[n].values()) for n in sizes]
    times.append(["all", *(f"{x:.0f}" for x in sums), "", "", f"{total:,.0f}"])
    return [
        f"PHANTOM cohorts; {DRAWS} draws and {EPOCHS} epochs, where the recipe has {load_params().augment.draws} and "
        f"{load_params().training.epochs}.",
        markdown_table(times),
        markdown_table(memory),
    ]


def law(sizes: Sequence[int], values: Sequence[float]) -> tuple[float, float]:
    """Return a and b of the line a + b n that fits best, neither below zero.

    >>> law([1, 2, 4], [3.0, 4.0, 6.0])
    (2.0, 1.0)
    """
    slope, fixed = np.polyfit(sizes, values, 1)
    if fixed < 0:  # a line through the origin
        n = np.asarray(sizes, float)
        return 0.0, float(n @ np.asarray(values) / (n @ n))
    return (round(float(fixed), 9), round(float(slope), 9)) if slope > 0 else (float(np.mean(values)), 0.0)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
