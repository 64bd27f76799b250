"""Command `register`: make the final model a version of the registered model, and its challenger."""

import typer


def register() -> None:
    """Register the model that dvc.lock names as a version of `datspect`, and make it the challenger.

    A model is registered once. If it has a version already, the command only moves the alias to it, also to an earlier
    model that was restored from DVC's cache.
    """
    # Here, so that `datspect --help` does not wait for pandas and MLflow.
    from datspect.release import registering, registry
    from datspect.running.addresses import repository_root

    results = registering.read_registrable(repository_root())
    with registry.opened() as opened:
        version, is_new = registering.register(opened.registry, results)
    what = "registered" if is_new else "was registered before"
    typer.echo(f"version {version.number} of {registry.NAME} {what} ({results.scope.short}) and is the challenger")
