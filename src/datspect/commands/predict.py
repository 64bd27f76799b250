"""Command `predict`: print what a model says of scans that were never in a cohort."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datspect.commands.completion import models
from datspect.commands.exits import FOUND, WrongUseError
from datspect.commands.forms import as_json
from datspect.errors import CohortError, DatspectError, PrevalenceError, ScanError

if TYPE_CHECKING:
    from datspect.evaluation.normal_range import Person
    from datspect.io.sources import Source, UnusableSource
    from datspect.prediction.answering import Outcome
    from datspect.prediction.pictures import Drawings
    from datspect.prediction.predictor import Predictor

OTHER_ENDINGS = (".xml", ".txt", ".csv", ".tsv", ".json", ".pdf", ".png", ".html", ".md", "dicomdir")
"""Endings of files that lie beside scans and are not scans; a DICOMDIR is an index of the files of a disc."""

Format = Literal["table", "csv", "json"]
Frames = Literal["refuse", "mean"]
Space = Literal["auto", "mni", "native"]
Convention = Literal["radiological", "neurological"]
Sex = Literal["female", "male"]

log = logging.getLogger("datspect.predict")


def predict(
    scans: Annotated[list[Path], typer.Argument(help="NIfTI or DICOM files, folders or zips.")],
    model: Annotated[
        str,
        typer.Option(
            help="Use the predictor in this folder, or the version with this alias or number.", autocompletion=models
        ),
    ] = "models/predictor",
    form: Annotated[Format, typer.Option("--format", help="Print the answers in this form.")] = "table",
    figure: Annotated[
        Path | None, typer.Option(help="Draw each scan and its attribution into this folder, one picture each.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write each answer as a page into this folder, with its pictures inside.")
    ] = None,
    space: Annotated[
        Space, typer.Option(help="Where scans lie: believe their voxels, call it MNI space, or register them all.")
    ] = "auto",
    fix_orientation: Annotated[
        bool, typer.Option("--fix-orientation", help="Turn heads that lie upside down or back to front.")
    ] = False,
    template: Annotated[
        Path | None,
        typer.Option("--template", help="Register to the mean control of this cohort folder. [default: mean phantom]"),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links that lead out of what you named, and links to folders.")
    ] = False,
    prevalence: Annotated[
        float | None, typer.Option(help="Answer for this share of PD among those scanned, such as 0.1.")
    ] = None,
    frames: Annotated[
        Frames, typer.Option(help="Several volumes in one NIfTI file: refuse them, or take their mean.")
    ] = "refuse",
    age: Annotated[float | None, typer.Option(help="Age in years, to hold binding ratios against controls.")] = None,
    sex: Annotated[Sex | None, typer.Option(help="Sex, to hold binding ratios against controls.")] = None,
    participants: Annotated[
        Path | None, typer.Option(help="A table with path, age and sex of each scan, such as participants.tsv.")
    ] = None,
    convention: Annotated[
        Convention, typer.Option(help="Draw heads with the patient's right on the left, or on the right.")
    ] = "radiological",
) -> None:
    """Predict scans in any space. Research only, no diagnosis. The exit code is 1 if a scan could not be used."""
    # Here, so that `datspect --help` does not wait.
    from datspect.normalisation.own_template import template_of_controls
    from datspect.prediction.answering import Reading, outcomes
    from datspect.prediction.statement import statement

    _check_writable({"--figure": figure, "--page": page})
    sources, unusable = _scans(scans, follow_links=follow_links)
    names = [source.name for source in sources]
    people = _people(names, age, sex, participants)
    predictor = read_predictor(model)
    if prevalence is not None:
        check_prevalence(predictor, prevalence)  # an impossible one stops before anything is read
    own = None if template is None else template_of_controls(template, predictor.parts.preprocess.z_offset_voxels)
    how = Reading(space, fix_orientation, frames, own, people)
    drawing = _drawing(predictor, [*names, *(each.name for each in unusable)], (figure, page), convention, prevalence)
    found = [_unusable(number, each, drawing) for number, each in enumerate(unusable, start=len(names))]
    found += outcomes(predictor, sources, how, drawing=drawing, prevalence=prevalence)
    print(text_of(found, form))
    if form == "table":
        print(f"\n{statement(predictor.parts, prevalence)}")
    if any(outcome.answer is None or outcome.undrawn for outcome in found):
        raise typer.Exit(FOUND)


def _check_writable(folders: Mapping[str, Path | None]) -> None:
    from datspect.io.writable import check_writable_folder

    for option, folder in folders.items():
        if folder is not None:
            check_writable_folder(folder, option)


def _scans(paths: Sequence[Path], *, follow_links: bool) -> "tuple[list[Source], list[UnusableSource]]":
    """Return what may be scans below these paths, and what must not be opened."""
    from datspect.io.several_files import with_several_files
    from datspect.io.sources import find_sources

    sources, unusable = find_sources(paths, follow_links=follow_links)
    wanted = [source for source in sources if not source.name.lower().endswith(OTHER_ENDINGS)]
    if len(wanted) < len(sources):
        log.info("%d other files passed over (%s)", len(sources) - len(wanted), ", ".join(OTHER_ENDINGS))
    joined = with_several_files(wanted)
    if len(joined) < len(wanted):
        log.info("%d files are %d scans: slices of a series, and halves of a pair, are one", len(wanted), len(joined))
    if not wanted and not unusable:
        raise ScanError("no file that could be a scan; name NIfTI or DICOM files, or folders that hold them")
    return joined, unusable


def _drawing(
    predictor: "Predictor",
    names: Sequence[str],
    folders: tuple[Path | None, Path | None],
    convention: Convention,
    prevalence: float | None,
) -> "Drawings | None":
    """Return what draws pictures and pages into these folders; it loads Matplotlib, and the network at once."""
    if folders == (None, None):
        return None
    from datspect.prediction.pictures import Drawings, Wanted

    return Drawings(predictor, names, Wanted(*folders, convention), prevalence)


def _unusable(number: int, source: "UnusableSource", drawing: "Drawings | None") -> "Outcome":
    """Return the outcome of what must not be opened, with a page of its own if pages are wanted."""
    from datspect.prediction.answering import Outcome, Prepared

    undrawn = "" if drawing is None else drawing.draw(number, Prepared(source.name, error=source.reason), None)
    return Outcome(source.name, None, source.reason, undrawn)


def check_prevalence(predictor: "Predictor", prevalence: float) -> None:
    """Refuse an impossible prevalence before anything is read."""
    from datspect.evaluation.calibration import prevalence_shift

    try:
        prevalence_shift(predictor.parts.prevalence, prevalence)
    except PrevalenceError as error:
        raise WrongUseError(f"--prevalence: {error}") from None


def _people(names: Sequence[str], age: float | None, sex: Sex | None, participants: Path | None) -> "dict[str, Person]":
    """Return what is known of the people of the scans with these names, by name."""
    from datspect.cohort.people import people_by_file, person_of

    if participants is not None:
        if age is not None or sex is not None:
            raise WrongUseError("--participants has ages and sexes; leave --age and --sex out")
        known, files = people_by_file(participants), [name.rpartition("/")[2] for name in names]
        if twice := sorted({file for file in files if file in known and files.count(file) > 1}):
            raise ScanError(
                f"--participants: {len(twice)} file(s) of the table are the name of several scans ({twice[0]}): whose "
                "age and sex these are cannot be told; ask for the folders one by one, or rename the scans"
            )
        found = {name: known[file] for name, file in zip(names, files, strict=True) if file in known}
        log.info("%d of %d scans are in %s", len(found), len(names), participants.name)
        return found
    if age is None and sex is None:
        return {}
    if len(names) > 1:
        raise WrongUseError(
            f"--age and --sex are of one person, and there are {len(names)} scans; use --participants, or name one scan"
        )
    try:
        return dict.fromkeys(names, person_of(age, sex, "--age"))
    except CohortError as error:
        raise WrongUseError(str(error)) from None


def read_predictor(model: str) -> "Predictor":
    """Read a predictor from a folder, or from the registry by alias or number."""
    from datspect.prediction.predictor import Predictor

    if Path(model).is_dir():
        return Predictor.read(Path(model))
    if "/" in model or model.startswith("."):
        raise DatspectError(
            f"{model}: no such folder; with --model name the folder of a predictor, or a registered version. In a "
            "project dvc repro makes models/predictor"
        )
    from datspect.release.checked import model_folder

    return Predictor.read(model_folder(model))


def text_of(outcomes: "Sequence[Outcome]", form: Format) -> str:
    """Return the outcomes in a form."""
    from datspect.prediction.answer_rows import as_csv, as_table, row

    match form:
        case "json":
            return as_json([row(outcome) for outcome in outcomes])
        case "csv":
            return as_csv([row(outcome) for outcome in outcomes])
        case "table":
            return as_table(outcomes)
