"""Command `phantom native`: write simulated scans as cameras store them, to try importers and registration on."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from datspect.commands.project import PARAMS, params_or_defaults

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class _Format(StrEnum):
    nifti = "nifti"
    dicom = "dicom"
    mixed = "mixed"


@app.callback()
def phantom() -> None:
    """Simulate scans beyond the cohort of the graph (which is a stage: `dvc repro`)."""


@app.command()
def native(
    folder: Annotated[Path, typer.Argument(help="Fill this folder, which must be empty or not there.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of scans, one a subject.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed; the same seed gives the same bytes.")] = 7,
    stored_as: Annotated[
        _Format, typer.Option("--format", help="How scans are stored; mixed: both, one file a slice too.")
    ] = _Format.nifti,
    in_mni: Annotated[
        bool, typer.Option("--in-mni", help="Also write to truth/in_mni what a perfect registration would give.")
    ] = False,
    params: Annotated[
        Path, typer.Option(help="Read the section phantom here; where there is none, that of the package.")
    ] = PARAMS,
) -> None:
    """Simulate scans in native space: necks, cut fields of view, tilted heads, any grid, with the true transforms.

    They are PHANTOMS: nobody was imaged. The truth lies apart, in FOLDER/truth.
    """
    # Here, so that `datspect --help` does not wait for pandas and SciPy.
    from datspect.io.writable import check_writable_folder
    from datspect.params.whole import load_params
    from datspect.phantom.cohort import build_laboratory
    from datspect.phantom.native_cohort import PARTICIPANTS, SCANS, check_empty, native_params, write_native_cohort

    check_empty(folder)
    check_writable_folder(folder, "FOLDER")  # before anything is simulated
    wanted = native_params(load_params(params_or_defaults(params)).phantom, n, seed)
    typer.echo(f"calibrating the {wanted.n_sites} simulated sites, less than a minute on two cores", err=True)
    written = write_native_cohort(folder, build_laboratory(wanted), stored_as.value, in_mni=in_mni)
    groups = ", ".join(f"{count} {group}" for group, count in written["group"].value_counts().items())
    typer.echo(f"{len(written)} PHANTOM scans ({groups}) are in {folder / SCANS}, the truth in {folder / 'truth'}")
    if stored_as is _Format.nifti:
        table = f"--participants {folder / PARTICIPANTS} --file-column file"
        typer.echo(f"\ndatspect import nifti {folder / SCANS} {table} --to data/phantoms")
