"""What happens to each augmented image: shifts, flip and brightness, drawn in NumPy from seeds alone."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import BoolArray
from datspect.params.network import AugmentParams


class _Stream(IntEnum):
    """Keeps the random numbers of one purpose apart from those of another under the same seed."""

    AUGMENTATION = 0
    DRAW_ORDER = 1


@dataclass(frozen=True)
class Augmentations:
    """One augmentation per element; all arrays have the same shape, (draws, subjects) as drawn."""

    shift_rows: NDArray[np.float32]  # pixels; positive moves the content down
    shift_columns: NDArray[np.float32]  # pixels; positive moves the content to the right
    flip: BoolArray  # left to right, after the shift
    brightness: NDArray[np.float32]  # factor on the pixel values

    def __getitem__(self, index: object) -> Self:
        """The same selection from each array."""
        return type(self)(
            shift_rows=self.shift_rows[index],  # type: ignore[call-overload]
            shift_columns=self.shift_columns[index],  # type: ignore[call-overload]
            flip=self.flip[index],  # type: ignore[call-overload]
            brightness=self.brightness[index],  # type: ignore[call-overload]
        )


def draw_augmentations(params: AugmentParams, n_subjects: int, image_shape: tuple[int, int]) -> Augmentations:
    """`params.draws` augmentations for each subject, shape (draws, subjects).

    Element (d, i) depends on the seed, i, d, the ranges and `image_shape` (rows, columns) alone: more draws or more
    subjects leave the others as they were, and so does switching one kind of augmentation off.
    """
    rows, columns = image_shape
    uniform = np.stack(  # (draws, subjects, 4), in [0, 1)
        [_generator(params.seed, _Stream.AUGMENTATION, i).random((params.draws, 4)) for i in range(n_subjects)], axis=1
    )
    signed = 2.0 * uniform - 1.0
    return Augmentations(
        shift_rows=(signed[..., 0] * params.height_shift * rows).astype(np.float32),
        shift_columns=(signed[..., 1] * params.width_shift * columns).astype(np.float32),
        flip=(uniform[..., 2] < 0.5) & params.horizontal_flip,
        brightness=(1.0 + signed[..., 3] * params.brightness).astype(np.float32),
    )


def draw_order(seed: int, n_subjects: int, n_epochs: int, n_draws: int) -> NDArray[np.intp]:
    """The draw (0 to n_draws - 1) that each subject uses in each epoch, shape (epochs, subjects).

    A subject goes through all draws in random order before one comes again, then through all in a new order. Its
    column depends on (seed, subject, n_draws) alone: more subjects or more epochs leave it as it was.
    """
    n_cycles = -(-n_epochs // n_draws)
    keys = np.stack(  # (cycles, draws, subjects)
        [_generator(seed, _Stream.DRAW_ORDER, i).random((n_cycles, n_draws)) for i in range(n_subjects)], axis=-1
    )
    return np.argsort(keys, axis=1, kind="stable").reshape(n_cycles * n_draws, n_subjects)[:n_epochs]


def _generator(seed: int, stream: _Stream, subject: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, subject)))
