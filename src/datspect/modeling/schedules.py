"""How the learning rate falls over the epochs."""

import numpy as np
from numpy.typing import NDArray

from datspect.params.network import LearningRateParams


def learning_rates(params: LearningRateParams, n_epochs: int) -> NDArray[np.float64]:
    """The learning rate of each epoch, shape (n_epochs,), from `params.initial` to `params.final`.

    `step` holds `drops + 1` levels, each the same factor below the one before, for equally many epochs; `cosine` and
    `exponential` fall a little every epoch; `constant` stays at `initial`.
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
        case "constant":
            return np.full(n_epochs, params.initial)


def _geometric(params: LearningRateParams, share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(params.initial * (params.final / params.initial) ** share)
