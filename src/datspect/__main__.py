"""The `datspect` program: commands that a person starts."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from datspect import __version__
from datspect.commands import import_, phantom
from datspect.commands.backend import naming_backend
from datspect.commands.compare import compare
from datspect.commands.doctor import doctor
from datspect.commands.evaluate import evaluate
from datspect.commands.exits import WRONG_USE, WrongUseError
from datspect.commands.predict import predict
from datspect.commands.project import of_project
from datspect.commands.promote import promote, rollback
from datspect.commands.recipe import recipe
from datspect.commands.register import register
from datspect.commands.relog import relog
from datspect.commands.reproduced import reproduced
from datspect.commands.serve import serve
from datspect.commands.status import status
from datspect.commands.tables import tables
from datspect.commands.trace import trace
from datspect.commands.tune import tune
from datspect.commands.verify import verify
from datspect.running.launch import log_plainly, with_clear_errors
from datspect.text import message

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")


def _say_version(wanted: bool) -> None:
    if not wanted:
        return
    from datspect.tracking.provenance import GitState, git_state  # here, since --help has no use for it

    package = Path(__file__).parent
    # An installed package may lie beneath a repository that is not its own.
    state = git_state(package) if (package.parents[1] / ".git").exists() else GitState(None)
    commit = f", commit {state.commit}" if state.commit else ""
    typer.echo(f"datspect {__version__}{commit}{' + changes' if state.dirty else ''}")
    raise typer.Exit


@app.callback()
def datspect(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say version and commit.")
    ] = False,
) -> None:
    """DaTscan SPECT classification for Parkinson's disease, tracked. The pipeline itself is run by `dvc repro`."""
    log_plainly()


app.add_typer(import_.app, name="import")
app.add_typer(phantom.app, name="phantom")
app.command()(of_project(compare))
app.command()(doctor)
app.command()(evaluate)
app.command()(predict)
app.command()(of_project(promote))
app.command()(of_project(recipe))
app.command()(of_project(register))
app.command()(of_project(relog))
app.command()(of_project(reproduced))
app.command()(of_project(rollback))
app.command()(serve)
app.command()(status)
app.command()(of_project(tables))
app.command()(of_project(trace))
app.command()(of_project(tune))
app.command()(of_project(verify))


def main() -> None:
    """Run the program; a character that the terminal does not know is escaped, so that no answer is lost by it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with_clear_errors(_app)


def _app() -> None:
    try:
        naming_backend(app)()
    except WrongUseError as error:
        typer.echo(message(f"error: {error}"), err=True)
        sys.exit(WRONG_USE)


if __name__ == "__main__":
    main()
