"""Command `status`: say where the project stands."""

from typing import Annotated

import typer

from datspect.commands.forms import Form, as_json


def status(
    form: Form = "table",
    seconds: Annotated[float, typer.Option(min=1, help="Wait at most so long for DVC and for MLflow.")] = 20.0,
) -> None:
    """Say which cohort, recipe, study and versions are in use, whose model is on disk, and what `dvc repro` would do.

    Nothing is changed, and no test set is looked at: figures of versions are out of fold.
    """
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect.running.addresses import repository_root
    from datspect.status.text import status_text
    from datspect.status.whole import project_status

    found = project_status(repository_root(), seconds)
    if form == "json":
        print(as_json(found))
    else:
        typer.echo(status_text(found))
