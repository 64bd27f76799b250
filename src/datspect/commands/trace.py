"""Command `trace`: show the way back from a version to the commit, data and parameters that rebuild it."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.commands.completion import versions
from datspect.commands.exits import FOUND
from datspect.commands.forms import Form, as_json

if TYPE_CHECKING:
    from datspect.release.tracing import Link, Trace


def trace(
    version: Annotated[
        str, typer.Argument(help="Number or alias of the version.", autocompletion=versions)
    ] = "champion",
    check: Annotated[bool, typer.Option("--check", help="Check it against what is on this machine.")] = False,
    form: Form = "table",
) -> None:
    """Print where a version comes from and the commands that rebuild it. The exit code is 1 if a check failed."""
    # Here, so that `datspect --help` does not wait for MLflow.
    from datspect.release import registry, tracing

    with registry.opened() as (opened, root, _):
        traced = tracing.traced(opened.named(version), root)
        if form == "table":
            _print(traced)
        checks = tracing.links(opened, traced, root) if check else []
    if form == "json":
        print(as_json(_record(traced, checks)))
    for one in checks if form == "table" else []:
        typer.echo(f"  {_outcome(one):<10} {one.name}: {one.finding}")
    if any(one.holds is False for one in checks):
        raise typer.Exit(FOUND)


def _print(traced: "Trace") -> None:
    typer.echo(f"version {traced.number} of datspect, {traced.scope.short}\n")
    width = max(map(len, traced.facts))
    for name, value in traced.facts.items():
        typer.echo(f"  {name:<{width}}  {value}")
    typer.echo("\nOutputs in dvc.lock:")
    for path, md5 in traced.outputs.items():
        typer.echo(f"  {md5:<36}  {path}")
    typer.echo("\nTo rebuild it:\n")
    for command in traced.commands:
        typer.echo(f"  {command}")
    typer.echo("")


def _record(traced: "Trace", checks: "list[Link]") -> dict[str, object]:
    return {
        "version": int(traced.number),
        **traced.scope.record,
        "facts": traced.facts,
        "outputs": traced.outputs,
        "lock_commit": traced.lock_commit,
        "reproduces": traced.reproduces,
        "commands": traced.commands,
        "checks": checks,
    }


def _outcome(check: "Link") -> str:
    return {True: "holds", False: "FAILED", None: "not here"}[check.holds]
