"""The curves of a training while it runs: threads and processes that train add epochs, and another thread reads."""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import pandas as pd

from datspect.arrays import FloatArray
from datspect.modeling.heads import FittedHead, Head
from datspect.modeling.steps import history
from datspect.training.crossval import curves_table


class Curves:
    """The epochs that each of several heads has done so far."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self.heads = list(heads)
        self._sums: dict[str, list[FloatArray]] = {head.name: [] for head in heads}  # shape (4,) for each epoch
        self._finished: dict[str, dict[str, FloatArray]] = {}
        self._lock = Lock()

    def add_epoch_of_stack(self, heads: Sequence[Head], sums: FloatArray) -> None:
        """Take an epoch of K heads that are trained together; `sums`: shape (4, K)."""
        with self._lock:
            for head, of_head in zip(heads, sums.T, strict=True):
                self._sums[head.name].append(of_head)

    def add(self, name: str, n_before: int, sums: FloatArray) -> None:
        """Take n epochs of a head, shape (n, 4), which follow `n_before` others.

        Epochs that are known already, as of a fold that began again from its checkpoint, change nothing. Where some
        have been lost on the way, those that follow them wait for the whole.
        """
        with self._lock:
            known = self._sums[name]
            if n_before <= len(known):
                known.extend(sums[len(known) - n_before :])

    def finish(self, fitted: FittedHead) -> None:
        """Take a head that is trained to its end."""
        with self._lock:
            self._finished[fitted.name] = fitted.history

    def table(self) -> pd.DataFrame:
        """Return what is known of all heads, as `crossval.history_table`; empty while no epoch is done."""
        with self._lock:
            sums = {name: np.stack(of_head) for name, of_head in self._sums.items() if of_head}
            known = dict(self._finished)
        begun = [head for head in self.heads if head.name in known or head.name in sums]
        if not begun:
            return pd.DataFrame()
        return curves_table({head.name: known.get(head.name) or history(head, sums[head.name]) for head in begun})

    @property
    def n_epochs(self) -> int:
        """How many epochs all heads have in all."""
        return sum(len(head.learning_rates) for head in self.heads)
