"""Hold what the stack of heads and the fine-tuned network share: batches, and the arithmetic of one step of training.

docs/shapes.md explains every axis and array. In the shapes here `...` is the axis K of a stack, and nothing for the
one head of a network. The arithmetic is written in `keras.ops`; Adam too, because Keras' own optimizers cannot step
within a compiled TensorFlow loop.

References
----------
Kingma, Ba, "Adam: a method for stochastic optimization" (2015), arXiv:1412.6980; Keras' variant of epsilon.
Loshchilov, Hutter, "Decoupled weight decay regularization" (2019), arXiv:1711.05101.
"""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from datspect.arrays import FloatArray
from datspect.modeling.heads import Head

CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7

Tensor = Any
"""A tensor of the backend; before it enters a compiled program, a NumPy array."""


class Rows(NamedTuple):
    """Which subjects stand in a batch, or in many: three arrays of one shape.

    index : int32, the row of the flat bank or of the images
    target : float32, 0 or 1
    real : bool, False where a place is filled up and does not count
    """

    index: Tensor
    target: Tensor
    real: Tensor


class TrainingBatches(NamedTuple):
    """What S steps of one epoch train on.

    rows : each array of shape (S, ..., B)
    keep : bool, shape (S, ..., B, D), the hidden units that dropout keeps
    kept_scale : float32, shape (...), the factor on the units that dropout keeps
    rate : float32, shape (...), the learning rate
    """

    rows: Rows
    keep: Tensor
    kept_scale: Tensor
    rate: Tensor

    def of_step(self, step: Tensor) -> tuple[Rows, Tensor]:
        """Return the rows of one step and dropout's factor on each hidden unit, shape (..., B, D)."""
        factor = ops.cast(self.keep[step], "float32") * self.kept_scale[..., None, None]
        return Rows(*(array[step] for array in self.rows)), factor


class HeadTensors(NamedTuple):
    """One tensor for each weight of a head: the weights, their gradients, or one of Adam's moments.

    kernel : shape (..., F, D)
    bias, output_kernel : shape (..., D)
    output_bias : shape (...)
    """

    kernel: Tensor
    bias: Tensor
    output_kernel: Tensor
    output_bias: Tensor


def hidden_units(head: HeadTensors, features: Tensor) -> Tensor:
    """Return the hidden layer before dropout, shape (..., B, D), for features of shape (..., B, F)."""
    return ops.relu(ops.matmul(features, head.kernel) + head.bias[..., None, :])


def log_odds(head: HeadTensors, hidden: Tensor) -> Tensor:
    """Return the log odds of the positive class, shape (..., B), for a hidden layer of shape (..., B, D)."""
    return ops.sum(hidden * head.output_kernel[..., None, :], axis=-1) + head.output_bias[..., None]


def loss_and_right(scores: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return sums over the real rows, shape (...): the binary cross-entropy, and right answers at 0.5.

    `scores`: log odds; they and each array of `rows` have shape (..., B).
    """
    real = ops.cast(rows.real, "float32")
    losses = ops.relu(scores) - scores * rows.target + ops.log1p(ops.exp(-ops.abs(scores)))
    right = ops.cast(ops.equal(scores > 0, rows.target > 0.5), "float32")
    return ops.sum(losses * real, axis=-1), ops.sum(right * real, axis=-1)


def corrected_rate(rate: Tensor, n_steps: Tensor) -> Tensor:
    """Return the learning rate of step `n_steps` (from 1) that makes up for moments that started at zero."""
    return rate * ops.sqrt(1 - BETA_2**n_steps) / (1 - BETA_1**n_steps)


def adam(weight: Tensor, first: Tensor, second: Tensor, gradient: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
    """Return the new weight and its new first and second moment, all of one shape; `rate` is a corrected one."""
    new_first = first + (gradient - first) * (1 - BETA_1)
    new_second = second + (gradient * gradient - second) * (1 - BETA_2)
    return weight - rate * new_first / (ops.sqrt(new_second) + EPSILON), new_first, new_second


def history(head: Head, sums: FloatArray) -> dict[str, FloatArray]:
    """Return the curves of a head by name, each of shape (E,), for the epochs that are done.

    `sums`: shape (E, 4), of loss and of right answers, in training and in validation.
    """
    # A head without validation rows (a final model, whose test set is looked at once) has no validation curve.
    n_train, n_validation = len(head.train_rows), len(head.validation_rows) or np.nan
    means = sums / np.array([n_train, n_train, n_validation, n_validation])
    rates = np.asarray(head.learning_rates[: len(sums)], np.float64)
    return dict(zip(CURVES, [*means.T, rates], strict=True))
