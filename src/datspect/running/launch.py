"""How a stage or a command starts: plain log lines, and errors that the user can mend as one message."""

import logging
import sys
from collections.abc import Callable

import typer

from datspect.errors import DatspectError


def launch(main: Callable[..., None]) -> None:
    """Run `main` as a command-line program; a `DatspectError` ends it with its message and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("datspect").setLevel(logging.INFO)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    with_clear_errors(app)


def with_clear_errors(app: Callable[[], None]) -> None:
    """Call `app`; say a `DatspectError` as a message instead of a traceback."""
    try:
        app()
    except DatspectError as error:
        sys.exit(f"error: {error}")
