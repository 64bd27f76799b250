"""Compute how the learning rate falls over the epochs."""

import numpy as np
from numpy.typing import NDArray

from datspect.params.network import LearningRateParams

RISING_SHARE = 0.25
"""Of the epochs of `one_cycle`; Smith, Topin 2019 (arXiv:1708.07120) rise for a third to a half."""


def learning_rates(params: LearningRateParams, n_epochs: int) -> NDArray[np.float64]:
    """Return the learning rate of each epoch, shape (n_epochs,), from `params.initial` to `params.final`.

    `step` has `drops + 1` levels of equally many epochs, and each level is the same factor below the one before;
    `cosine` and `exponential` fall a little every epoch; `constant` stays at `initial`. `one_cycle` rises to `initial`
    over the first `RISING_SHARE` of the epochs, from a tenth of it, and then falls as `cosine` does.
    """
    done = np.arange(n_epochs) / max(n_epochs - 1, 1)  # 0 in the first epoch, 1 in the last
    match params.schedule:
        case "step":
            level = np.arange(n_epochs) * (params.drops + 1) // n_epochs
            return _geometric(params, level / params.drops)
        case "exponential":
            return _geometric(params, done)
        case "cosine":
            return params.final + (params.initial - params.final) * (1 + np.cos(np.pi * done)) / 2
        case "one_cycle":
            falling = np.clip((done - RISING_SHARE) / (1 - RISING_SHARE), 0, 1)
            fallen = params.final + (params.initial - params.final) * (1 + np.cos(np.pi * falling)) / 2
            return np.where(done < RISING_SHARE, params.initial * (0.1 + 0.9 * done / RISING_SHARE), fallen)
        case "constant":
            return np.full(n_epochs, params.initial)


def _geometric(params: LearningRateParams, share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(params.initial * (params.final / params.initial) ** share)
