"""Compute the bank of features: each clean and augmented image goes through the frozen network once, for everyone."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.errors import WeightsError
from datspect.imaging.augmentation import Augmentations
from datspect.modeling.augmentation import Augment, augmentation_parameters, no_change
from datspect.modeling.compilation import hold_float32
from datspect.modeling.folding import folded

BATCH_SIZE = 64
"""Images in every forward pass, so that one compiled program serves all."""


def build_extractor(backbone: keras.Model) -> keras.Model:
    """Return augmentation and backbone, its batch normalisation folded, as one model.

    It takes images, shape (N, rows, columns, 3), and parameters, shape (N, 4), and returns features, shape (N, F).
    """
    hold_float32()
    image = keras.Input(backbone.input_shape[1:], name="image", dtype="float32")
    parameters = keras.Input((4,), name="augmentation", dtype="float32")
    extractor = keras.Model([image, parameters], folded(backbone)(Augment()(image, parameters)), name="extractor")
    # XLA halves TensorFlow's speed on CPUs; JAX has nothing else.
    extractor.compile(jit_compile=keras.config.backend() == "jax")
    return extractor


def bank_blocks(
    extractor: keras.Model, images: FloatArray, augmentations: Augmentations, batch_size: int = BATCH_SIZE
) -> Iterator[NDArray[np.float16]]:
    """Yield the rows of the bank, shape (draws + 1, N, F), in order and in blocks of shape (images, F).

    Parameters
    ----------
    extractor : as from `build_extractor`
    images : shape (N, rows, columns, 3), in [0, 1]; may be memory-mapped
    augmentations : shape (draws, N); before them comes the clean image as draw 0

    Raises
    ------
    WeightsError : a feature is not finite, or too large for float16.
    """
    n_subjects, n_images = len(images), n_bank_images(augmentations)
    for start in range(0, n_images, batch_size):
        rows = np.arange(start, min(start + batch_size, n_images))
        draws, subjects = np.divmod(rows, n_subjects)
        batch = _padded(np.asarray(images[subjects], np.float32), batch_size)
        parameters = _padded(_parameters(augmentations, draws, subjects), batch_size)
        yield _stored(extractor.predict_on_batch([batch, parameters])[: len(rows)])


def precision_error(extractor: keras.Model, exact: keras.Model, images: FloatArray) -> float:
    """Return the error of features against `exact`, the same extractor in float32: RMS of the difference over the RMS.

    It is the larger error of two passes over one full batch of `images`, shape (N, rows, columns, 3): a wrong routine
    of the processor need not be wrong the same way twice. It is NaN where a feature is.
    """
    batch = _padded(np.asarray(images[:BATCH_SIZE], np.float32), BATCH_SIZE)
    arguments = [batch, no_change(BATCH_SIZE)]
    expected = np.asarray(exact.predict_on_batch(arguments), np.float64)
    passes = np.stack([np.asarray(extractor.predict_on_batch(arguments), np.float64) for _ in range(2)])
    return float(np.sqrt(((passes - expected) ** 2).mean(axis=(1, 2)) / (expected**2).mean()).max())


def clean_features(backbone: keras.Model, images: FloatArray) -> FloatArray:
    """Return the features, shape (N, F), float32, of images as they are, shape (N, rows, columns, 3)."""
    blocks = [np.asarray(images[start : start + BATCH_SIZE], np.float32) for start in range(0, len(images), BATCH_SIZE)]
    return np.concatenate([backbone.predict_on_batch(_padded(block, BATCH_SIZE))[: len(block)] for block in blocks])


def n_bank_images(augmentations: Augmentations) -> int:
    """Return how many images the bank of these augmentations, shape (draws, N), holds, the clean ones included."""
    n_draws, n_subjects = augmentations.flip.shape
    return int((n_draws + 1) * n_subjects)


def _parameters(augmentations: Augmentations, draws: NDArray[Any], subjects: NDArray[Any]) -> FloatArray:
    parameters = no_change(len(draws))
    augmented = draws > 0
    parameters[augmented] = augmentation_parameters(augmentations[draws[augmented] - 1, subjects[augmented]])
    return parameters


def _padded(values: FloatArray, n_rows: int) -> FloatArray:
    """Return `values` with the last row repeated up to `n_rows` rows."""
    return np.concatenate([values, np.repeat(values[-1:], n_rows - len(values), axis=0)])


def _stored(features: FloatArray) -> NDArray[np.float16]:
    largest = np.abs(features).max()
    if not largest <= np.finfo(np.float16).max:  # NaN is caught as well
        raise WeightsError(
            f"a feature of the backbone is {largest:g}: not a finite number within float16; its weights do not fit "
            "images in [0, 1], or are damaged"
        )
    return features.astype(np.float16)
