"""Which parts of an image a network's answer rests on: integrated gradients of its log odds."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from datspect.arrays import FloatArray
from datspect.modeling.compilation import gradient_of

COMPLETENESS = 0.01
"""The attributions must add up to the difference of the log odds within this share of it."""
LEAST_DIFFERENCE = 0.05
"""Smallest difference of log odds that the share is taken of: about a hundredth in probability."""
_FIRST_STEPS, _MOST_STEPS = 32, 1024
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Attribution:
    """`values`: shape (H, W, C), in log odds, positive towards PD; they add up to `difference` within `error`.

    `difference` : log odds of the image less those of the baseline
    `error` : how far the sum is off, as a share of the difference
    """

    values: FloatArray
    difference: float
    error: float
    steps: int

    @property
    def complete(self) -> bool:
        """Whether the values add up as they must."""
        return self.error <= COMPLETENESS


def logit_model(model: keras.Model) -> keras.Model:
    """A whole classifier without its last sigmoid: images to log odds of PD, shape (N, 1); weights are shared."""
    *hidden, last = model.get_layer("head").layers
    x = model.get_layer("features").output
    for layer in hidden:
        x = layer(x)
    linear = keras.layers.Dense(1, name="log_odds")
    log_odds = linear(x)
    linear.set_weights(last.get_weights())
    return keras.Model(model.input, log_odds, name="log_odds")


class IntegratedGradients:
    """Attributions of one model, images to log odds of shape (N, 1); the gradient is compiled once.

    The gradient is integrated on the straight way from a baseline to the image, with Gauss-Legendre nodes, doubled
    until the sum is complete.

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._gradient = gradient_of(model)

    def attribute(self, image: FloatArray, baseline: FloatArray) -> Attribution:
        """Attributions of an image, shape (H, W, C), against a baseline of the same shape."""
        ends = np.stack([baseline, image]).astype(np.float32)
        low, high = np.asarray(keras.ops.convert_to_numpy(self.model(ends)), np.float64)[:, 0]
        difference = float(high - low)
        steps = _FIRST_STEPS
        while True:
            values = _integral(self._gradient, ends[1], ends[0], steps)
            error = abs(float(values.sum()) - difference) / max(abs(difference), LEAST_DIFFERENCE)
            if error <= COMPLETENESS or steps >= _MOST_STEPS:
                return Attribution(values, difference, error, steps)
            steps *= 2


def _integral(
    gradient: Callable[[FloatArray], FloatArray], image: FloatArray, baseline: FloatArray, steps: int
) -> FloatArray:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    total = np.zeros(image.shape, np.float64)
    for start in range(0, steps, _BATCH):
        part = slice(start, start + _BATCH)
        places = ((nodes[part] + 1) / 2)[:, None, None, None].astype(np.float32)
        gradients = gradient(baseline + places * (image - baseline))
        total += (weights[part][:, None, None, None] / 2 * gradients).sum(axis=0)
    return np.asarray(total * (image - baseline))
