"""Libraries that quote headers in warnings and log lines, kept from doing so while scans are read."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from pydicom import config

_TALKATIVE = ("pydicom", "nibabel.global")


class _Silence:
    """One for all threads, as the switches that it turns are: turned by the first that enters, back by the last."""

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
    """No warning, and no log line of pydicom or nibabel, in any thread while one is within."""
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()


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
