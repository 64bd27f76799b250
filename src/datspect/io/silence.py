"""Keep libraries from quoting headers in errors, warnings and log lines while scans are read."""

import logging
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from pydicom import config

from datspect.errors import ScanError

_TALKATIVE = ("pydicom", "nibabel.global")
_FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # with NotImplementedError and RecursionError
    TypeError,
    ValueError,  # with UnicodeError
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What readers of any format raise on a spoilt file, and a zip on a spoilt member."""


class _Silence:
    """The one switch of all threads: the first that enters turns it, the last that leaves turns it back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_within = 0
        self._switches = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if not self._n_within:
                self._switches.enter_context(_switched_off())
            self._n_within += 1

    def leave(self) -> None:
        with self._lock:
            self._n_within -= 1
            if not self._n_within:
                self._switches.close()


_silence = _Silence()


@contextmanager
def silent() -> Iterator[None]:
    """Suppress warnings, and log lines of pydicom and nibabel, in every thread while any thread is within."""
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()


@contextmanager
def faults_named(kind: str, advice: str, *more: type[Exception]) -> Iterator[None]:
    """Turn what a reader raises on a spoilt file into a ScanError that quotes nothing, `silent` meanwhile."""
    with silent():
        try:
            yield
        except (*_FAULTS, *more) as error:
            raise ScanError(f"not a readable {kind} file ({type(error).__name__}); {advice}") from None


@contextmanager
def _switched_off() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
