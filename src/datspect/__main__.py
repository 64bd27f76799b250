"""The `datspect` program: commands that a person starts."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from datspect import __version__
from datspect.commands import import_, phantom
from datspect.commands.compare import compare
from datspect.commands.predict import predict
from datspect.commands.promote import promote, rollback
from datspect.commands.recipe import recipe
from datspect.commands.register import register
from datspect.commands.relog import relog
from datspect.commands.reproduced import reproduced
from datspect.commands.serve import serve
from datspect.commands.tables import tables
from datspect.commands.trace import trace
from datspect.commands.tune import tune
from datspect.commands.verify import verify
from datspect.running.launch import log_plainly, with_clear_errors

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
)


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
app.command()(compare)
app.command()(predict)
app.command()(promote)
app.command()(recipe)
app.command()(register)
app.command()(relog)
app.command()(reproduced)
app.command()(rollback)
app.command()(serve)
app.command()(tables)
app.command()(trace)
app.command()(tune)
app.command()(verify)


def main() -> None:
    """Run the program; a character that the terminal does not know is escaped, so that no answer is lost by it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with_clear_errors(app)


if __name__ == "__main__":
    main()
