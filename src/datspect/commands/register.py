"""Command `register`: make the final model a version of the registered model, and its challenger."""

from typing import Annotated

import typer

from datspect.commands.forms import Form, as_json


def register(
    again: Annotated[
        bool, typer.Option("--again", help="Make a new version though there is one: it lacks a manifest, or changed.")
    ] = False,
    form: Form = "table",
) -> None:
    """Register the model that dvc.lock names as a version of `datspect`, and make it the challenger.

    A model is registered once, and again after it was trained from a commit if it was not before. If it has a version
    already, the command only moves the alias to it, also to an earlier model that was restored from DVC's cache.
    """
    # Here, so that `datspect --help` does not wait for pandas and MLflow.
    from datspect.release import registering, registry
    from datspect.release.checked import has_manifest, without_manifest

    with registry.opened() as opened:
        opened.registry.check_writable()  # before results are read
        results = registering.read_registrable(opened.root)
        share = opened.params.tracking.share_subject_level
        version, is_new = registering.register(opened.registry, results, again=again, share_subject_level=share)
    if form == "json":
        record = {"version": int(version.number), "alias": registry.CHALLENGER, "is_new": is_new}
        print(as_json({**record, "has_manifest": has_manifest(version), **results.scope.record}))
        return
    if not has_manifest(version):
        typer.echo(without_manifest(version))
    what = "registered" if is_new else "was registered before"
    typer.echo(f"version {version.number} of {registry.NAME} {what} ({results.scope.short}) and is the challenger")
