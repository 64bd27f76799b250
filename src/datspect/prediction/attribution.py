"""Tell which parts of an image a network's answer rests on, by integrated gradients of its log odds."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from datspect.arrays import FloatArray
from datspect.modeling.compilation import gradient_of

COMPLETENESS = 0.01
"""The attributions must add up to the difference of the log odds within this share of it."""
LEAST_DIFFERENCE = 0.05
"""A smaller difference of log odds counts as this much, about a hundredth in probability, in that share."""
_FIRST_STEPS, _MOST_STEPS = 32, 1024
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Attribution:
    """Parts of one image's log odds that add up to `difference` within `error`.

    values : shape (H, W, C), in log odds, positive towards PD
    difference : log odds of the image minus those of the baseline
    error : how far the sum of `values` is off, as a share of the difference
    steps : points at which the gradient was taken
    """

    values: FloatArray
    difference: float
    error: float
    steps: int

    @property
    def complete(self) -> bool:
        """Whether the values add up to the difference within `COMPLETENESS`."""
        return self.error <= COMPLETENESS


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


class IntegratedGradients:
    """Attribute the log odds of one model to its images; the gradient is compiled once.

    The model maps images, shape (N, H, W, C), to log odds, shape (N, 1). Its gradient is integrated along the straight
    line from a baseline to the image by Gauss-Legendre quadrature; the number of nodes is doubled until the sum is
    complete. Of a linear model every part gets its weight times its difference:

    >>> inputs = keras.Input((1, 2, 1))
    >>> log_odds = keras.layers.Dense(1, kernel_initializer="ones")(keras.layers.Flatten()(inputs))
    >>> gradients = IntegratedGradients(keras.Model(inputs, log_odds))
    >>> found = gradients.attribute(image=np.array([[[3.0], [1.0]]]), baseline=np.zeros((1, 2, 1)))
    >>> found.values.round(3).tolist()
    [[[3.0], [1.0]]]
    >>> round(found.difference, 3), found.complete
    (4.0, True)

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._gradient = gradient_of(model)

    def attribute(self, image: FloatArray, baseline: FloatArray) -> Attribution:
        """Return the attributions of an image against a baseline; both of shape (H, W, C)."""
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
