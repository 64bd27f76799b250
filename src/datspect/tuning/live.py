"""Tell of a trial while it runs: the curves of its heads, from whichever process trains them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from datspect import tracking
from datspect.modeling.heads import Head
from datspect.tracking import live
from datspect.training.curves import Curves
from datspect.tuning.to_mlflow import trial_curves

Growing = tuple[int, Mapping[str, Any], Mapping[str, list[float]]]
"""The number of a running trial, what it tries, and its curves so far, by name."""


@contextmanager
def told(
    tell: Callable[[Growing], None], number: int, values: Mapping[str, Any], heads: Sequence[Head], *, by_fold: bool
) -> Iterator[Curves]:
    """Give curves to fill, and `tell` every few seconds, from another thread, and at the end how they stand.

    A trial that ends before the first time is over tells nothing. `by_fold`: the heads train one after another.
    """
    curves, began = Curves(heads), time.monotonic()

    def send() -> None:
        history = curves.table()
        if not history.empty and time.monotonic() - began >= live.INTERVAL_SECONDS:
            growing = trial_curves(history, len(heads), by_fold=by_fold)
            tell((number, values, {name: curve.tolist() for name, curve in growing.items()}))

    with tracking.sent_while_growing(send):
        yield curves
    send()  # for who has no file of the trial, as of a worker on another machine
