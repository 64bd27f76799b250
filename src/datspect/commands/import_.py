"""Commands `import ppmi`, `import nifti` and `import dicom`: make real scans a cohort folder that the graph reads."""

import logging
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from datspect.commands.exits import STOPPED, WrongUseError
from datspect.errors import ImportingError

if TYPE_CHECKING:
    from datspect.importing.account import Account
    from datspect.importing.plan import Plan
    from datspect.importing.pseudonyms import Pseudonyms
    from datspect.importing.scan import ImportOptions
    from datspect.io.sources import Source, UnusableSource

log = logging.getLogger("datspect.importing")
app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@dataclass(frozen=True)
class Import:
    """What every import takes on the command line, and the steps that follow from it."""

    downloads: Annotated[list[Path], typer.Argument(help="Zips, folders, or folders with zips in them.")]
    to: Annotated[Path, typer.Option("--to", help="Fill this cohort folder, such as data/ppmi.")]
    fix_orientation: Annotated[
        bool,
        typer.Option("--fix-orientation", help="Flip scans that fit the mean phantom better upside down or turned."),
    ] = False
    space: Annotated[
        Literal["auto", "mni", "native"],
        typer.Option(help="Where scans lie: believe their voxels, call it MNI space, or register every one to it."),
    ] = "auto"
    template: Annotated[
        Path | None,
        typer.Option("--template", help="Register to the mean control of this cohort folder. [default: mean phantom]"),
    ] = None
    frames: Annotated[
        Literal["refuse", "mean"],
        typer.Option(help="Several volumes in one NIfTI file: refuse them, or take their mean."),
    ] = "refuse"
    follow_links: Annotated[
        bool,
        typer.Option("--follow-links", help="Follow links that lead out of what you named, and links to folders."),
    ] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first bad scan, file or row instead of leaving it out.")
    ] = False
    names: Annotated[
        bool, typer.Option("--names", help="Show what the pseudonyms of left-out things stand for; needs a terminal.")
    ] = False
    params: Annotated[Path, typer.Option(help="Read here where the graph expects the striata.")] = Path("params.yaml")

    @cached_property
    def pseudonyms(self) -> "Pseudonyms":
        """The pseudonyms under this user's key, which is created if there is none."""
        from datspect.importing.pseudonyms import key_path, read_or_create_key

        return read_or_create_key(key_path())

    def check_places(self) -> None:
        """Refuse a cohort folder that cannot be filled or lies within a download, and `names` without a terminal."""
        target = self.to.resolve()
        for root in (download.resolve() for download in self.downloads):
            if target == root or root in target.parents or target in root.parents:
                raise ImportingError("--to: the cohort folder and the download must not lie within each other")
        from datspect.importing.folder import check_target  # here, so that help does not wait

        check_target(self.to)
        if self.names and not sys.stdout.isatty():
            raise WrongUseError("--names shows original ids and paths: it needs a terminal, not a file or a pipe")

    def options(self) -> "ImportOptions":
        """Return the options of a single scan's import."""
        from datspect.importing.scan import ImportOptions
        from datspect.normalisation.own_template import template_of_controls
        from datspect.params.whole import load_params

        offset = load_params(self.params).preprocess.z_offset_voxels if self.params.exists() else None
        return ImportOptions(
            fix_orientation=self.fix_orientation,
            space=self.space,
            template=None if self.template is None else template_of_controls(self.template, offset),
            frames=self.frames,
            strict=self.strict,
            z_offset_voxels=offset,
        )

    def found(self) -> "tuple[list[Source], list[UnusableSource]]":
        """Return files of the downloads; if `strict`, stop before the import at one that must not be opened."""
        from datspect.io.sources import find_sources

        pseudonyms = self.pseudonyms  # a broken key stops the import before a file is read
        sources, unusable = find_sources(self.downloads, follow_links=self.follow_links)
        if self.strict and unusable:
            more = f"; {len(unusable) - 1} more like it" if len(unusable) > 1 else ""
            raise ImportingError(
                f"{pseudonyms.file(unusable[0].name)}: {unusable[0].reason}{more}; --strict stops here, nothing was "
                "imported (without it the account lists them all, and --names shows their paths)"
            )
        return sources, unusable

    def carry_out(self, plan: "Plan", options: "ImportOptions") -> None:
        """Import the planned scans, and print the account and what comes next."""
        from datspect.importing.account import account_text
        from datspect.importing.subjects import import_subjects

        try:
            account = import_subjects(plan, self.to, options, self.pseudonyms)
        except KeyboardInterrupt:
            log.warning("stopped; the scans that are finished are kept, and the same command goes on")
            raise typer.Exit(STOPPED) from None
        print(account_text(account))
        if self.names:
            _print_names(account, self.pseudonyms)
        if not account.imported:
            raise ImportingError(f"no scan was imported; the reasons are above and in {self.to}/excluded.tsv")
        print(f"The account is in {self.to}. Next, in params.yaml and then on the command line:\n")
        print(_next_steps(self.to))


def _next_steps(folder: Path) -> str:
    """Return what to write into params.yaml and to type once `folder` is a cohort.

    A path that leaves the current folder is made absolute, since DVC's experiments run in a folder of their own.
    """
    path = folder.resolve() if ".." in folder.parts else folder
    steps = f"cohort:\n  path: {path.as_posix()}\n\ndvc repro"
    if path.is_absolute():
        return steps
    return (
        f"{steps}\n\nNeither git nor DVC keeps a copy of the folder, so an experiment in a folder of its own has to be "
        f"given it:\ndvc exp run --temp --copy-paths {shlex.quote(path.as_posix())}\n"
        "The same holds for --queue. In another git worktree, link the folder first (docs/experiments.md)."
    )


def _command(planned: Callable[..., "Plan"]) -> Callable[..., None]:
    """Make a command of a function that plans an import; the command takes the options of `Import` beside its own."""
    shared = signature(Import).parameters
    _, *own = signature(planned).parameters.values()

    @wraps(planned)
    def command(**given: Any) -> None:
        wanted = Import(**{name: given.pop(name) for name in shared if name in given})
        wanted.check_places()
        options = wanted.options()
        wanted.carry_out(planned(wanted, **given), options)

    taken = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*own, *shared.values())]
    command.__signature__ = Signature(taken)  # type: ignore[attr-defined]  # Typer reads the options here
    command.__annotations__ = {each.name: each.annotation for each in taken}
    return app.command()(command)


@app.callback()
def import_() -> None:
    """Import real scans into a cohort folder, under pseudonyms. See docs/ppmi.md for what binds you.

    An import that was stopped or killed goes on when you give the same command again.
    """


@_command
def ppmi(
    wanted: Import,
    csv: Annotated[list[Path], typer.Option(help="Read this table of the collection; you can give several.")],
    groups: Annotated[str, typer.Option(help="Import these groups, joined by commas.")] = "PD,Control",
    status: Annotated[
        Path | None, typer.Option(help="Table with PATNO and COHORT: today's diagnosis (Participant_Status).")
    ] = None,
    diagnosis: Annotated[
        Literal["agreed", "archive", "status"],
        typer.Option(help="Where the archive's group and --status differ: leave out, or keep that one."),
    ] = "agreed",
    description: Annotated[
        str, typer.Option(help="Import scans that the table describes so.")
    ] = "Reconstructed DaTSCAN",
    subject_column: Annotated[
        str | None, typer.Option(help="Column of the person's id. [default: as the archive names it]")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="Column of the image id.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the group.")] = None,
    age_column: Annotated[str | None, typer.Option(help="Column of the age in years.")] = None,
    sex_column: Annotated[str | None, typer.Option(help="Column of the sex.")] = None,
    visit_column: Annotated[str | None, typer.Option(help="Column of the visit.")] = None,
    modality_column: Annotated[str | None, typer.Option(help="Column of the modality.")] = None,
    description_column: Annotated[str | None, typer.Option(help="Column of the description.")] = None,
    date_column: Annotated[str | None, typer.Option(help="Column of the date of the scan.")] = None,
    labels: Annotated[str, typer.Option(help='What groups mean: "Parkinson=pd,Healthy=control".')] = "",
) -> "Plan":
    """Import a PPMI download: the earliest reconstructed scan of everybody in the groups."""
    # Here, so that `datspect --help` does not wait for pandas and pydicom.
    from datspect.importing.labels import parse_labels
    from datspect.importing.ppmi import plan_ppmi
    from datspect.importing.ppmi_collection import parse_groups, read_collection
    from datspect.importing.ppmi_status import read_status
    from datspect.io.several_files import with_several_files

    asked = {"subject": subject_column, "image_id": image_column, "group": label_column, "age": age_column}
    asked |= {"sex": sex_column, "visit": visit_column, "modality": modality_column}
    asked |= {"description": description_column, "date": date_column}
    columns = {what: name for what, name in asked.items() if name is not None}
    wanted_groups, spellings = parse_groups(groups), parse_labels(labels)
    today = None if status is None else read_status(status, diagnosis)
    collection = read_collection(csv, columns, spellings, description, needs_group=today is None)
    if wanted.strict and collection.left_out:
        row = collection.left_out[0]
        more = f"; {len(collection.left_out) - 1} more rows like it" if len(collection.left_out) > 1 else ""
        raise ImportingError(f"{row.place}: {row.reason}{more}; --strict stops here, nothing was imported")
    sources, unusable = wanted.found()
    return plan_ppmi(with_several_files(sources), unusable, collection, wanted_groups, wanted.pseudonyms, today)


@dataclass(frozen=True)
class Table:
    """What an import by a table of participants takes on the command line besides."""

    participants: Annotated[Path, typer.Option(help="CSV or TSV with one row per participant, or per scan.")]
    subject_column: Annotated[str, typer.Option(help="Column of the participant's id.")] = "participant_id"
    label_column: Annotated[
        str | None, typer.Option(help="Column of the label. [default: group, diagnosis or label]")
    ] = None
    file_column: Annotated[
        str | None, typer.Option(help="Column of the path below the folder. [default: the file is found by the id]")
    ] = None
    age_column: Annotated[str | None, typer.Option(help="Column of the age in years. [default: age]")] = None
    sex_column: Annotated[
        str | None, typer.Option(help="Column of the sex: M, F, male or female. [default: sex or gender]")
    ] = None
    site_column: Annotated[str | None, typer.Option(help="Column of the site. [default: site]")] = None
    visit_column: Annotated[
        str | None, typer.Option(help="Column of the visit. [default: visit, session_id or session]")
    ] = None
    labels: Annotated[str, typer.Option(help='What labels mean: "Parkinson=pd,Healthy=control".')] = ""
    pattern: Annotated[str, typer.Option(help="Take only files whose path is like this; * is anything.")] = "*"

    def plan(self, wanted: Import, *, of_dicom: bool) -> "Plan":
        """Plan the import of the scans that the table names."""
        from datspect.importing.labels import parse_labels
        from datspect.importing.nifti_folder import DICOM, NIFTI, Columns, plan_nifti
        from datspect.io.delimited import read_delimited
        from datspect.io.several_files import with_pairs, with_several_files

        named = {"subject": self.subject_column, "label": self.label_column, "file": self.file_column}
        named |= {"age": self.age_column, "sex": self.sex_column, "site": self.site_column, "visit": self.visit_column}
        columns = Columns(**{what: (name,) for what, name in named.items() if name is not None})
        table = read_delimited(self.participants, "the table of participants")
        sources, unusable = wanted.found()
        found = (with_several_files(sources) if of_dicom else with_pairs(sources), unusable)
        kind = DICOM if of_dicom else NIFTI
        return plan_nifti(found, table, wanted.pseudonyms, columns, parse_labels(self.labels), self.pattern, kind)


def _by_table(planned: "Callable[[Import, Table], Plan]") -> "Callable[..., Plan]":
    """Give a command the options of `Table`."""

    @wraps(planned)
    def with_options(wanted: Import, **given: Any) -> "Plan":
        return planned(wanted, Table(**given))

    own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in signature(Table).parameters.values()]
    wanted = Parameter("wanted", Parameter.POSITIONAL_OR_KEYWORD)
    with_options.__signature__ = Signature([wanted, *own])  # type: ignore[attr-defined]
    return with_options


@_command
@_by_table
def nifti(wanted: Import, table: Table) -> "Plan":
    """Import a folder of NIfTI files, BIDS-like or flat, with a table of participants."""
    return table.plan(wanted, of_dicom=False)


@_command
@_by_table
def dicom(wanted: Import, table: Table) -> "Plan":
    """Import a folder of DICOM files or series, as a PACS exports them, with a table of participants."""
    return table.plan(wanted, of_dicom=True)


def _print_names(account: "Account", pseudonyms: "Pseudonyms") -> None:
    print("What was left out is, by its original name (shown here only):")
    for what in dict.fromkeys(out.what for out in account.exclusions):
        for pseudonym, original in pseudonyms.revealed(what):
            print(f"  {pseudonym}  {original}")
    print()
