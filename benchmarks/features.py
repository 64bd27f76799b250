"""Speed and memory of the feature stage.

Speed, by precision: images a second of the bank (augmentation and writing included), of `predict` on clean images, and
both against the machine's own peak, a large matrix product in TensorFlow on the same threads. All take turns in one
process. Memory: the peak of a bank of 32 subjects at 4, 16 and 64 draws, each in a process of its own. Random weights:
neither speed nor memory depends on them.

    python benchmarks/features.py [--quick] [--json FILE] [--into PAGE]
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import keras
import numpy as np

from datspect.imaging.augmentation import draw_augmentations
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.features import BATCH_SIZE, bank_blocks, build_extractor
from datspect.modeling.precision import Precision, computing_in
from datspect.params.network import AugmentParams
from datspect.reporting.markdown import markdown_table
from datspect.training.bank import write_bank
from measuring import Goal, alternating, goals_part, page_parser, peak_memory_of, publish
from projection import convolution_flop

IMAGE_SHAPE = (109, 91)
MATRIX_SIZE = 3072
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
MEMORY_DRAWS = (4, 16, 64)
PREDICT_GOAL = 0.8


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        run_bank(arguments.memory_of)
        return
    n_images, n_rounds = (2 * BATCH_SIZE, 2) if arguments.quick else (6 * BATCH_SIZE, 5)
    memory_draws = MEMORY_DRAWS[:1] if arguments.quick else MEMORY_DRAWS
    result = {
        "n_images": n_images,
        "n_rounds": n_rounds,
        "matrix_size": MATRIX_SIZE,
        "speed": {precision: speed(precision, n_images, n_rounds) for precision in PRECISIONS},
        "memory_mb": {str(d): peak_memory_of(__file__, "--memory-of", str(d)) for d in memory_draws},
    }
    publish(arguments, parts(result), result)


def speed(precision: Precision, n_images: int, n_rounds: int) -> dict[str, float]:
    """Images a second of bank and `predict`, GFLOP of an image, and GFLOP/s of the bank and of a matrix product."""
    backbone = random_backbone(precision)
    with tempfile.TemporaryDirectory() as folder:
        works = {
            "bank": bank_work(backbone, n_images, Path(folder)),
            "predict": predict_work(backbone, n_images),
            "matrix": matrix_work(precision),
        }
        alternating(works, 1)  # compiles and warms up
        median = {name: statistics.median(times) for name, times in alternating(works, n_rounds).items()}
    gflop = forward_gflop(backbone)
    return {
        "bank_images_per_second": n_images / median["bank"],
        "predict_images_per_second": n_images / median["predict"],
        "gflop_per_image": gflop,
        "bank_gflop_per_second": gflop * n_images / median["bank"],
        "predict_gflop_per_second": gflop * n_images / median["predict"],
        "matrix_gflop_per_second": 2 * MATRIX_SIZE**3 / 1e9 / median["matrix"],
    }


def bank_work(backbone: keras.Model, n_images: int, folder: Path) -> Callable[[], None]:
    """Write a bank of `n_images` images, a quarter of them clean."""
    draws = 3
    images = random_images(n_images // (draws + 1))
    augmentations = draw_augmentations(augment_params(draws), len(images), IMAGE_SHAPE)
    extractor = build_extractor(backbone)
    shape = (draws + 1, len(images), backbone.output_shape[-1])
    return lambda: write_bank(folder / "bank.npy", shape, bank_blocks(extractor, images, augmentations))


def predict_work(backbone: keras.Model, n_images: int) -> Callable[[], None]:
    """`predict` on images that are in memory, the faster way on CPUs: nothing is given away to the bank."""
    resident = random_images(n_images)
    backbone.compile(jit_compile=False)
    return lambda: backbone.predict(resident, batch_size=BATCH_SIZE, verbose=0)


def matrix_work(precision: Precision) -> Callable[[], None]:
    """A large square matrix product in TensorFlow, which is as fast as the machine gets there."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    left, right = (
        tf.constant(rng.random((MATRIX_SIZE, MATRIX_SIZE), np.float32), dtype=getattr(tf, precision)) for _ in range(2)
    )
    product = tf.function(lambda: tf.reduce_sum(tf.cast(tf.matmul(left, right)[:1], tf.float32)))
    return lambda: product().numpy()


def forward_gflop(model: keras.Model) -> float:
    """GFLOP (a multiplication and an addition are two) of the convolutions of one image; the rest is below 1 %.

    Raises
    ------
    ValueError : a layer with another kind of kernel.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            total += convolution_flop(layer.output.shape[1:3], layer.kernel.shape)
        elif hasattr(layer, "kernel"):
            raise ValueError(f"layer {layer.name}: operations of {type(layer).__name__} are not counted here")
    return total / 1e9


def run_bank(draws: int) -> None:
    """A bank of 32 subjects."""
    images = random_images(32)
    augmentations = draw_augmentations(augment_params(draws), len(images), IMAGE_SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        blocks = bank_blocks(build_extractor(random_backbone("float32")), images, augmentations)
        write_bank(Path(folder) / "bank.npy", (draws + 1, len(images), 2048), blocks)


def random_backbone(precision: Precision) -> keras.Model:
    """InceptionV3 that computes in `precision`."""
    with computing_in(precision):
        backbone = build_backbone("InceptionV3", IMAGE_SHAPE)
    set_random_weights(backbone, seed=0)
    return backbone


def random_images(n: int) -> np.ndarray:
    """Noise in [0, 1]."""
    return np.random.default_rng(0).random((n, *IMAGE_SHAPE, 3), np.float32)


def augment_params(draws: int) -> AugmentParams:
    """The default ranges."""
    return AugmentParams(draws=draws, width_shift=0.05, height_shift=0.05, horizontal_flip=True, brightness=0.1, seed=0)


def parts(result: dict[str, Any]) -> list[str]:
    """Return the speeds, the memory and the goals as Markdown."""
    head = ["precision", "bank, images/s", "predict, images/s", "bank / predict", "bank, GFLOP/s", "matrix, GFLOP/s"]
    rows, goals = [[*head, "bank / matrix"]], []
    for precision, row in result["speed"].items():
        bank, predict = row["bank_images_per_second"], row["predict_images_per_second"]
        of_bank, of_matrix = row["bank_gflop_per_second"], row["matrix_gflop_per_second"]
        speeds = [f"{bank:.0f}", f"{predict:.0f}", f"{bank / predict:.0%}", f"{of_bank:.0f}", f"{of_matrix:.0f}"]
        rows.append([precision, *speeds, f"{of_bank / of_matrix:.0%}"])
        goals.append(
            Goal(
                name=f"bank's throughput against predict, {precision}",
                wanted=f"at least {PREDICT_GOAL:.0%}",
                found=f"{bank / predict:.0%}",
                met=bank >= PREDICT_GOAL * predict,
                limit=f"an image takes {1000 / bank:.1f} ms in the bank and {1000 / predict:.1f} ms in predict.",
            )
        )
    gflop = next(iter(result["speed"].values()))["gflop_per_image"]
    memory = ", ".join(f"{mb} MB at {draws}" for draws, mb in result["memory_mb"].items())
    return [
        "The bank (augmentation and writing included) against `predict` on clean images in memory and against a "
        f"matrix product of {MATRIX_SIZE} x {MATRIX_SIZE}: {result['n_images']} images, median of "
        f"{result['n_rounds']} rounds. An image takes {gflop:.2f} GFLOP (counted over the convolutions).",
        markdown_table(rows),
        f"Peak memory by draws, 32 subjects, float32: {memory}.",
        goals_part(goals),
    ]


if __name__ == "__main__":
    main()
