"""Command `reproduced`: say whether the results on disk are the committed ones of the same parameters and cohort."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.commands.exits import FOUND, NO_VERDICT
from datspect.commands.forms import Form, as_json

if TYPE_CHECKING:
    from datspect.release.reproduction import Verdict


def reproduced(
    renew: Annotated[
        bool, typer.Option("--renew", help="Make the results on disk, of a phantom, the ones to compare with.")
    ] = False,
    form: Form = "table",
) -> None:
    """Compare the results on disk with the committed ones of the same parameters and cohort.

    Decisions, ROC AUC and log loss have limits. The exit code is 0 within them and 1 beyond. It is 3 without a verdict,
    where parameters, cohort or splits are others.
    """
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect.release import reference, reproduction
    from datspect.running.addresses import repository_root

    root = repository_root()
    results = reference.results_on_disk(root)
    if renew:
        reference.write_reference(root, results)
        files = [reference.ANSWERS, reference.ABOUT]
        said = f"{' and '.join(files)} now hold these results ({results.scope.short})"
        print(as_json({"renewed": files, **results.scope.record}) if form == "json" else said)
        return
    verdict = reproduction.verdict(reference.reference_on_disk(root), results)
    if form == "json":
        reproduced = verdict.reproduced if verdict.agreements else None
        record = {"reproduced": reproduced, "headline": verdict.headline, **results.scope.record}
        print(as_json(record | vars(verdict)))
    else:
        typer.echo(f"{verdict.headline} ({results.scope.short})")
        _explain(verdict)
    if not verdict.reproduced:
        raise typer.Exit(FOUND if verdict.agreements else NO_VERDICT)


def _explain(verdict: "Verdict") -> None:
    for obstacle in verdict.obstacles[1:]:
        typer.echo(f"  {obstacle}")
    for where, found in verdict.agreements.items():
        typer.echo(
            f"  {where}: {found.n_other} other decisions of {found.n} (at most {found.most_other}), largest difference "
            f"{found.largest:.4f}, ROC AUC {found.roc_auc:.4f} ({found.roc_auc_difference:+.4f}), log loss "
            f"{found.loss:.4f} ({found.loss_difference:+.4f})"
        )
    if verdict.first_difference:
        typer.echo(f"  the first that is not the same to the last bit: {verdict.first_difference}")
    elif verdict.agreements:
        typer.echo("  everything is the same to the last bit")
    if verdict.agreements and verdict.causes:
        typer.echo("  not as at the committed results:")
        for cause in verdict.causes:
            typer.echo(f"    {cause}")
