"""A classifier head (dense ReLU, dropout, dense sigmoid) on features: what it is, how it starts, what it predicts."""

from dataclasses import dataclass, field

import keras
import numpy as np

from datspect.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Head:
    """One head to train: on which rows of the bank, and how.

    `train_rows`, `validation_rows`: indices of subjects in the bank (axis 1); `learning_rates`: shape (n_epochs,).
    Everything random in its training depends on `seed` alone.
    """

    name: str
    train_rows: IntArray
    validation_rows: IntArray
    width: int
    dropout: float
    learning_rates: FloatArray
    seed: int


@dataclass(frozen=True)
class HeadWeights:
    """A head's weights: hidden kernel (F, D) and bias (D,), output kernel (D,) and bias (a number)."""

    kernel: FloatArray
    bias: FloatArray
    output_kernel: FloatArray
    output_bias: float


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A trained head: `weights` after the last epoch done and `history`, curves of shape (epochs done,) by name.

    A head that was fine-tuned together with its network has, besides, `features`, shape (N, F), what that network makes
    of everybody's clean image, and `layers`, by name the arrays of the layers that training changed.
    """

    name: str
    weights: HeadWeights
    history: dict[str, FloatArray]
    features: FloatArray | None = None
    layers: dict[str, list[FloatArray]] = field(default_factory=dict)


def initial_weights(head: Head, n_features: int) -> HeadWeights:
    """Glorot-uniform kernels and zero biases, as Keras' dense layers start, drawn from the head's seed."""
    rng = np.random.default_rng([head.seed, 0])
    return HeadWeights(
        kernel=_glorot_uniform(rng, n_features, head.width),
        bias=np.zeros(head.width, np.float32),
        output_kernel=_glorot_uniform(rng, head.width, 1)[:, 0],
        output_bias=0.0,
    )


def epoch_order(head: Head, epoch: int) -> tuple[IntArray, BoolArray]:
    """The training rows in the order of an epoch, shape (n,), and the hidden units that dropout keeps, (n, width)."""
    rng = np.random.default_rng([head.seed, 1, epoch])
    order = rng.permutation(head.train_rows)
    return order, rng.random((len(order), head.width), np.float32) >= head.dropout


def logits(weights: HeadWeights, features: FloatArray) -> FloatArray:
    """Log odds of the positive class, shape (N,) for features of shape (N, F); dropout is off."""
    hidden = np.maximum(features.astype(np.float32) @ weights.kernel + weights.bias, 0)
    return np.asarray(hidden @ weights.output_kernel + np.float32(weights.output_bias))


def build_head(weights: HeadWeights, dropout: float) -> keras.Model:
    """The head as a Keras model of built-in layers: features (N, F) in, probability (N, 1) out."""
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


def head_weights(model: keras.Model) -> HeadWeights:
    """What `build_head` was given."""
    kernel, bias, output_kernel, output_bias = model.get_weights()
    return HeadWeights(kernel, bias, output_kernel[:, 0], float(output_bias[0]))


def _glorot_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> FloatArray:
    limit = np.sqrt(6 / (n_in + n_out))
    return rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32)
