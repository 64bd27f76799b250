"""Make the banks of slabs that trials with other ranges of alteration than params.yaml's learn from."""

import logging
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.imaging.volume_augmentation import altered_views, draw_alterations
from datspect.params.striatum import AlterParams, AlterRanges

log = logging.getLogger("datspect.tune")

_Bank = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class SlabBanks:
    """Banks of the n scans that a study sees, by the ranges within which volumes are altered.

    A bank is made when a trial first asks for it, and stays in a file without a name as long as this process. Other
    ranges leave the random numbers as they are, so only the ranges make the difference between two banks.

    boxes : of all N scans of the cohort, shape (N, 65, 57, 33), may be memory-mapped
    is_control : shape (N,)
    rows : the n scans among them, in the order of the banks
    features : the bank of stage `features`, shape (draws + 1, n, 28 x 24 x 4)
    lowered : shape (draws, n), controls that count as pd in a draw
    of_features : how stage `features` altered volumes; None if it does not say
    """

    boxes: FloatArray
    is_control: BoolArray
    rows: IntArray
    features: _Bank
    lowered: BoolArray
    of_features: AlterParams | None
    _made: dict[AlterRanges, _Bank] = field(default_factory=dict, init=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what was made here: another process makes its own."""
        return vars(self) | {"_made": {}}

    def of(self, alter: AlterParams) -> _Bank:
        """Return the bank of volumes altered like this, shape (draws + 1, n, 28 x 24 x 4)."""
        if alter == self.of_features:
            return self.features
        if alter.ranges not in self._made:
            started = time.monotonic()
            self._made[alter.ranges] = self._make(alter)
            log.info("bank of slabs for other ranges of alteration made in %.0f s", time.monotonic() - started)
        return self._made[alter.ranges]

    def _make(self, alter: AlterParams) -> _Bank:
        with tempfile.TemporaryFile() as file:
            bank = np.memmap(file, np.float16, "w+", shape=self.features.shape)
        bank[0] = self.features[0]
        flat = bank[1:].reshape(-1, bank.shape[2])
        n_done = 0
        for views in altered_views(self.boxes, draw_alterations(alter, self.is_control), alter, only=self.rows):
            flat[n_done : n_done + len(views)] = views.reshape(len(views), -1)
            n_done += len(views)
        return bank
