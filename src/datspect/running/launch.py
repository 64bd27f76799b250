"""How a stage or a command starts: plain log lines, and errors that the user can mend as one message."""

import errno
import logging
import sys
from collections.abc import Callable

import typer

from datspect.errors import DatspectError
from datspect.text import message

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""The disk is full, the quota is used up, or nothing may be written there."""


def launch(main: Callable[..., None]) -> None:
    """Run `main` as a command-line program; a `DatspectError` ends it with its message and exit code 1."""
    log_plainly()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
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
    """Call `app`; say a `DatspectError` as a message instead of a traceback."""
    try:
        app()
    except DatspectError as error:
        sys.exit(message(f"error: {error}"))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(message(f"error: {error.strerror}{where}; nothing half-written is left; make room and start it again"))
