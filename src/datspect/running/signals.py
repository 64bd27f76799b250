"""Raise signals that end the process as exceptions, so that open runs are closed before it ends."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

Handler = Callable[[int, FrameType | None], Any] | int | None


class Stopped(SystemExit):
    """A signal asked the process to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


@contextmanager
def stopping_signals_raised() -> Iterator[None]:
    """Raise `Stopped` on SIGTERM and SIGHUP inside the block; afterwards the signal takes its usual course.

    Only the first one is raised: a second would break off what the first lets close.
    """
    before = {signum: signal.getsignal(signum) for signum in stopping_signals()}
    for signum in before:
        signal.signal(signum, _raise_stopped)
    try:
        yield
    except Stopped as stopped:
        _restore(before)
        signal.raise_signal(stopped.signum)
        raise  # the earlier handler let the process live, so it ends with an exit code
    except BaseException:
        _restore(before)
        raise
    else:
        _restore(before)


@contextmanager
def stopping_signals_held_back() -> Iterator[None]:
    """Let SIGTERM, SIGHUP and Ctrl-C wait for the end of the block.

    Python drops an exception that a handler raises while the process forks.
    """
    came: list[int] = []
    before = {signum: signal.getsignal(signum) for signum in [*stopping_signals(), *_interrupts()]}
    for signum in before:
        signal.signal(signum, lambda signum, _frame: came.append(signum))
    try:
        yield
    finally:
        _restore(before)
    for signum in came:
        signal.raise_signal(signum)


def stopping_signals() -> list[int]:
    """Return the signals whose handlers can be put back; none outside the main thread, which alone may set them."""
    if threading.current_thread() is not threading.main_thread():
        return []
    signals = [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]
    return [signum for signum in signals if signal.getsignal(signum) not in (signal.SIG_IGN, None)]


def _interrupts() -> list[int]:
    return [signal.SIGINT] if threading.current_thread() is threading.main_thread() else []


def _raise_stopped(signum: int, _frame: FrameType | None) -> NoReturn:
    for one in stopping_signals():
        signal.signal(one, _pass_over)
    raise Stopped(signum)


def _pass_over(_signum: int, _frame: FrameType | None) -> None:
    """Do nothing; what is closing goes on."""


def _restore(handlers: dict[int, Handler]) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
