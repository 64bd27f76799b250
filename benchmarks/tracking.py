"""Seconds that the record of one cv stage in MLflow costs, where they go, how long the whole stage takes, and what it
costs a training to show its curves while it runs.

    python benchmarks/tracking.py [--quick] [--json FILE] [--into PAGE]

The stage runs once as a program of its own, with everything it writes in a temporary folder. What it left is then sent
again, to a new SQLite database, with a stopwatch on each kind of record. Needs the results of `dvc repro`. Then ten
heads on made-up features train for about a minute with their curves sent to a third database: CPU seconds of the thread
that sends over those of the rest of the process.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from measuring import BenchmarkError, Goal, goals_part, page_parser, publish, seconds

INPUTS = ("data/images", "data/features", "models/backbone", "data/splits.csv")
KINDS = {
    "log_history": "curves",
    "log_keras_model": "models",
    "log_metrics": "metrics",
    "log_files": "files",
    "log_dataset": "dataset",
}
QUICK_EPOCHS = 8
RECORD_GOAL_SECONDS = 12.0
LIVE_EPOCHS, QUICK_LIVE_EPOCHS, QUICK_INTERVAL_SECONDS = 800, 20, 0.5
LIVE_GOAL = 0.02
"""Of the training's CPU seconds."""


def main() -> None:
    arguments = page_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"DVC_ROOT": name, "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
        stage = seconds(lambda: run_stage(folder, params_file(folder, quick=arguments.quick)))
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///again.db"
        result = {"stage_seconds": stage, **send_again(folder)}
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///live.db"
        result["live"] = live_cost(quick=arguments.quick)
    publish(arguments, parts(result), result)


def parts(result: dict[str, Any]) -> list[str]:
    """Return the figures and the goals as Markdown."""
    kinds, record, stage, live = result["parts"], result["record_seconds"], result["stage_seconds"], result["live"]
    largest = max(kinds, key=kinds.__getitem__)
    goal = Goal(
        name="record of stage cv in MLflow",
        wanted=f"at most {RECORD_GOAL_SECONDS:.0f} s",
        found=f"{record:.1f} s",
        met=record <= RECORD_GOAL_SECONDS,
        limit=f"most of it is {largest}: {kinds[largest]:.1f} s.",
    )
    share = live["sending_cpu_seconds"] / live["training_cpu_seconds"]
    live_goal = Goal(
        name="sending the curves of ten heads while they train",
        wanted=f"at most {LIVE_GOAL:.0%} of the training's CPU seconds",
        found=f"{share:.2%}",
        met=share <= LIVE_GOAL,
        limit=f"a sending takes {live['sending_cpu_seconds'] / live['sendings']:.2f} s of CPU.",
    )
    return [
        f"The record of stage `cv` on SQLite takes {record:.1f} s "
        f"({', '.join(f'{what} {value:.1f}' for what, value in kinds.items())}), {record / stage:.1%} of the "
        f"stage's {stage:.0f} s from start to end. Import of MLflow and a new database: "
        f"{result['import_seconds']:.1f} s, once, not in the former.",
        f"Ten heads on made-up features trained for {live['seconds']:.0f} s, {live['training_cpu_seconds']:.1f} s of "
        f"CPU with the compilation; in that time their curves were sent {live['sendings']} times, which took "
        f"{live['sending_cpu_seconds']:.2f} s of CPU.",
        goals_part([goal, live_goal]),
    ]


def params_file(folder: Path, *, quick: bool) -> Path:
    """params.yaml, or a copy with few epochs."""
    if not quick:
        return Path("params.yaml")
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["training"]["epochs"] = QUICK_EPOCHS
    yaml.dump(params, folder / "params.yaml")
    return folder / "params.yaml"


def run_stage(folder: Path, params: Path) -> None:
    """Stage `cv` as DVC runs it, but for where it writes.

    Raises
    ------
    subprocess.CalledProcessError : it failed.
    """
    outputs = [str(folder / "models"), str(folder / "reports")]
    words = [sys.executable, "-m", "datspect.stages.cv", *INPUTS, *outputs, "--params-path", str(params)]
    subprocess.run(words, check=True)


def send_again(folder: Path) -> dict[str, Any]:
    """Seconds of the record as a whole, by kind, and of what comes before it once a process."""
    started = time.perf_counter()
    from datspect import tracking
    from datspect.io.records import read_json
    from datspect.tracking import store
    from datspect.training import to_mlflow

    record = read_json(folder / "reports" / "run.json")
    import mlflow.keras  # noqa: F401

    store.connect(record["mlflow"]["experiment"])
    imported = time.perf_counter()
    with stopwatch(tracking.Run) as parts, to_mlflow.open_stage_run(record) as run:
        to_mlflow.log_cv(run, folder / "reports", folder / "models", share_subject_level=True)
    whole = time.perf_counter() - imported
    parts["runs, and reading what the stage wrote"] = whole - sum(parts.values())
    return {"record_seconds": whole, "import_seconds": imported - started, "parts": parts}


def live_cost(*, quick: bool) -> dict[str, float]:
    """CPU seconds of the sending and of everything else while ten heads train.

    Raises
    ------
    BenchmarkError : the training was over before anything was sent.
    """
    from datspect import tracking
    from datspect.params.whole import load_params
    from datspect.training import crossval, live
    from heads import made_up_stack

    heads, bank, labels = made_up_stack(QUICK_LIVE_EPOCHS if quick else LIVE_EPOCHS)
    batch_size = load_params().training.batch_size
    with sendings(quick=quick) as spent, tracking.open_run("live", stage="cv", experiment="live") as run:
        cpu, started = time.process_time(), time.perf_counter()
        with live.shown(run, heads, own_head=None, by_fold=False) as curves:
            crossval.train(heads, bank, labels, batch_size, "live", curves.add_epoch_of_stack)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - started
    if not spent:
        raise BenchmarkError(f"nothing was sent in the {wall:.0f} s of the training; raise LIVE_EPOCHS")
    sending = sum(spent)
    return {
        "sendings": len(spent),
        "seconds": wall,
        "sending_cpu_seconds": sending,
        "training_cpu_seconds": cpu - sending,
    }


@contextmanager
def sendings(*, quick: bool) -> Iterator[list[float]]:
    """CPU seconds of the thread that sends, by sending, of what grows while the block runs."""
    from datspect import tracking
    from datspect.tracking import live

    original, interval = live.sent_while_growing, live.INTERVAL_SECONDS
    spent: list[float] = []

    def timed(send: Callable[[], None]) -> Any:
        def timed_send() -> None:
            started = time.thread_time()
            send()
            spent.append(time.thread_time() - started)

        return original(timed_send)

    tracking.sent_while_growing = timed
    live.INTERVAL_SECONDS = QUICK_INTERVAL_SECONDS if quick else interval
    try:
        yield spent
    finally:
        tracking.sent_while_growing, live.INTERVAL_SECONDS = original, interval


@contextmanager
def stopwatch(cls: type) -> Iterator[dict[str, float]]:
    """Seconds in the methods of `cls` that are named in `KINDS`, by kind, while the block runs."""
    originals = {method: getattr(cls, method) for method in KINDS}
    spent = dict.fromkeys(KINDS.values(), 0.0)
    for method, kind in KINDS.items():
        setattr(cls, method, _timed(originals[method], spent, kind))
    try:
        yield spent
    finally:
        for method, original in originals.items():
            setattr(cls, method, original)


def _timed(method: Callable[..., Any], spent: dict[str, float], kind: str) -> Callable[..., Any]:
    @wraps(method)
    def timed(*positional: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*positional, **named)
        finally:
            spent[kind] += time.perf_counter() - started

    return timed


if __name__ == "__main__":
    main()
