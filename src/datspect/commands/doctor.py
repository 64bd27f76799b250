"""Command `doctor`: say what is in the way of the work on this machine, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.commands.exits import FOUND
from datspect.commands.forms import Form, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datspect.doctor.check import Check


def doctor(
    form: Form = "table",
    seconds: Annotated[float, typer.Option(min=1, help="Wait at most so long for each program and server.")] = 10.0,
) -> None:
    """Look at Python, packages, backend, GPU, DVC, MLflow, disk and project; say what to do. Exit code 1 at a problem.

    Nothing is changed or downloaded. It works outside a project too. The JSON names no user, home folder or login, so
    that you can paste it into an issue.
    """
    # Here, so that `datspect --help` does not wait for them.
    from datspect import __version__
    from datspect.doctor.check import Place, worst
    from datspect.doctor.examination import examine

    checks = examine(Place.here(seconds))
    outcome = worst(checks)
    if form == "json":
        record = {"datspect": __version__, "outcome": outcome, "checks": [check.as_record() for check in checks]}
        print(as_json(record))
    else:
        typer.echo(_table(checks))
    if outcome == "problem":
        raise typer.Exit(FOUND)


def _table(checks: "Sequence[Check]") -> str:
    records = [check.as_record() for check in checks]
    width = max(len(record["name"]) for record in records)
    lines = []
    for record in records:
        lines.append(f"{record['outcome']:<7}  {record['name']:<{width}}  {record['finding']}")
        if record["remedy"]:
            lines.append(f"{'':<7}  {'':<{width}}  -> {record['remedy']}")
    counts = {outcome: sum(record["outcome"] == outcome for record in records) for outcome in ("problem", "warning")}
    found = ", ".join(f"{n} {outcome}{'s' if n > 1 else ''}" for outcome, n in counts.items() if n)
    return "\n".join([*lines, "", found or "all is well"])
