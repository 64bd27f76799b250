"""What every input must keep to: its time, its memory, and silence about the patient."""

import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

import pandas as pd
import pytest
from tests.fuzz.mutations import traces

from datspect.errors import DatspectError

T = TypeVar("T")

CPU_SECONDS = 5.0
"""Of one input. Processor time, not time on the wall: a busy machine must not fail the tests."""
EXTRA_BYTES = 2**30
"""How much memory a reader may take beyond what the process has."""


class _OutOfTimeError(BaseException):
    """No Exception, so that no reader can swallow it."""


class Watch:
    """Reads inputs under limits and counts what became of them."""

    def __init__(self, folder: Path, said: pytest.LogCaptureFixture, tick: Callable[[], object]) -> None:
        self.folder = folder
        self.tick = tick
        self.outcomes: Counter[str] = Counter()
        self._said = said

    def file(self, name: str, data: bytes) -> Path:
        """A file of that name with `data`, instead of the one before: the next input."""
        self.tick()
        path = self.folder / name
        path.write_bytes(data)
        return path

    def read(self, reader: Callable[[], T]) -> T | None:
        """What `reader` gives, or None where it refuses with a `DatspectError`; any other end fails the test."""
        self._said.clear()
        try:
            with _time_limit():
                value = reader()
        except DatspectError as error:
            self.outcomes["refused"] += 1
            self._see_that_it_is_fit(str(error))
            return None
        self.outcomes["read"] += 1
        self._see_that_it_is_fit("")
        return value

    def _see_that_it_is_fit(self, message: str) -> None:
        assert "MemoryError" not in message, "the reader was stopped by the limit, not by itself"
        lines = [message, *(record.getMessage() for record in self._said.records)]
        assert not [trace for line in lines for trace in traces(line)], "a message or log line names the patient"


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    except _OutOfTimeError:
        pytest.fail(f"more than {CPU_SECONDS:g} s for one input")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def memory_limit() -> Iterator[None]:
    """No more than `EXTRA_BYTES` beyond what this process has; only Linux keeps such a limit."""
    if sys.platform != "linux":
        yield
        return
    pd.Series(["text"], dtype="str").str.upper()  # Arrow reserves a gigabyte of addresses at first use
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + EXTRA_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))
