"""When the epochs of Keras' own `fit` end."""

import time
from collections.abc import Callable

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import keras
import numpy as np
from numpy.typing import NDArray


class EpochClock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Notes when training began and when each epoch, its validation included, had ended; `report` is told each time."""

    def __init__(self, report: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._times: list[float] = []
        self._report = report

    @property
    def epoch_seconds(self) -> NDArray[np.float64]:
        """Of each epoch, shape (epochs,); the first holds the tracing."""
        return np.diff(self._times)

    def on_train_begin(self, logs: object = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._times.append(time.perf_counter())

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
        """Note the time; validation comes before this."""
        self._times.append(time.perf_counter())
        self._report()
