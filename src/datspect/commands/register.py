"""Command `register`: the final model as a version of the registered model, and as its challenger."""

import logging

import typer

log = logging.getLogger("datspect.register")


def register() -> None:
    """Register the model that dvc.lock names as a version of `datspect`, and make it the challenger.

    The same model is registered once; later calls only move the alias, also back to an earlier version that was
    restored from DVC's cache.
    """
    # Here, so that `datspect --help` does not wait for pandas and MLflow.
    from datspect.params.whole import load_params
    from datspect.release import registering, registry
    from datspect.running.addresses import repository_root

    root = repository_root()
    results = registering.read_results(root)
    with registry.opened(load_params(root / "params.yaml").tracking.experiment) as opened:
        version, is_new = registering.register(opened, results)
    what = "registered" if is_new else "was registered before"
    typer.echo(f"version {version.number} of {registry.NAME} {what} ({results.kind.short}) and is the challenger")
