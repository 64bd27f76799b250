"""Show the progress of long work: what it is, how far it is, how long it still takes."""

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_BAR = "{desc}: {percentage:3.0f} % ({n_fmt}/{total_fmt} {unit}), {elapsed} gone, {remaining} left"
_SECONDS_BETWEEN_LINES = 10.0


def progress(
    work: Iterable[T] | None, *, total: int, what: str, unit: str, only_on_terminal: bool = False
) -> "tqdm[T]":
    """Return a tqdm bar on a terminal, and a line every ten seconds in a log file unless `only_on_terminal`.

    With `work=None` the caller moves the bar with `.update(n)` and uses it as a context manager.
    """
    on_terminal = sys.stderr.isatty()
    options: dict[str, Any] = {"mininterval": 0.2} if on_terminal else {"mininterval": _SECONDS_BETWEEN_LINES}
    return tqdm(  # type: ignore[return-value]
        work,
        total=total,
        desc=what,
        unit=unit,
        bar_format=_BAR if on_terminal else _BAR + "\n",
        maxinterval=_SECONDS_BETWEEN_LINES,
        leave=not only_on_terminal,
        disable=only_on_terminal and not on_terminal,
        **options,
    )
