"""Reference of the command line, from the program itself, as `typer utils docs` writes it."""

from pathlib import Path
from typing import Any

import typer
import typer.cli

from datspect.__main__ import app


def commands(_: Path) -> str:
    """Return a section for each command of `datspect`: what it does, how it is called, its arguments and options."""
    program = typer.main.get_command(app)
    _list_in_full(program)
    context = program.make_context("datspect", [], resilient_parsing=True)
    text = typer.cli.get_docs_for_click(obj=program, ctx=context, name="datspect")
    # The page has a title of its own, and every command has the same --help.
    for left_out in ("* `--help`: Show this message and exit.\n", "**Options**:\n\n\n"):
        text = text.replace(left_out, "")
    return text.split("\n", 1)[1]


def _list_in_full(program: Any) -> None:
    """Let lists of commands show the first line of each, which Typer cuts after some 45 characters."""
    for command in getattr(program, "commands", {}).values():
        command.short_help = (command.help or "").partition("\n")[0]
        _list_in_full(command)
