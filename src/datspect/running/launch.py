"""How a stage or a command starts and ends: plain log lines, errors as one message, an orderly end at a signal."""

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


def launch(main: Callable[..., None], *written: str) -> None:
    """Run `main` as a command-line program; a `DatspectError` ends it with its message and exit code 1.

    `written` names the arguments of `main` that are paths it writes to: nobody else may while it runs.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("datspect").setLevel(logging.INFO)

    @wraps(main)
    def alone(**arguments: Any) -> None:
        with outputs_taken([arguments[name] for name in written]):
            main(**arguments)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(alone)
    with_clear_errors(app)


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
        sys.exit(f"error: {error}")
