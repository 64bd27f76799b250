"""Answer by an ensemble on slabs, in NumPy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from scipy.special import expit

from datspect.arrays import FloatArray
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.prediction.networks import BATCH_SIZE, Outputs
from datspect.prediction.striatal_numpy import Ensemble, read_ensemble


@dataclass(frozen=True, eq=False)
class SlabNetwork:
    """An ensemble as a `Network`."""

    ensemble: Ensemble

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the ensemble from a .keras file, without Keras.

        Raises
        ------
        WeightsError : it is missing, or no such model.
        """
        return cls(read_ensemble(path))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the slabs of one scan."""
        return SLABS_SHAPE

    def outputs(self, seen: FloatArray) -> Outputs:
        """Return readings as features, probabilities, and the spread if there are several members."""
        parts = [seen[start : start + BATCH_SIZE] for start in range(0, len(seen), BATCH_SIZE)]
        readings = np.concatenate([self.ensemble.readings(np.asarray(part, np.float32)) for part in parts])
        members = self.ensemble.member_log_odds(readings)
        probabilities = np.asarray(expit(self.ensemble.log_odds(readings)))
        return Outputs(readings, probabilities, members.std(axis=0) if len(members) > 1 else None)

    def log_odds(self, seen: FloatArray) -> FloatArray:
        """Return the log odds of PD, shape (N,)."""
        return self.ensemble.log_odds(self.ensemble.readings(np.asarray(seen, np.float32)))

    def gradient(self, seen: FloatArray) -> FloatArray:
        """Return the gradient of the log odds in the slabs, shape (N, 28, 24, 4)."""
        return self.ensemble.gradient(np.asarray(seen, np.float32))
