"""Speed and memory of the feature stage: images per second against `predict`, and peak memory as draws grow.

    python benchmarks/features.py speed
    python benchmarks/features.py memory

`speed` interleaves the bank and `predict` on one resident batch in one process; `memory` runs the bank at 4, 16 and 64
draws, each in a process of its own. Random weights: neither speed nor memory depends on them.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from datspect.imaging.augmentation import draw_augmentations
from datspect.io.bank import write_bank
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.features import BATCH_SIZE, bank_blocks, build_extractor
from datspect.modeling.precision import Precision, choose_precision, computing_in
from datspect.params import AugmentParams

IMAGE_SHAPE = (109, 91)
N_IMAGES = 12 * BATCH_SIZE
N_ROUNDS = 5


def main(what: str = "speed", *options: str) -> None:
    """Run one measurement."""
    match what:
        case "speed":
            speed()
        case "memory":
            memory()
        case "memory-of":
            print(peak_megabytes(int(options[0])))


def speed() -> None:
    """Print a row for each precision."""
    print(f"{N_IMAGES} images, median of {N_ROUNDS} interleaved rounds; auto is {choose_precision('auto')} here")
    print(f"{'precision':<10} {'bank':>9} {'predict':>9} {'ratio':>7}   images/s")
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        bank, predict = images_per_second(precision)
        print(f"{precision:<10} {bank:>9.0f} {predict:>9.0f} {bank / predict:>7.0%}", flush=True)


def images_per_second(precision: Precision) -> tuple[float, float]:
    """Medians for the bank, augmentation and writing included, and for `predict` on clean images."""
    backbone = random_backbone(precision)
    backbone.compile(jit_compile=False)  # the faster way on CPUs: nothing is given away to the bank
    draws = 3
    images = random_images(N_IMAGES // (draws + 1))
    resident = random_images(N_IMAGES)
    augmentations = draw_augmentations(augment_params(draws), len(images), IMAGE_SHAPE)

    def predict() -> None:
        backbone.predict(resident, batch_size=BATCH_SIZE, verbose=0)

    extractor = build_extractor(backbone)
    next(bank_blocks(extractor, images, augmentations))  # compiles
    backbone.predict(resident[:BATCH_SIZE], batch_size=BATCH_SIZE, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.npy"

        def bank() -> None:
            write_bank(path, (draws + 1, len(images), 2048), bank_blocks(extractor, images, augmentations))

        rounds = [(seconds(bank), seconds(predict)) for _ in range(N_ROUNDS)]
    bank_seconds, predict_seconds = (statistics.median(column) for column in zip(*rounds, strict=True))
    return N_IMAGES / bank_seconds, N_IMAGES / predict_seconds


def memory() -> None:
    """Print a row for each number of draws."""
    print("draws   peak memory (MB), 32 subjects, float32")
    for draws in (4, 16, 64):
        answer = subprocess.run(
            [sys.executable, __file__, "memory-of", str(draws)], check=True, capture_output=True, text=True
        )
        print(f"{draws:>5}   {int(answer.stdout.split()[-1]):>6}", flush=True)


def peak_megabytes(draws: int) -> int:
    """Peak resident memory of this process after a bank of 32 subjects."""
    images = random_images(32)
    augmentations = draw_augmentations(augment_params(draws), len(images), IMAGE_SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        blocks = bank_blocks(build_extractor(random_backbone("float32")), images, augmentations)
        write_bank(Path(folder) / "bank.npy", (draws + 1, len(images), 2048), blocks)
    in_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return in_kilobytes // (1 if sys.platform != "darwin" else 1024) // 1024


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


def seconds(work: Callable[[], None]) -> float:
    """Wall-clock time of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
