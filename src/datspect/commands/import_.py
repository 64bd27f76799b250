"""Commands `import ppmi` and `import nifti`: real scans become a cohort folder that the graph reads."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datspect.errors import ImportingError

if TYPE_CHECKING:
    from datspect.importing.account import Account
    from datspect.importing.plan import Plan
    from datspect.importing.pseudonyms import Pseudonyms
    from datspect.importing.scan import ImportOptions
    from datspect.io.sources import Source, UnusableSource

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""

log = logging.getLogger("datspect.importing")
app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Downloads = Annotated[list[Path], typer.Argument(help="zips, folders, or folders with zips in them")]
To = Annotated[Path, typer.Option("--to", help="cohort folder to fill, such as data/ppmi")]
FixOrientation = Annotated[
    bool, typer.Option("--fix-orientation", help="flip scans that fit the mean phantom better upside down or turned")
]
Resample = Annotated[
    bool, typer.Option("--resample", help="bring scans in MNI space on another grid onto the 2 mm one")
]
Strict = Annotated[bool, typer.Option("--strict", help="stop at the first bad scan or file instead of leaving it out")]
Names = Annotated[
    bool, typer.Option("--names", help="show what the pseudonyms of left-out things stand for (terminal only)")
]
Params = Annotated[Path, typer.Option(help="says where the graph expects the striata")]


@app.callback()
def import_() -> None:
    """Import real scans into a cohort folder, under pseudonyms. See docs/ppmi.md for what binds you.

    Stopped or killed, an import goes on when the same command is given again.
    """


@app.command()
def ppmi(
    downloads: Downloads,
    csv: Annotated[list[Path], typer.Option(help="table of the collection; may be given several times")],
    to: To,
    groups: Annotated[str, typer.Option(help="groups to import, joined by commas")] = "PD,Control",
    fix_orientation: FixOrientation = False,
    resample: Resample = False,
    strict: Strict = False,
    names: Names = False,
    params: Params = Path("params.yaml"),
) -> None:
    """Import a PPMI download: the earliest reconstructed scan of everybody in the groups."""
    # Here, so that `datspect --help` does not wait for pandas and pydicom.
    from datspect.importing.ppmi import plan_ppmi
    from datspect.importing.ppmi_collection import parse_groups, read_collection

    _check_places(downloads, to, names)
    options = _options(params, fix_orientation=fix_orientation, resample=resample, strict=strict)
    labels = parse_groups(groups)
    collection = read_collection(csv)
    pseudonyms = _pseudonyms()
    sources, unusable = _found(downloads, pseudonyms, strict=strict)
    _run(plan_ppmi(sources, unusable, collection, labels, pseudonyms), to, options, pseudonyms, names=names)


@app.command()
def nifti(
    downloads: Downloads,
    participants: Annotated[Path, typer.Option(help="CSV or TSV, a row for each participant, or for each scan")],
    to: To,
    subject_column: Annotated[str, typer.Option(help="who it is")] = "participant_id",
    label_column: Annotated[str | None, typer.Option(help="[default: group, diagnosis or label]")] = None,
    file_column: Annotated[str | None, typer.Option(help="path below the folder [default: found by the id]")] = None,
    age_column: Annotated[str | None, typer.Option(help="years [default: age]")] = None,
    sex_column: Annotated[str | None, typer.Option(help="M, F, male, female [default: sex or gender]")] = None,
    site_column: Annotated[str | None, typer.Option(help="[default: site]")] = None,
    visit_column: Annotated[str | None, typer.Option(help="[default: visit, session_id or session]")] = None,
    labels: Annotated[str, typer.Option(help='what labels mean: "Parkinson=pd,Healthy=control"')] = "",
    pattern: Annotated[str, typer.Option(help="only files whose path is like this; * is anything")] = "*",
    fix_orientation: FixOrientation = False,
    resample: Resample = False,
    strict: Strict = False,
    names: Names = False,
    params: Params = Path("params.yaml"),
) -> None:
    """Import a folder of NIfTI files, BIDS-like or flat, with a table of participants."""
    from datspect.importing.nifti_folder import Columns, parse_labels, plan_nifti
    from datspect.io.delimited import read_delimited

    _check_places(downloads, to, names)
    options = _options(params, fix_orientation=fix_orientation, resample=resample, strict=strict)
    asked = {"subject": subject_column, "label": label_column, "file": file_column, "age": age_column}
    asked |= {"sex": sex_column, "site": site_column, "visit": visit_column}
    columns = Columns(**{what: (name,) for what, name in asked.items() if name is not None})
    table = read_delimited(participants, "the table of participants")
    pseudonyms = _pseudonyms()
    found = _found(downloads, pseudonyms, strict=strict)
    plan = plan_nifti(found, table, pseudonyms, columns, parse_labels(labels), pattern)
    _run(plan, to, options, pseudonyms, names=names)


def _check_places(downloads: Sequence[Path], to: Path, names: bool) -> None:
    target = to.resolve()
    for root in (download.resolve() for download in downloads):
        if target == root or root in target.parents or target in root.parents:
            raise ImportingError("--to: the cohort folder and the download must not lie within each other")
    if names and not sys.stdout.isatty():
        raise ImportingError("--names shows original ids and paths: it needs a terminal, not a file or a pipe")


def _options(params: Path, *, fix_orientation: bool, resample: bool, strict: bool) -> "ImportOptions":
    from datspect.importing.scan import ImportOptions
    from datspect.params.whole import load_params

    z_offset = load_params(params).preprocess.z_offset_voxels if params.exists() else None
    return ImportOptions(fix_orientation=fix_orientation, resample=resample, strict=strict, z_offset_voxels=z_offset)


def _pseudonyms() -> "Pseudonyms":
    from datspect.importing.pseudonyms import key_path, read_or_create_key

    return read_or_create_key(key_path())


def _found(
    downloads: Sequence[Path], pseudonyms: "Pseudonyms", *, strict: bool
) -> "tuple[list[Source], list[UnusableSource]]":
    """Files of the downloads; with `strict` a zip or file that must not be opened ends it here, before the import."""
    from datspect.io.sources import find_sources

    sources, unusable = find_sources(downloads)
    if strict and unusable:
        more = f"; {len(unusable) - 1} more like it" if len(unusable) > 1 else ""
        raise ImportingError(
            f"{pseudonyms.file(unusable[0].name)}: {unusable[0].reason}{more}; --strict stops here, nothing was "
            "imported (without it the account lists them all, and --names shows their paths)"
        )
    return sources, unusable


def _run(plan: "Plan", to: Path, options: "ImportOptions", pseudonyms: "Pseudonyms", *, names: bool) -> None:
    from datspect.importing.account import account_text
    from datspect.importing.subjects import import_subjects

    try:
        account = import_subjects(plan, to, options, pseudonyms)
    except KeyboardInterrupt:
        log.warning("stopped; the scans that are finished are kept, and the same command goes on")
        raise typer.Exit(STOPPED) from None
    print(account_text(account))
    if names:
        _print_names(account, pseudonyms)
    if not account.imported:
        raise ImportingError(f"no scan was imported; the reasons are above and in {to}/excluded.tsv")
    print(f"The account is in {to}. Next, in params.yaml and then on the command line:\n")
    print(f"cohort:\n  path: {to.as_posix()}\n\ndvc repro")


def _print_names(account: "Account", pseudonyms: "Pseudonyms") -> None:
    print("What was left out is, by its original name (shown here only):")
    for what in dict.fromkeys(out.what for out in account.exclusions):
        for pseudonym, original in pseudonyms.revealed(what):
            print(f"  {pseudonym}  {original}")
    print()
