"""Tell which parts of an image a network's answer rests on, by integrated gradients of its log odds."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from datspect.arrays import FloatArray
from datspect.imaging.volume import FWHM_PER_SD
from datspect.prediction.networks import GRADIENTS_AT_ONCE, Differentiable

ENOUGH = 0.05
"""No more gradients are taken once the attributions add up to the difference within this share of it, that of the paper
of 2017."""
COMPLETENESS = 0.1
"""A map is not to be read if its parts add up to the difference with a larger error than this share of it. [assumed]"""
LEAST_DIFFERENCE = 1.0
"""A smaller difference of log odds counts as this much in both shares."""
_FIRST_STEPS, _MOST_GRADIENTS = 16, 1024


@dataclass(frozen=True)
class Noise:
    """Draws in which the difference between image and baseline is scaled, place by place, by 1 + noise.

    n_draws : an even number; every second draw has the noise of the one before with the other sign
    sd : of the noise
    fwhm_pixels : of the Gaussian that the noise is as smooth as, in the plane; channels are alike
    seed : of the draws
    """

    n_draws: int
    sd: float
    fwhm_pixels: float
    seed: int = 2019

    def scales(self, shape: tuple[int, ...]) -> FloatArray:
        """Return factors of mean 1 for images of shape (H, W, C): shape (n_draws, H, W, 1)."""
        drawn = np.random.default_rng(self.seed).standard_normal((self.n_draws // 2, *shape[:2]))
        smooth = gaussian_filter(drawn, self.fwhm_pixels / FWHM_PER_SD, axes=(1, 2), mode="wrap")
        smooth *= self.sd / np.sqrt(np.square(smooth).mean())
        return np.asarray(1 + np.stack([smooth, -smooth], axis=1).reshape(self.n_draws, *shape[:2], 1))


@dataclass(frozen=True, eq=False)
class Attribution:
    """Parts of one image's log odds that add up to `difference`, or their mean over draws of noise.

    values : shape (H, W, C), in log odds, positive towards PD
    difference : log odds of the image minus those of the baseline, or the mean of that over the draws
    missed : by how many log odds the sum of the parts differs from the difference
    steps : into which the way from baseline to image was cut
    """

    values: FloatArray
    difference: float
    missed: float
    steps: int

    @property
    def complete(self) -> bool:
        """Whether the parts miss no more than `COMPLETENESS` of the difference, or of `LEAST_DIFFERENCE`."""
        return self.missed <= COMPLETENESS * max(abs(self.difference), LEAST_DIFFERENCE)


class IntegratedGradients:
    """Attribute the log odds of a network to what it sees.

    The gradient is integrated along the straight line from a baseline to what is seen by the trapezoidal rule, in steps
    of the root of the way gone, since most happens near the baseline. Steps are halved until the sum is right, or the
    gradients are too many. Of a linear network every part gets its weight times its difference:

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

    With `noise` the attributions are means over several images x_k = b + s_k (x - b), which differ from the image x in
    how far they are from the baseline b. The attributions of each add up to its f(x_k) - f(b), f being the log odds, so
    the means add up to the mean of the f(x_k), less f(b): that is the `difference`. Of a linear network they are those
    of x alone, since the mean of the s_k is 1.

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365.
    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, arXiv:1706.03825.
    """

    def __init__(self, network: Differentiable, noise: Noise | None = None) -> None:
        self.network, self.noise = network, noise

    def attribute(self, image: FloatArray, baseline: FloatArray) -> Attribution:
        """Return the attributions of an image against a baseline; both of shape (H, W, C)."""
        scales = np.ones((1, 1, 1, 1)) if self.noise is None else self.noise.scales(image.shape)
        base = baseline.astype(np.float32)
        ways = (scales * (image.astype(np.float32) - base)).astype(np.float32)
        ends = self.network.log_odds(np.concatenate([base[np.newaxis], base + ways])).astype(np.float64)
        difference = float(ends[1:].mean() - ends[0])
        steps, places = _FIRST_STEPS, np.linspace(0, 1, _FIRST_STEPS + 1)
        total = self._sum(ways, base, places[1:-1]) + self._sum(ways, base, places[[0, -1]]) / 2
        while True:
            values = total / (steps * len(ways))
            missed = abs(float(values.sum()) - difference)
            enough = missed <= ENOUGH * max(abs(difference), LEAST_DIFFERENCE)
            if enough or 2 * steps * len(ways) > _MOST_GRADIENTS:
                return Attribution(values, difference, missed, steps)
            total += self._sum(ways, base, (np.arange(steps) + 0.5) / steps)  # halfway between those before
            steps *= 2

    def _sum(self, ways: FloatArray, base: FloatArray, places: FloatArray) -> FloatArray:
        """Return gradient times way, summed over all ways, shape (n, H, W, C), and places: roots of the way gone."""
        total = np.zeros(base.shape, np.float64)
        points = [(way, place) for way in ways for place in places.astype(np.float32)]
        for start in range(0, len(points), GRADIENTS_AT_ONCE):
            some, at = (np.stack(each) for each in zip(*points[start : start + GRADIENTS_AT_ONCE], strict=True))
            at = at[:, None, None, None]
            gradients = self.network.gradient(base + at**2 * some)
            total += (2 * at * gradients.astype(np.float64) * some).sum(axis=0)
        return total
