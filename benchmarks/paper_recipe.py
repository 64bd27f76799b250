"""The race: the paper's own recipe against ours, on the same images and folds, in one run.

The recipe (PNG folders, `flow_from_directory`, frozen InceptionV3, `fit`) trains every fold for `--epochs` epochs.
After each fold follows a slice of ours: images through the bank in float32 and in bfloat16, epochs of the ten heads as
one stack with 16 and with 500 draws. So both see the same state of the machine. Medians are scaled to 10 folds of 500
epochs. Peak memory is that of separate processes. Accuracy is that of all subjects out of fold after equally many
epochs, with a paired interval.

    python benchmarks/paper_recipe.py [--folds 10] [--epochs 14] [--quick] [--json FILE] [--into PAGE]

Needs the results of `dvc repro`. About 20 minutes on two cores.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.metrics import binary_metrics
from datspect.imaging.augmentation import Augmentations, draw_augmentations
from datspect.io.arrays import read_array
from datspect.modeling.backbone import build_backbone
from datspect.modeling.features import BATCH_SIZE, bank_blocks, build_extractor
from datspect.modeling.heads import Head
from datspect.modeling.model_files import read_weights
from datspect.modeling.precision import Precision, computing_in
from datspect.modeling.stack import fit_heads
from datspect.params.whole import Params, load_params
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.bank import write_bank
from datspect.training.data import TrainingData, TrainingInputs, read_training_data
from measuring import Goal, goals_part, page_parser, peak_memory_of, publish, seconds
from projection import Race, Times, race_rows, sample_summary
from recipe import FittedFold, fit_fold, frozen_base, link_fold, quieten, write_pngs

IMAGES, WEIGHTS = Path("data/images/images.npy"), Path("models/backbone/backbone.weights.h5")
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
DRAWS = (16, 500)
SLICE_DRAWS = 3
PARTS = ("recipe", "features", *(f"heads-{draws}" for draws in DRAWS))
"""What is run in a process of its own to see its memory."""

RATIO_GOALS = {(16, "float32"): 300.0, (500, "bfloat16"): 20.0, (500, "float32"): 15.0}
"""Goals by draws and precision."""

ACCURACY_MARGIN = 0.02
"""Ours counts as not inferior when the lower bound of the difference is above minus this: 13 of 659 subjects."""


def main() -> None:
    arguments = _arguments()
    quieten()
    params, data = load_params(), _training_data()
    sizes = Sizes.quick(arguments) if arguments.quick else Sizes(arguments.folds, arguments.epochs)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.part:
            _run_part(arguments.part, params, data, Path(folder))
            return
        memory = {
            part: peak_memory_of(__file__, "--part", part)
            for part in progress(PARTS, total=len(PARTS), what="peak memory", unit="programs")
        }
        result = race(params, data, sizes, Path(folder)) | {"memory_mb": memory}
    publish(arguments, parts(result), result)


@dataclass(frozen=True)
class Sizes:
    """How much is run: folds and epochs of the recipe; images and epochs of one slice of ours."""

    n_folds: int
    n_epochs: int
    slice_images: int = 5 * BATCH_SIZE
    slice_epochs: int = 30

    @classmethod
    def quick(cls, arguments: argparse.Namespace) -> "Sizes":
        """As little as still shows that everything works."""
        return cls(min(arguments.folds, 1), min(arguments.epochs, 2), 2 * BATCH_SIZE, 3)


def race(params: Params, data: TrainingData, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Both sides in turns; then the accuracy of both."""
    images = read_array(IMAGES, memory_mapped=True)
    heads = _heads(params, data, sizes.n_epochs)[: sizes.n_folds]
    write_pngs(folder / "png", images)
    base = frozen_base(WEIGHTS, images.shape[1:3])
    banks = [BankSlices(precision, params, images, folder) for precision in PRECISIONS]
    stacks = [StackSlices(draws, params, data, sizes.slice_epochs) for draws in DRAWS]
    fitted = []
    bar: tqdm[None] = progress(None, total=len(heads) * sizes.n_epochs, what="race", unit="epochs of the recipe")
    with bar:
        for number, head in enumerate(heads):
            fold = folder / head.name
            link_fold(folder / "png", fold, head, data.targets)
            fitted.append(fit_fold(base, head, fold, params.augment, params.training.batch_size, bar.update))
            for bank in banks:
                bank.measure(number, sizes.slice_images)
            for stack in stacks:
                stack.measure()
    return {
        "cohort": data.kind.caption,
        "n_subjects": len(images),
        **timings(Race(params.split.n_folds, params.training.epochs, len(images)), fitted, banks, stacks),
        "accuracy": accuracy(params, data, sizes, heads, fitted),
    }


class BankSlices:
    """Times of the bank in one precision: `start` until the first batch is done, then seconds an image by slice."""

    def __init__(self, precision: Precision, params: Params, images: NDArray[np.floating[Any]], folder: Path) -> None:
        self.precision = precision
        self.image: list[float] = []
        self.n_images = 0
        self._images = images
        self._augment = params.augment.model_copy(update={"draws": SLICE_DRAWS})
        self._path = folder / f"bank-{precision}.npy"
        self.start = seconds(self._build)

    def _build(self) -> None:
        with computing_in(self.precision):
            backbone = build_backbone("InceptionV3", self._images.shape[1:3])
        read_weights(WEIGHTS, backbone)
        self._extractor = build_extractor(backbone)
        self._n_features = backbone.output_shape[-1]
        next(bank_blocks(self._extractor, self._images, self._augmentations(slice(0, BATCH_SIZE))))

    def _augmentations(self, rows: slice) -> Augmentations:
        return draw_augmentations(self._augment, len(self._images[rows]), self._images.shape[1:3])

    def measure(self, number: int, n_images: int) -> None:
        """The bank of `n_images` images, augmentation and writing included; slice `number` has its own subjects."""
        n_subjects = n_images // (SLICE_DRAWS + 1)
        first = number * n_subjects % (len(self._images) - n_subjects + 1)
        rows = slice(first, first + n_subjects)
        shape = (SLICE_DRAWS + 1, n_subjects, self._n_features)

        def bank() -> None:
            blocks = bank_blocks(self._extractor, self._images[rows], self._augmentations(rows))
            write_bank(self._path, shape, blocks)

        # A batch that is not counted: what ran since the last slice has the caches, and a whole bank is one run.
        next(bank_blocks(self._extractor, self._images[rows], self._augmentations(rows)))
        self.image.append(seconds(bank) / n_images)
        self.n_images += n_images


@dataclass
class StackSlices:
    """Times of the stack of all heads with so many draws: `first_epoch` (compilation included) and later ones."""

    draws: int
    params: Params
    data: TrainingData
    n_epochs: int
    first_epoch: float = float("nan")
    later_epoch: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bank = repeated_bank(self.data.bank, self.draws)
        self._heads = _heads(self.params, self.data, self.n_epochs)

    def measure(self) -> None:
        """`n_epochs` epochs."""
        times = [time.perf_counter()]
        fit_heads(
            self._heads,
            self._bank,
            self.data.targets,
            batch_size=self.params.training.batch_size,
            report=lambda _: times.append(time.perf_counter()),
        )
        if np.isnan(self.first_epoch):
            self.first_epoch = times[1] - times[0]
        self.later_epoch.append((times[-1] - times[1]) / (self.n_epochs - 1))  # heads take turns: a mean over all


def repeated_bank(bank: NDArray[np.float16], draws: int) -> NDArray[np.float16]:
    """A bank of so many draws, those that there are repeated: what counts here is its size.

    Written into one new array, so that no more than the result is ever in memory beside `bank`.
    """
    repeated = np.empty((draws + 1, *bank.shape[1:]), bank.dtype)
    repeated[0] = bank[0]
    for draw in range(draws):
        repeated[draw + 1] = bank[1 + draw % (len(bank) - 1)]
    return repeated


def timings(
    length: Race, fitted: list[FittedFold], banks: list[BankSlices], stacks: list[StackSlices]
) -> dict[str, Any]:
    """What was sampled, and what it comes to for the whole race."""
    recipe = {
        "first_epoch": sample_summary([fold.epoch_seconds[0] for fold in fitted]),
        "later_epoch": sample_summary(np.concatenate([fold.epoch_seconds[1:] for fold in fitted])),
    }
    features: dict[str, Times] = {
        bank.precision: {"start": bank.start, "image": sample_summary(bank.image), "n_images": bank.n_images}
        for bank in banks
    }
    stack: dict[int, Times] = {
        each.draws: {"first_epoch": each.first_epoch, "later_epoch": sample_summary(each.later_epoch)}
        for each in stacks
    }
    return {
        "race": {"n_folds": length.n_folds, "n_epochs": length.n_epochs},
        "samples": {"recipe": recipe, "features": features, "stack": stack},
        "rows": race_rows(length, recipe, features, stack),
    }


def accuracy(
    params: Params, data: TrainingData, sizes: Sizes, heads: list[Head], fitted: list[FittedFold]
) -> dict[str, Any]:
    """Both after equally many epochs, on the subjects whose fold was run, and the paired difference (ours - recipe).

    Ours trains on the bank in use, whose draws come again once all were seen; the recipe draws anew every epoch.
    """
    ours = crossval.train(heads, data.bank, data.targets, params.training.batch_size, "our heads")
    our_probabilities = crossval.probabilities(crossval.out_of_fold_logits(heads, ours, data.bank[0]))
    rows = np.concatenate([fold.rows for fold in fitted])
    targets, theirs = data.targets[rows], np.concatenate([fold.probabilities for fold in fitted])
    mine = our_probabilities[rows]
    return {
        "n": len(rows),
        "epochs": sizes.n_epochs,
        "bank": {name: data.bank_record[name] for name in ("draws", "precision")},
        "recipe": binary_metrics(targets, theirs),
        "ours": binary_metrics(targets, mine),
        "ours_minus_recipe": compare_out_of_fold(targets, _predictions(mine), _predictions(theirs)),
    }


def parts(result: dict[str, Any]) -> list[str]:
    """Return seconds, samples, memory, accuracy and goals as Markdown."""
    length, samples, found = result["race"], result["samples"], result["accuracy"]
    n_images = " and ".join(f"{each['n_images']:,}" for each in samples["features"].values())
    return [
        f"Seconds for {length['n_folds']} folds of {length['n_epochs']} epochs, scaled from "
        f"{samples['recipe']['later_epoch']['n']} epochs of the recipe (the first of each fold apart), {n_images} "
        f"images of the bank ({' and '.join(samples['features'])}) and the epochs of the stack below. The recipe: "
        "8-bit PNGs, `ImageDataGenerator.flow_from_directory` with the augmentation of params.yaml, frozen "
        "InceptionV3, dense, dropout, dense, `fit` in float32. Ours: the bank of (draws + 1) x "
        f"{result['n_subjects']} images once, then all heads as one stack. With 16 draws the augmented images come "
        "again every 16 epochs; with 500 each epoch has its own, as in the recipe. First epochs and first batches, "
        "with tracing and compilation, are counted on both sides; the start of the programs, the writing of the PNGs "
        f"and the record in MLflow on neither.",
        _seconds_table(result["rows"]),
        _samples_table(samples),
        _memory_table(result["memory_mb"]),
        f"Accuracy of {found['n']} subjects ({result['cohort']}) out of fold after {found['epochs']} epochs of each "
        "fold, the steps of the learning rate pressed into them. The recipe draws its augmentation anew every epoch; "
        f"ours reuses {found['bank']['draws']} draws ({found['bank']['precision']}). The interval is a paired one, "
        "from a bootstrap of the subjects, and conditional on the fitted models.",
        _accuracy_table(found),
        goals_part(goals(result)),
    ]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals of the recipe's time over ours, and of the accuracy."""
    speed = {name: 1 / times["image"]["median"] for name, times in result["samples"]["features"].items()}
    speeds = " and ".join(f"{value:.0f} images/s in {name}" for name, value in speed.items())
    found = []
    for (draws, precision), wanted in RATIO_GOALS.items():
        (row,) = (row for row in result["rows"] if (row["draws"], row["precision"]) == (draws, precision))
        found.append(
            Goal(
                name=f"the recipe's time over ours, {draws} draws, {precision}",
                wanted=f"{wanted:.0f}",
                found=f"{row['ratio']:.1f}",
                met=row["ratio"] >= wanted,
                limit=f"the bank's {(draws + 1) * result['n_subjects']:,} images take "
                f"{row['bank_seconds'] / row['our_seconds']:.0%} of our time; the bank makes {speeds}.",
            )
        )
    after = result["accuracy"]
    value, low, high = (after["ours_minus_recipe"][f"accuracy_difference{end}"] for end in ("", "_low", "_high"))
    accuracy_goal = Goal(
        name=f"accuracy after {after['epochs']} epochs, ours minus the recipe's",
        wanted=f"not inferior: lower bound above -{ACCURACY_MARGIN:g} (our margin)",
        found=f"{value:+.4f} ({low:+.4f} to {high:+.4f})",
        met=low > -ACCURACY_MARGIN,
        limit=f"the interval reaches down to {low:+.4f}; with {after['n']} subjects it is {high - low:.4f} wide.",
    )
    return [*found, accuracy_goal]


def _seconds_table(rows: list[dict[str, Any]]) -> str:
    table = [["draws", "precision", "recipe, s", "bank, s", "stack, s", "ours, s", "recipe / ours"]]
    for row in rows:
        times = [f"{row[name]:,.0f}" for name in ("recipe_seconds", "bank_seconds", "stack_seconds", "our_seconds")]
        table.append([str(row["draws"]), row["precision"], *times, f"{row['ratio']:.1f}"])
    return markdown_table(table, n_text_columns=2)


def _samples_table(samples: dict[str, Any]) -> str:
    def cells(summary: dict[str, Any], digits: int) -> list[str]:
        median, low, high = (f"{summary[name]:.{digits}f}" for name in ("median", "low", "high"))
        return [median, f"{low} to {high}", str(summary["n"])]

    rows = [["sampled", "median, s", "10 to 90 %", "n"]]
    rows.append(["recipe, first epoch of a fold", *cells(samples["recipe"]["first_epoch"], 1)])
    rows.append(["recipe, later epoch", *cells(samples["recipe"]["later_epoch"], 2)])
    for precision, times in samples["features"].items():
        rows.append([f"bank, image, {precision}", *cells(times["image"], 5)])
        rows.append([f"bank, until the first batch is done, {precision}", f"{times['start']:.1f}", "", "1"])
    for draws, times in samples["stack"].items():
        rows.append([f"stack, later epoch, {draws} draws", *cells(times["later_epoch"], 3)])
        rows.append([f"stack, first epoch, {draws} draws", f"{times['first_epoch']:.1f}", "", "1"])
    return markdown_table(rows)


def _memory_table(memory: dict[str, int]) -> str:
    names = {"recipe": "recipe, one fold", "features": "ours: bank, any number of draws"}
    names |= {f"heads-{draws}": f"ours: stack, {draws} draws" for draws in DRAWS}
    rows = [[names[part], f"{mb:,}"] for part, mb in memory.items()]
    return markdown_table([["peak memory, each in a process of its own", "MB"], *rows])


def _accuracy_table(found: dict[str, Any]) -> str:
    rows = [["out of fold", "recipe", "ours", "ours - recipe (95 % interval)"]]
    for measure, name in (("accuracy", "accuracy"), ("roc_auc", "ROC AUC"), ("loss", "loss")):
        value, low, high = (found["ours_minus_recipe"][f"{measure}_difference{end}"] for end in ("", "_low", "_high"))
        interval = f"{value:+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append([name, f"{found['recipe'][measure]:.4f}", f"{found['ours'][measure]:.4f}", interval])
    return markdown_table(rows)


def _run_part(part: str, params: Params, data: TrainingData, folder: Path) -> None:
    """A little of one side, enough to reach its peak memory; only the stack holds a bank."""
    if part.startswith("heads-"):
        StackSlices(int(part.removeprefix("heads-")), params, data, 3).measure()
        return
    data = replace(data, bank=data.bank[:0].copy())
    images = read_array(IMAGES, memory_mapped=True)
    if part == "features":
        BankSlices("float32", params, images, folder).measure(0, 5 * BATCH_SIZE)
        return
    write_pngs(folder / "png", images)
    shape = images.shape[1:3]
    del images  # its pages count as memory of this process
    head = _heads(params, data, 2)[0]
    link_fold(folder / "png", folder / "fold", head, data.targets)
    fit_fold(frozen_base(WEIGHTS, shape), head, folder / "fold", params.augment, params.training.batch_size)


def _predictions(probabilities: NDArray[np.float64]) -> Predictions:
    return Predictions((probabilities >= 0.5).astype(np.int64), probabilities, probabilities)


def _heads(params: Params, data: TrainingData, n_epochs: int) -> list[Head]:
    """A head a fold; the steps of the learning rate are pressed into `n_epochs`."""
    training = params.training.model_copy(update={"epochs": n_epochs})
    return crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, training)


def _training_data() -> TrainingData:
    return read_training_data(TrainingInputs.within(IMAGES.parent, Path("data/features"), Path("data/splits.csv")))


def _arguments() -> argparse.Namespace:
    parser = page_parser(__doc__)
    parser.add_argument("--folds", type=int, default=10, help="folds of the recipe to run")
    parser.add_argument("--epochs", type=int, default=14, help="epochs of the recipe in each")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
