"""How fast folds are fine-tuned: beside the paper's recipe, and what the paper's whole protocol would take here.

- The race: the recipe with all layers trainable (PNG folders, `flow_from_directory`, `fit`) against ours, an epoch of
  one fold each, in turn, with the statistics of batch normalisation frozen in both, then trained in both. Beside it our
  folds several at a time, which the recipe, one program after another, does not have.
- The rate: images a second at several batch sizes in float32 and bfloat16, one fold alone and several at once, the
  share of what a large matrix product reaches, and from that the hours of 10 folds of 500 epochs, all layers.

    python benchmarks/finetune.py [--rounds 3] [--batches 16 64] [--at-once 2] [--only race|rate] [--json FILE]

Needs the results of `dvc repro preprocess split backbone`. About 25 minutes on two cores; on a GPU give `--at-once 4`
and more batch sizes. The race needs TensorFlow; the rate runs on every backend (KERAS_BACKEND=jax). `--seconds` limits
the rate: what was not measured by then is listed. The file is written after every setting.
"""

import argparse
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import keras
import numpy as np

from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.modeling.compilation import on_accelerator
from datspect.modeling.finetuning import Material, fit_fold
from datspect.modeling.heads import Head
from datspect.modeling.network import network
from datspect.params.whole import Params, load_params
from datspect.running.executors import completed
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.data import TrainingData
from datspect.training.fitting import Sources, material_of
from features import forward_gflop
from measuring import BenchmarkError, benchmark_parser, machine, seconds, versions, write_result

IMAGES, BACKBONE = Path("data/images/images.npy"), Path("models/backbone")
RACE_GOAL = 1.5
PAPER_FOLDS, PAPER_EPOCHS = 10, 500
FIRST_EPOCHS = 3
"""Of a fold alone; the first one compiles."""

SIDE_BY_SIDE_SECONDS = 12.0
"""Folds at once train for as long as this beyond their first epochs, since their processes start seconds apart."""

Setting = tuple[int, str, int]
"""Batch, precision, folds at a time."""


@dataclass(frozen=True)
class Bench:
    """What is trained: the first fold of cv, some epochs of it."""

    params: Params
    data: TrainingData
    material: Material
    head: Head

    def of(self, n_epochs: int, **changes: Any) -> tuple[Head, Material]:
        """The fold for so many epochs; `changes` are of its plan."""
        head = replace(self.head, learning_rates=self.head.learning_rates[:n_epochs])
        return head, replace(self.material, plan=replace(self.material.plan, **changes))


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--only", choices=("race", "rate"))
    parser.add_argument("--precisions", nargs="+", choices=("bfloat16", "float32"), default=["bfloat16", "float32"])
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no setting of the rate after so long")
    arguments = parser.parse_args()
    bench = prepared(arguments)
    result: dict[str, Any] = {"machine": machine(), "versions": versions(), "backend": keras.backend.backend()}
    if arguments.only != "rate" and keras.backend.backend() == "tensorflow":
        result["race"] = race(bench, 1 if arguments.quick else arguments.rounds, arguments.at_once)
        say_race(result["race"])
    if arguments.only != "race":

        def keep(found: dict[str, Any]) -> None:
            write_result(arguments.json, result | {"rate": found})

        by_precision = itertools.product(arguments.precisions, arguments.batches, (1, arguments.at_once))
        settings = [(batch, precision, n) for precision, batch, n in by_precision]
        result["rate"] = rate(bench, settings, arguments.seconds, keep)
        say_rate(result["rate"])
    write_result(arguments.json, result)


def prepared(arguments: argparse.Namespace) -> Bench:
    """Images, backbone and the first fold, in bfloat16 on a GPU; a part of the subjects in a quick run."""
    params = load_params()
    updates: dict[str, Any] = {"backbone": params.backbone.model_copy(update={"trainable": "all"})}
    if on_accelerator():
        updates["finetuning"] = params.finetuning.model_copy(update={"precision": "bfloat16"})
    params = params.model_copy(update=updates)
    data = training_data()
    material = material_of(data, Sources(IMAGES, BACKBONE), params)
    head = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)[0]
    if arguments.quick:
        head = replace(head, train_rows=head.train_rows[:16], validation_rows=head.validation_rows[:4])
    return Bench(params, data, material, head)


def training_data() -> TrainingData:
    """Splits in the order of the images, without a bank of features: fine-tuning makes its own."""
    order = read_table(IMAGES.parent / "subjects.csv")["scan_id"]
    splits = read_table(Path("data/splits.csv")).set_index("scan_id").loc[order].reset_index()
    splits["target"] = (splits["label"] == "pd").astype(np.int64)
    bank = np.zeros((1, len(splits), 0), np.float16)
    return TrainingData(splits, bank, read_json(IMAGES.parent / "cohort.json"), {})


# The race


def race(bench: Bench, n_rounds: int, at_once: int) -> dict[str, Any]:
    """Seconds an epoch of either, validation included, by what batch normalisation does; float32 both."""
    found = {}
    for batch_norm in ("frozen", "trained"):
        found[batch_norm] = _race(bench, n_rounds, batch_norm)
        head, material = bench.of(3, batch_norm=batch_norm, precision="float32")
        together = len(head.train_rows) / images_per_second(head, material, at_once, bench.params)
        found[batch_norm] |= {
            "at_once": at_once, "together": together, "ratio_together": found[batch_norm]["recipe"] / together
        }  # fmt: skip
    return found


def _race(bench: Bench, n_rounds: int, batch_norm: str) -> dict[str, Any]:
    from recipe import build_trainable, frozen_base, link_fold, quieten, write_pngs
    from recipe import fit_fold as fit_recipe

    quieten()
    params, head = bench.params, bench.head
    epochs = 3  # the first of each also traces the network and is left out
    recipe: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        pngs, folder = Path(name) / "pngs", Path(name) / "fold"
        write_pngs(pngs, bench.material.images)
        link_fold(pngs, folder, head, bench.data.targets)
        short = replace(head, learning_rates=head.learning_rates[:epochs])
        for _ in progress(range(n_rounds), total=n_rounds, what=f"race, {batch_norm}", unit="rounds"):
            base = frozen_base(BACKBONE / "backbone.weights.h5", bench.material.plan.image_shape)
            build = partial(_built, build_trainable, batch_norm)
            fitted = fit_recipe(base, short, folder, params.augment, params.training.batch_size, build=build)
            recipe += list(fitted.epoch_seconds[1:])
            ours += epoch_seconds(*bench.of(epochs, batch_norm=batch_norm, precision="float32"))[1:]
    medians = {"recipe": statistics.median(recipe), "ours": statistics.median(ours)}
    return {"samples": {"recipe": recipe, "ours": ours}, **medians, "ratio": medians["recipe"] / medians["ours"]}


def _built(build: Callable[..., keras.Model], batch_norm: str, base: keras.Model, head: Head) -> keras.Model:
    return build(base, head, batch_norm)


def epoch_seconds(head: Head, material: Material) -> list[float]:
    """Of each epoch of one fold in this process; the last call, which describes everybody, not counted."""
    ends = [time.perf_counter()]
    fit_fold(head, material, lambda _: ends.append(time.perf_counter()))
    return list(np.diff(ends))


def say_race(found: dict[str, Any]) -> None:
    print("batch normalisation  recipe, s/epoch  ours alone  ratio  ours side by side, s/fold-epoch  ratio")
    for batch_norm, times in found.items():
        ratios = [times["ratio"], times["ratio_together"]]
        met = " and ".join("met" if ratio >= RACE_GOAL else "MISSED" for ratio in ratios)
        print(
            f"{batch_norm:<20} {times['recipe']:>15.2f} {times['ours']:>11.2f} {ratios[0]:>6.2f} "
            f"{times['together']:>31.2f} {ratios[1]:>6.2f}   (goal {RACE_GOAL}: {met}; {times['at_once']} at a time)"
        )


# The rate


def rate(
    bench: Bench, settings: Sequence[Setting], limit_seconds: float, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Images a second by setting, one fold alone before several; `keep` gets what is known after each."""
    began = time.monotonic()
    # The way back takes twice as much as the way forward.
    gflop = 3 * forward_gflop(network(bench.material.plan, bench.head.width).backbone)
    peaks = {precision: matrix_gflops(precision) for precision in {precision for _, precision, _ in settings}}
    found: dict[str, Any] = {"gflop_per_image": gflop, "peak_gflops": peaks, "rows": [], "not_measured": list(settings)}
    keep(found)
    alone: dict[tuple[int, str], float] = {}  # images a second
    for batch, precision, n in progress(settings, total=len(settings), what="rate", unit="settings"):
        if time.monotonic() - began > limit_seconds:
            break
        epochs = FIRST_EPOCHS if n == 1 else _epochs_side_by_side(len(bench.head.train_rows) / alone[batch, precision])
        head, material = bench.of(epochs, precision=precision)
        found_rate = images_per_second(head, replace(material, batch_size=batch), n, bench.params)
        if n == 1:
            alone[batch, precision] = found_rate
        protocol = PAPER_FOLDS * PAPER_EPOCHS * len(bench.head.train_rows) / found_rate
        row = {
            "precision": precision, "batch": batch, "at_once": n, "images_per_second": found_rate, "epochs": epochs,
            "share_of_peak": gflop * found_rate / peaks[precision], "protocol_hours": protocol / 3600,
        }  # fmt: skip
        found = found | {"rows": [*found["rows"], row], "not_measured": found["not_measured"][1:]}
        keep(found)
    return found


def _epochs_side_by_side(seconds_alone: float) -> int:
    """At least as many as alone, at most what the paper's learning rates reach."""
    return min(PAPER_EPOCHS, FIRST_EPOCHS + int(SIDE_BY_SIDE_SECONDS / seconds_alone))


def images_per_second(head: Head, material: Material, n_at_once: int, params: Params) -> float:
    """Of training, validation included, while all of `n_at_once` folds are at work; first epochs left out.

    Raises
    ------
    BenchmarkError : the first fold was done before the last had begun.
    """
    executor = params.executor.model_copy(update={"workers": n_at_once, "folds_per_gpu": n_at_once})
    pieces = [replace(head, name=f"fold-{k}", seed=head.seed + k) for k in range(n_at_once)]
    ends = dict(completed(timed, material, pieces, executor, lambda *_: None, fills_cores=False))
    all_warm = max(times[0] for times in ends.values())
    first_done = min(times[-1] for times in ends.values())
    epochs = sum(
        (np.interp(first_done, times, range(len(times))) - np.interp(all_warm, times, range(len(times))))
        for times in ends.values()
    )
    if first_done <= all_warm or epochs <= 0:
        raise BenchmarkError("the folds did not run side by side; give more epochs or fewer at once")
    return float(epochs * len(head.train_rows) / (first_done - all_warm))


class _Done(Exception):  # noqa: N818  (no error: what follows the last epoch is not measured, and takes long)
    """The last epoch of a fold has ended."""


def timed(material: Material, head: Head, report: Any) -> list[float]:
    """When each epoch of a fold ended, by the clock that all processes share."""
    ends: list[float] = []

    def ended(n_done: int) -> None:
        ends.append(time.time())
        report(n_done)
        if n_done == len(head.learning_rates):
            raise _Done

    with suppress(_Done):
        fit_fold(head, material, ended)
    return ends


def matrix_gflops(precision: str, size: int | None = None) -> float:
    """What large square matrix products reach on this device; `size`: rows and columns, None for what fills it.

    Of random numbers: zeros and ones are faster than data.
    """
    from keras import ops

    from datspect.modeling.compilation import compiled

    if size is None:
        size = 8192 if on_accelerator() else 4096
    n_products = 16 if on_accelerator() else 4
    rng = np.random.default_rng(0)
    left, right = (ops.cast(rng.standard_normal((size, size), np.float32), precision) for _ in range(2))

    def product(left: Any, right: Any) -> Any:
        for _ in range(n_products):
            left = ops.matmul(left, right) * size**-0.5
        return ops.sum(ops.cast(left[:1], "float32"))

    run = compiled(product, convolutions=True)
    once = partial(_fetched, run, left, right)
    once()
    best = min(seconds(once) for _ in range(3))
    return n_products * 2 * size**3 / best / 1e9


def _fetched(run: Callable[..., Any], *matrices: Any) -> None:
    from keras import ops

    ops.convert_to_numpy(run(*matrices))


def say_rate(found: dict[str, Any]) -> None:
    print("precision  batch  at once  images/s  of matrix peak  paper's protocol, h")
    for row in found["rows"]:
        print(
            f"{row['precision']:<10} {row['batch']:>5} {row['at_once']:>8} {row['images_per_second']:>9.1f} "
            f"{row['share_of_peak']:>14.1%} {row['protocol_hours']:>20.2f}"
        )
    for setting in found["not_measured"]:
        print("not measured, for want of time: batch {}, {}, {} at once".format(*setting))


if __name__ == "__main__":
    main()
