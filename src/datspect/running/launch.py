"""How a stage or a command starts and ends: plain log lines, errors as one message, an orderly end at a signal."""

import errno
import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from datspect.errors import DatspectError
from datspect.running.output_locks import outputs_taken
from datspect.running.signals import stopping_signals_raised
from datspect.running.starters import end_with_starters
from datspect.text import message

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""The disk is full, the quota is used up, or nothing may be written there."""


def launch(main: Callable[..., None], *written: str) -> None:
    """Run `main` as a command-line program; a `DatspectError` ends it with its message and exit code 1.

    `written` names the arguments of `main` that are paths it writes to: nobody else may while it runs.
    """
    log_plainly()

    @wraps(main)
    def alone(**arguments: Any) -> None:
        with outputs_taken([arguments[name] for name in written]):
            main(**arguments)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(alone)
    with_clear_errors(app)


def log_plainly() -> None:
    """Let log lines stand on standard error as they are, whatever names are in them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("datspect").setLevel(logging.INFO)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return message(super().format(record))


def with_clear_errors(app: Callable[[], None]) -> None:
    """Call `app`; say a `DatspectError` as a message instead of a traceback.

    SIGTERM and SIGHUP unwind what is at work before they end the process; so does the end of the program that started
    it.
    """
    try:
        with stopping_signals_raised():
            end_with_starters()
            app()
    except DatspectError as error:
        sys.exit(message(f"error: {error}"))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(message(f"error: {error.strerror}{where}; nothing half-written is left; make room and start it again"))
