"""Seconds of a trial of a study by width, beside ten plain `fit` calls; and what packing trials or folds would gain.

    python benchmarks/tuning.py [--epochs 40] [--fit-epochs 8] [--quick] [--json FILE] [--into PAGE]

Needs the results of `dvc repro`. Both ways are sampled on the development folds and scaled to all epochs; epochs of
`fit` come before and after those of the stack. The first epoch, which compiles, is counted once a trial: a study meets
each width many times and compiles it once, so that is unfavourable to the stack.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.modeling.heads import Head
from datspect.params.whole import load_params
from datspect.reporting.markdown import markdown_table
from datspect.training.crossval import dev_heads
from datspect.training.data import TrainingInputs, read_training_data
from datspect.tuning.development import Development, development
from heads import PlainFit, comparison, stack_epochs
from measuring import page_parser, publish
from projection import Race

WIDTHS = (32, 64, 96, 128)
RATIO_GOAL = 8.0


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--fit-epochs", type=int, default=8)
    arguments = parser.parse_args()
    n_epochs, n_fit_epochs = (4, 2) if arguments.quick else (arguments.epochs, arguments.fit_epochs)
    inputs = TrainingInputs.within(Path("data/images"), Path("data/features"), Path("data/splits.csv"))
    data = development(read_training_data(inputs))
    result = {
        "widths": {width: one_width(data, width, n_epochs, n_fit_epochs) for width in WIDTHS},
        "packing": packing(data, n_epochs),
    }
    said = (
        f"Medians of {n_epochs - 1} epochs of the stack, by windows, and of {n_fit_epochs} of a plain Keras `fit` on "
        f"the same features, before and after; scaled to {load_params().training.epochs} epochs of all folds, no "
        f"pruning (goal: {RATIO_GOAL:g} times the trials an hour)."
    )
    publish(arguments, [said, table(result)], result)


def one_width(data: Development, width: int, n_epochs: int, n_fit_epochs: int) -> dict[str, Any]:
    """A trial of that width, by the stack and by plain `fit`."""
    params = load_params()
    heads = heads_of(data, width, n_epochs)
    plain = PlainFit(heads[0], data.bank, data.targets, params.training.batch_size)
    plain.run(n_fit_epochs // 2)
    stack = stack_epochs(heads, data.bank, data.targets, params.training.batch_size)
    plain.run(n_fit_epochs // 2)
    return comparison(Race(len(heads), params.training.epochs, len(data.targets)), stack, plain)


def packing(data: Development, n_epochs: int) -> dict[str, float]:
    """Seconds an epoch and head, median, of stacks of several sizes; each size is met twice, in turn."""
    ten = heads_of(data, 128, n_epochs)
    stacks = {"2 folds": ten[:2], "4 folds": ten[:4], "10 folds": ten, "2 trials": [*ten, *_again(ten)]}
    samples: dict[str, list[NDArray[np.float64]]] = {name: [] for name in stacks}
    for _ in range(2):
        for name, heads in stacks.items():
            epochs = stack_epochs(heads, data.bank, data.targets, load_params().training.batch_size)
            samples[name].append(epochs[1:] / len(heads))
    return {name: float(np.median(np.concatenate(times))) for name, times in samples.items()}


def heads_of(data: Development, width: int, n_epochs: int) -> list[Head]:
    """The heads of a trial, cut to `n_epochs`."""
    params = load_params()
    rate = params.training.learning_rate.model_copy(update={"schedule": "cosine"})
    training = params.training.model_copy(update={"epochs": n_epochs, "learning_rate": rate})
    return dev_heads(data.folds, params.classifier.model_copy(update={"width": width}), training)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = [["width", "stack, s a trial", "plain fit calls, s", "ratio", ""]]
    for width, found in result["widths"].items():
        seconds = [f"{found[key]:.0f}" for key in ("stack_seconds", "fit_seconds")]
        rows.append(
            [str(width), *seconds, f"{found['ratio']:.1f}", "met" if found["ratio"] >= RATIO_GOAL else "MISSED"]
        )
    packed = [["stack", "ms an epoch and head"], *([k, f"{1000 * v:.2f}"] for k, v in result["packing"].items())]
    return f"{markdown_table(rows)}\n\n{markdown_table(packed)}"


def _again(heads: list[Head]) -> list[Head]:
    return [replace(head, name=f"{head.name}-again", seed=head.seed + 1) for head in heads]


if __name__ == "__main__":
    main()
