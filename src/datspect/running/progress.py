"""Show the progress of long work: what it is, how far it is, how long it still takes."""

import os
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_BAR = "{desc}: {percentage:3.0f} % ({n_fmt}/{total_fmt} {unit}), {elapsed} gone, {remaining} left"
_SECONDS_BETWEEN_LINES = 10.0


class _Lines:
    """Standard error without carriage returns and empty lines, for log files and terminals that only go forward."""

    def write(self, text: str) -> None:
        if text != "\n":  # the bar has ended its line already
            sys.stderr.write(text.replace("\r", "").rstrip(" "))

    def flush(self) -> None:
        sys.stderr.flush()


def on_terminal() -> bool:
    """Return whether standard error is a terminal on which a line can be written over."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def progress(
    work: Iterable[T] | None, *, total: int, what: str, unit: str, only_on_terminal: bool = False
) -> "tqdm[T]":
    """Return a tqdm bar on a terminal, and a line every ten seconds elsewhere unless `only_on_terminal`.

    With `work=None` the caller moves the bar with `.update(n)` and uses it as a context manager.
    """
    bar = on_terminal()
    options: dict[str, Any] = {"mininterval": 0.2} if bar else {"mininterval": _SECONDS_BETWEEN_LINES, "file": _Lines()}
    return tqdm(  # type: ignore[return-value]
        work,
        total=total,
        desc=what,
        unit=unit,
        bar_format=_BAR if bar else _BAR + "\n",
        maxinterval=_SECONDS_BETWEEN_LINES,
        leave=not only_on_terminal,
        disable=only_on_terminal and not bar,
        **options,
    )
