"""Seconds for ten heads (2048 -> 128 -> 1) over 500 epochs of the paper's folds: the stack, and plain `fit` calls.

    python benchmarks/heads.py [--epochs 100] [--fit-epochs 12] [--quick] [--json FILE] [--into PAGE]

Both are sampled and scaled: `--epochs` of the stack, and `--fit-epochs` of `fit` on one fold, half of them before the
stack and half after it.
"""

import time
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clock import EpochClock
from datspect.modeling.heads import Head, build_head, initial_weights
from datspect.modeling.stack import fit_heads
from datspect.params.whole import load_params
from datspect.training.crossval import cv_heads
from datspect.training.splitting import assign_splits
from measuring import Goal, goals_part, page_parser, publish
from projection import Race, fit_seconds, sample_summary, stack_seconds

N_DRAWS, N_FEATURES = 16, 2048
STACK_GOAL_SECONDS = 50.0
WINDOW = 10
"""Epochs that are timed together: heads take turns, so that the slowest ends several epochs soon after each other."""


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=100, help="epochs of the stack to run")
    parser.add_argument("--fit-epochs", type=int, default=12, help="epochs of plain fit to run")
    arguments = parser.parse_args()
    n_epochs, n_fit_epochs = (8, 2) if arguments.quick else (arguments.epochs, arguments.fit_epochs)
    training = load_params().training
    heads, bank, labels = made_up_stack(n_epochs)

    plain = PlainFit(heads[0], bank, labels, training.batch_size)
    plain.run(n_fit_epochs - n_fit_epochs // 2)
    stack = stack_epochs(heads, bank, labels, training.batch_size)
    plain.run(n_fit_epochs // 2)

    result = comparison(Race(len(heads), training.epochs, len(labels)), stack, plain)
    publish(arguments, parts(result), result)


def made_up_stack(n_epochs: int) -> tuple[list[Head], NDArray[np.float16], NDArray[np.int64]]:
    """Return the heads of the paper's folds, a bank of made-up features, shape (draws + 1, N, F), and labels, (N,)."""
    labels = np.repeat([1, 0], [449, 210])
    shape = (N_DRAWS + 1, len(labels), N_FEATURES)
    bank = np.maximum(np.random.default_rng(0).normal(size=shape), 0).astype(np.float16)
    params = load_params()
    training = params.training.model_copy(update={"epochs": n_epochs})
    return cv_heads(_folds(labels), params.classifier, training), bank, labels


def parts(result: dict[str, Any]) -> list[str]:
    """Return the figures and the goal as Markdown."""
    stack, fit = result["stack_epoch"], result["fit_epoch"]
    goal = Goal(
        name=f"{result['n_heads']} heads, {result['n_epochs']} epochs, as a stack",
        wanted=f"under {STACK_GOAL_SECONDS:.0f} s",
        found=f"{result['stack_seconds']:.0f} s",
        met=result["stack_seconds"] < STACK_GOAL_SECONDS,
        limit=f"an epoch takes {stack['median']:.3f} s, {result['n_epochs'] * stack['median']:.0f} s in all, "
        "the rest is compilation.",
    )
    return [
        f"{result['n_heads']} heads of 2048 -> 128 -> 1 over {result['n_epochs']} epochs: "
        f"**{result['stack_seconds']:.0f} s** as a stack, scaled from {stack['n']} windows of epochs; "
        f"**{result['fit_seconds']:,.0f} s** as plain `fit` calls, scaled from {fit['n']} epochs; "
        f"{result['ratio']:.1f} times as long. An epoch of all heads in the stack takes {stack['median']:.3f} s "
        f"({stack['low']:.3f} to {stack['high']:.3f}), of one head under `fit` {fit['median']:.3f} s "
        f"({fit['low']:.3f} to {fit['high']:.3f}).",
        goals_part([goal]),
    ]


def comparison(race: Race, stack: NDArray[np.float64], plain: "PlainFit") -> dict[str, Any]:
    """Return the samples of both, and what they come to over the whole length."""
    stack_epoch, fit_epoch = sample_summary(stack[1:]), sample_summary(plain.later_epochs)
    stacked = stack_seconds(race, stack[0], stack_epoch["median"])
    fitted = fit_seconds(race, plain.first_epoch, fit_epoch["median"])
    return {
        "n_heads": race.n_folds,
        "n_epochs": race.n_epochs,
        "stack_epoch": stack_epoch,
        "fit_epoch": fit_epoch,
        "stack_seconds": stacked,
        "fit_seconds": fitted,
        "ratio": fitted / stacked,
    }


def stack_epochs(
    heads: list[Head], bank: NDArray[np.float16], labels: NDArray[np.int64], batch_size: int
) -> NDArray[np.float64]:
    """Return the seconds of the first epoch of the stack, with its compilation, and those of later ones by window."""
    times = [time.perf_counter()]
    fit_heads(heads, bank, labels, batch_size=batch_size, report=lambda _: times.append(time.perf_counter()))
    ends = np.asarray(times[1:])
    n_later = len(ends) - 1
    edges = np.linspace(0, n_later, max(1, n_later // WINDOW) + 1).astype(int)
    return np.concatenate([[ends[0] - times[0]], np.diff(ends[edges]) / np.diff(edges)])


class PlainFit:
    """One head under Keras' own `fit`, validation included, on the features of one draw."""

    def __init__(self, head: Head, bank: NDArray[np.float16], labels: NDArray[np.int64], batch_size: int) -> None:
        self.first_epoch = float("nan")
        self.later_epochs: list[float] = []
        self._batch_size = batch_size
        self._training = (bank[1, head.train_rows].astype(np.float32), labels[head.train_rows])
        self._validation = (bank[0, head.validation_rows].astype(np.float32), labels[head.validation_rows])
        self._model = build_head(initial_weights(head, bank.shape[2]), head.dropout)
        self._model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])

    def run(self, n_epochs: int) -> None:
        """Train so many epochs in one call, after one that is not counted among them."""
        clock = EpochClock()
        self._model.fit(
            *self._training,
            batch_size=self._batch_size,
            epochs=n_epochs + 1,
            validation_data=self._validation,
            callbacks=[clock],
            verbose=0,
        )
        if np.isnan(self.first_epoch):
            self.first_epoch = float(clock.epoch_seconds[0])
        self.later_epochs.extend(clock.epoch_seconds[1:])


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    ids = [f"S{k:03d}" for k in range(len(labels))]
    subjects = pd.DataFrame({"scan_id": ids, "subject_id": ids, "label": np.where(labels == 1, "pd", "control")})
    return assign_splits(subjects, load_params().split)["fold"].to_numpy()


if __name__ == "__main__":
    main()
