"""Command `serve`: answer over HTTP with a version whose files are as they were registered."""

from pathlib import Path
from typing import Annotated

import typer

from datspect.commands.completion import versions
from datspect.commands.exits import SIGNALLED


def serve(
    version: Annotated[
        str, typer.Argument(help="Number or alias of the version.", autocompletion=versions)
    ] = "champion",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Listen here, on this machine alone.")] = 5001,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Serve also a version that was registered without a manifest.")
    ] = False,
    manifest: Annotated[
        str, typer.Option(help="Serve only if its manifest has this SHA-256, which you keep outside of the registry.")
    ] = "",
    answers_to: Annotated[
        list[str] | None,
        typer.Option("--answers-to", help="Answer under this name too, as a proxy before it may ask."),
    ] = None,
    copy_to: Annotated[
        Path | None, typer.Option(help="Only write the checked copy into this new folder; serve nothing.")
    ] = None,
) -> None:
    """Serve a version: copy its files, hold each against the manifest, and only then run what is in the copy.

    docs/serving.md says how to ask, docs/security.md what the check can tell.
    """
    # Here, so that `datspect --help` does not wait for MLflow.
    import shutil
    import sys
    import tempfile

    from datspect.errors import PromotionError
    from datspect.io.writable import check_writable_folder
    from datspect.release.checked import copy_checked, has_manifest
    from datspect.release.reading import readable
    from datspect.release.registry import NAME
    from datspect.running.servers import serve as run_server

    if copy_to is not None:
        if copy_to.exists():
            raise PromotionError(f"{copy_to} is there already; name a folder that is not")
        check_writable_folder(copy_to, "--copy-to")  # before the registry is read
    with tempfile.TemporaryDirectory(prefix="datspect-serve-") as temporary:  # for its owner alone
        folder = Path(temporary) / "model"
        with readable() as registry:
            wanted = registry.named(version)
            copy_checked(registry, wanted, folder, unverified=unverified, expected=manifest)
        said = "every file as registered" if has_manifest(wanted) else "NOT VERIFIED: it has no manifest"
        typer.echo(f"version {wanted.number} of {NAME}, {said}")
        if copy_to is not None:
            shutil.move(folder, copy_to)
            typer.echo(f"copied to {copy_to}")
            return
        typer.echo(
            f"Serving it on http://127.0.0.1:{port}/invocations (Ctrl-C ends it); docs/serving.md says how to ask"
        )
        program = [sys.executable, "-m", "datspect.release.scoring_app", str(folder), str(port)]
        code = run_server([*program, *(answers_to or [])])
        raise typer.Exit(code if code >= 0 else SIGNALLED - code)
