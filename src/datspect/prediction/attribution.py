"""Tell which parts of an image a network's answer rests on, by integrated gradients of its log odds."""

from dataclasses import dataclass

import numpy as np

from datspect.arrays import FloatArray
from datspect.prediction.networks import Differentiable

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


class IntegratedGradients:
    """Attribute the log odds of a network to what it sees.

    The gradient is integrated along the straight line from a baseline to what is seen by Gauss-Legendre quadrature; the
    number of nodes is doubled until the sum is complete. Of a linear network every part gets its weight times its
    difference:

    >>> class Sums:
    ...     def log_odds(self, seen):
    ...         return seen.sum(axis=(1, 2, 3))
    ...
    ...     def gradient(self, seen):
    ...         return np.ones_like(seen)
    >>> found = IntegratedGradients(Sums()).attribute(np.array([[[3.0], [1.0]]]), baseline=np.zeros((1, 2, 1)))
    >>> found.values.round(3).tolist()
    [[[3.0], [1.0]]]
    >>> round(found.difference, 3), found.complete
    (4.0, True)

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365.
    """

    def __init__(self, network: Differentiable) -> None:
        self.network = network

    def attribute(self, image: FloatArray, baseline: FloatArray) -> Attribution:
        """Return the attributions of an image against a baseline; both of shape (H, W, C)."""
        ends = np.stack([baseline, image]).astype(np.float32)
        low, high = self.network.log_odds(ends).astype(np.float64)
        difference = float(high - low)
        steps = _FIRST_STEPS
        while True:
            values = self._integral(ends[1], ends[0], steps)
            error = abs(float(values.sum()) - difference) / max(abs(difference), LEAST_DIFFERENCE)
            if error <= COMPLETENESS or steps >= _MOST_STEPS:
                return Attribution(values, difference, error, steps)
            steps *= 2

    def _integral(self, image: FloatArray, baseline: FloatArray, steps: int) -> FloatArray:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        total = np.zeros(image.shape, np.float64)
        for start in range(0, steps, _BATCH):
            part = slice(start, start + _BATCH)
            places = ((nodes[part] + 1) / 2)[:, None, None, None].astype(np.float32)
            gradients = self.network.gradient(baseline + places * (image - baseline))
            total += (weights[part][:, None, None, None] / 2 * gradients).sum(axis=0)
        return np.asarray(total * (image - baseline))
