"""Command `trace`: the way back from a version to the commit, data and parameters that rebuild it."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.errors import PromotionError

if TYPE_CHECKING:
    from datspect.release.tracing import Check, Trace


def trace(
    version: Annotated[str, typer.Argument(help="number or alias of the version")] = "champion",
    check: Annotated[bool, typer.Option("--check", help="verify what is on this machine")] = False,
) -> None:
    """Print where a version comes from and the commands that rebuild it. Exit code 1: a check failed."""
    # Here, so that `datspect --help` does not wait for MLflow.
    from datspect.params.whole import load_params
    from datspect.release import registry, tracing
    from datspect.running.addresses import repository_root

    root = repository_root()
    with registry.opened(load_params(root / "params.yaml").tracking.experiment) as opened:
        found = opened.version(version)
        if found is None:
            raise PromotionError(f"{registry.NAME} has no version {version}; run datspect register first")
        traced = tracing.traced(found, root)
        _print(traced)
        checks = tracing.checked(opened, traced, root) if check else []
    for one in checks:
        typer.echo(f"  {_outcome(one):<10} {one.name}: {one.finding}")
    if any(one.holds is False for one in checks):
        raise typer.Exit(1)


def _print(traced: "Trace") -> None:
    typer.echo(f"version {traced.number} of datspect, {traced.kind.short}\n")
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


def _outcome(check: "Check") -> str:
    return {True: "holds", False: "FAILED", None: "not here"}[check.holds]
