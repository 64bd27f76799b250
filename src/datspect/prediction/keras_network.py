"""Answer by a whole model in Keras."""

from functools import cached_property
from pathlib import Path
from typing import Self

import keras
import numpy as np

from datspect.arrays import FloatArray
from datspect.modeling.compilation import gradient_of
from datspect.modeling.folding import folded
from datspect.modeling.model_files import read_model
from datspect.prediction.networks import BATCH_SIZE, GRADIENTS_AT_ONCE, Outputs

_FEW = 8
"""So few images are predicted without compiling a program, which would take longer than they do."""
_SIZES = (1, _FEW, BATCH_SIZE)
"""A program is compiled for each of these numbers of images."""


class KerasNetwork:
    """A whole model, features and head, as a `Network`; its programs are built when they are first asked for.

    One that `stays`, in a server, compiles programs for few images too.
    """

    def __init__(self, model: keras.Model, *, stays: bool = False) -> None:
        self._model = folded(model)
        self._stays = stays

    @classmethod
    def read(cls, path: Path, *, stays: bool = False) -> Self:
        """Read the model in safe mode.

        Raises
        ------
        WeightsError : it is missing, or no Keras model.
        """
        return cls(read_model(path), stays=stays)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self._model.input_shape[1:])

    def outputs(self, seen: FloatArray) -> Outputs:
        """Return features and probabilities."""
        if len(seen) <= _FEW and not self._stays:
            features, probabilities = (keras.ops.convert_to_numpy(each) for each in self._network(seen))
        else:
            size = next((size for size in _SIZES if self._stays and len(seen) <= size), BATCH_SIZE)
            filled = _filled_up(seen, size)
            batches = [
                self._network.predict_on_batch(filled[start : start + size]) for start in range(0, len(filled), size)
            ]
            features, probabilities = (np.concatenate(each) for each in zip(*batches, strict=True))
        return Outputs(np.asarray(features)[: len(seen)], np.asarray(probabilities)[: len(seen), 0])

    def log_odds(self, seen: FloatArray) -> FloatArray:
        """Return the log odds of PD, shape (N,)."""
        return self._differentiable.log_odds(seen)

    def gradient(self, seen: FloatArray) -> FloatArray:
        """Return the gradient of the log odds, of the shape of `seen`."""
        return self._differentiable.gradient(seen)

    @cached_property
    def _network(self) -> keras.Model:
        features = self._model.get_layer("features").output
        return keras.Model(self._model.input, [features, self._model.output], name="predictor")

    @cached_property
    def _differentiable(self) -> "DifferentiableModel":
        return DifferentiableModel(logit_model(self._model))


class DifferentiableModel:
    """A Keras model from images, shape (N, ...), to log odds, shape (N, 1), as `Differentiable`."""

    def __init__(self, model: keras.Model) -> None:
        self._model, self._gradient = model, gradient_of(model)

    def log_odds(self, seen: FloatArray) -> FloatArray:
        """Return the log odds, shape (N,)."""
        return np.asarray(keras.ops.convert_to_numpy(self._model(seen)))[:, 0]

    def gradient(self, seen: FloatArray) -> FloatArray:
        """Return the gradient of the log odds, of the shape of `seen`."""
        filled, size = _filled_up(seen, GRADIENTS_AT_ONCE), GRADIENTS_AT_ONCE
        gradients = [self._gradient(filled[start : start + size]) for start in range(0, len(filled), size)]
        return np.concatenate(gradients)[: len(seen)]


def _filled_up(seen: FloatArray, size: int) -> FloatArray:
    """Return whole batches of `size`: a program is compiled for each size of a batch, which takes seconds."""
    return np.concatenate([seen, np.repeat(seen[-1:], -len(seen) % size, axis=0)])


def logit_model(model: keras.Model) -> keras.Model:
    """Return a whole classifier without its last sigmoid; it shares the weights.

    The model maps images, shape (N, H, W, C), to log odds of PD, shape (N, 1).
    """
    *hidden, last = model.get_layer("head").layers
    x = model.get_layer("features").output
    for layer in hidden:
        x = layer(x)
    linear = keras.layers.Dense(1, name="log_odds")
    log_odds = linear(x)
    linear.set_weights(last.get_weights())
    return keras.Model(model.input, log_odds, name="log_odds")
