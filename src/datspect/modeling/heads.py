"""Describe a head on features (dense ReLU, dropout, dense sigmoid): what it is, how it starts, what it predicts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from datspect.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import keras

FINAL_HEAD = "final"
"""Name of the head that is trained on the whole training role."""


@dataclass(frozen=True)
class Head:
    """Say on which subjects one head is trained, and how.

    `train_rows`, `validation_rows`: shape (n,), indices of subjects in the bank (axis 1); `learning_rates`: shape
    (n_epochs,). Everything random in its training depends on `seed` alone. `weight_decay`: AdamW's, on kernels.
    """

    name: str
    train_rows: IntArray
    validation_rows: IntArray
    width: int
    dropout: float
    learning_rates: FloatArray
    seed: int
    weight_decay: float = 0.0


@dataclass(frozen=True)
class HeadWeights:
    """Hold the weights of a head: hidden kernel (F, D) and bias (D,), output kernel (D,) and bias (a number)."""

    kernel: FloatArray
    bias: FloatArray
    output_kernel: FloatArray
    output_bias: float


@dataclass(frozen=True, eq=False)
class FittedHead:
    """Hold a trained head: `weights` after the last epoch done, and `history`, curves of shape (E,) by name.

    A head that was fine-tuned together with its network also has `features`, shape (N, F), which that network makes of
    everybody's clean image, and `layers`, by name the arrays of the layers that training changed.
    """

    name: str
    weights: HeadWeights
    history: dict[str, FloatArray]
    features: FloatArray | None = None
    layers: dict[str, list[FloatArray]] = field(default_factory=dict)


def initial_weights(head: Head, n_features: int) -> HeadWeights:
    """Return Glorot-uniform kernels, drawn from the head's seed, and zero biases, as Keras' dense layers start."""
    rng = np.random.default_rng([head.seed, 0])
    return HeadWeights(
        kernel=_glorot_uniform(rng, n_features, head.width),
        bias=np.zeros(head.width, np.float32),
        output_kernel=_glorot_uniform(rng, head.width, 1)[:, 0],
        output_bias=0.0,
    )


def epoch_order(head: Head, epoch: int) -> tuple[IntArray, BoolArray]:
    """Return the training rows in the order of an epoch, shape (n,), and the units that dropout keeps, (n, width)."""
    rng = np.random.default_rng([head.seed, 1, epoch])
    order = rng.permutation(head.train_rows)
    return order, rng.random((len(order), head.width), np.float32) >= head.dropout


def logits(weights: HeadWeights, features: FloatArray) -> FloatArray:
    """Return the log odds of the positive class, shape (N,), for features of shape (N, F); dropout is off.

    >>> weights = HeadWeights(np.eye(2), np.zeros(2), np.array([1.0, -1.0]), 0.5)
    >>> logits(weights, np.array([[3.0, 1.0], [-1.0, 2.0]]))  # 3 - 1 + 0.5, and 0 - 2 + 0.5: ReLU cuts the -1
    array([ 2.5, -1.5])
    """
    hidden = np.maximum(features.astype(np.float32) @ weights.kernel + weights.bias, 0)
    return np.asarray(hidden @ weights.output_kernel + np.float32(weights.output_bias))


def build_head(weights: HeadWeights, dropout: float) -> "keras.Model":
    """Return the head as a Keras model of built-in layers: features, shape (N, F), in, probability, (N, 1), out."""
    import keras  # here, since heads that are trained are judged without it

    n_features, width = weights.kernel.shape
    model = keras.Sequential(
        [
            keras.Input((n_features,), name="features"),
            keras.layers.Dense(width, activation="relu", name="hidden"),
            keras.layers.Dropout(dropout, name="dropout"),
            keras.layers.Dense(1, activation="sigmoid", name="probability"),
        ],
        name="head",
    )
    model.set_weights(
        [weights.kernel, weights.bias, weights.output_kernel[:, None], np.array([weights.output_bias], np.float32)]
    )
    return model


def head_weights(model: "keras.Model") -> HeadWeights:
    """Return the weights that `build_head` received."""
    kernel, bias, output_kernel, output_bias = model.get_weights()
    return HeadWeights(kernel, bias, output_kernel[:, 0], float(output_bias[0]))


def _glorot_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> FloatArray:
    limit = np.sqrt(6 / (n_in + n_out))
    return rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32)
