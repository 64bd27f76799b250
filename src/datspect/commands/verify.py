"""Command `verify`: compare every output on disk, and every file in DVC's cache, with dvc.lock."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from datspect.commands.exits import FOUND
from datspect.commands.forms import Form, as_json

if TYPE_CHECKING:
    from tqdm import tqdm

    from datspect.release.verifying import Difference, Output

_FEW, _SHOWN = 200, 10


def verify(form: Form = "table") -> None:
    """Compare every output, in the workspace and in DVC's cache, with its digest in dvc.lock, file by file.

    DVC takes a cached file for whole without reading it, so `dvc checkout` and `dvc repro` bring damage back. The exit
    code is 1 if anything differs; the commands that mend it are printed.
    """
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect.release import mending, verifying
    from datspect.running.addresses import repository_root
    from datspect.running.progress import progress

    root = repository_root()
    outputs = verifying.graph_outputs(root)
    found: dict[Output, Sequence[Difference]] = {}
    n_files = 2 * sum(one.n_files for one in outputs)
    bar: tqdm[None] = progress(None, total=n_files, what="verify", unit="file", only_on_terminal=n_files < _FEW)
    with bar:
        for output in outputs:
            found[output] = verifying.differences(root, output, bar.update)
    n_wrong = sum(bool(ones) for ones in found.values())
    if form == "json":
        print(as_json(_record(found, mending.commands(root, found) if n_wrong else [])))
        raise typer.Exit(FOUND if n_wrong else 0)
    for output, ones in found.items():
        _print(output, ones)
    if n_wrong:
        typer.echo(f"\nnot what dvc.lock names: {n_wrong} of {len(outputs)} outputs. To mend them:\n")
        for command in mending.commands(root, found):
            typer.echo(f"  {command}")
        typer.echo("\nThen dvc repro, and make verify once more.")
        raise typer.Exit(FOUND)
    typer.echo(f"\nall {len(outputs)} outputs are what dvc.lock names, in the workspace and in DVC's cache")


def _record(found: "Mapping[Output, Sequence[Difference]]", commands: Sequence[str]) -> dict[str, object]:
    outputs = [
        {"path": output.path, "stage": output.stage, "md5": output.md5, "whole": not ones, "differences": list(ones)}
        for output, ones in found.items()
    ]
    return {"whole": not any(found.values()), "outputs": outputs, "commands": list(commands)}


def _print(output: "Output", found: Sequence["Difference"]) -> None:
    if not found:
        typer.echo(f"whole: {output.path}")
    for one in found[:_SHOWN]:
        typer.echo(str(one))
    if len(found) > _SHOWN:
        typer.echo(f"  and {len(found) - _SHOWN} more files of {output.path}")
