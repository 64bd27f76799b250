"""Command `predict`: print what a model says of scans that were never in a cohort."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datspect.cohort.kind import CohortKind
from datspect.errors import DatspectError, ScanError
from datspect.text import file_names

if TYPE_CHECKING:
    from datspect.imaging.registration import Template
    from datspect.io.sources import Source
    from datspect.normalisation.placing import NotPlacedError
    from datspect.prediction.files import PredictorParts
    from datspect.prediction.predictor import Answer, Predictor, PreparedScan

OTHER_ENDINGS = (".xml", ".txt", ".csv", ".tsv", ".json", ".pdf", ".png", ".html", ".md", "dicomdir")
"""Endings of files that lie beside scans and are not scans; a DICOMDIR is an index of the files of a disc."""

_HOW = {"as it is": "", "resampled": "resampled from another MNI grid", "registered": "registered to MNI space"}
_FEW = 8
"""So many scans are read before worker processes would have started."""
_AHEAD = 64
"""So many scans may be read ahead of the network, which takes them in batches."""

Format = Literal["table", "csv", "json"]
Frames = Literal["refuse", "mean"]
Space = Literal["auto", "mni", "native"]

log = logging.getLogger("datspect.predict")


@dataclass(frozen=True)
class Outcome:
    """The answer to one scan, or why there is none.

    `undrawn`: why a picture that was asked for is missing. `notes`: what is to be known of the reading.
    """

    scan: str
    answer: "Answer | None"
    error: str = ""
    undrawn: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How scans are read and placed."""

    space: Space = "auto"
    fix_orientation: bool = False
    frames: Frames = "refuse"
    template: "Template | None" = None


def predict(
    scans: Annotated[list[Path], typer.Argument(help="NIfTI or DICOM files, folders or zips.")],
    model: Annotated[
        str, typer.Option(help="Use the predictor in this folder, or the version with this alias or number.")
    ] = "models/predictor",
    form: Annotated[Format, typer.Option("--format", help="Print the answers in this form.")] = "table",
    figure: Annotated[Path | None, typer.Option(help="Draw each scan and its attribution into this folder.")] = None,
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
) -> None:
    """Predict scans in any space. Research only, no diagnosis. The exit code is 1 if a scan could not be used."""
    # Here, so that `datspect --help` does not wait.
    from datspect.evaluation.calibration import prevalence_shift
    from datspect.io.several_files import with_several_files
    from datspect.io.sources import find_sources
    from datspect.io.writable import check_writable_folder
    from datspect.normalisation.own_template import template_of_controls

    if figure is not None:
        check_writable_folder(figure, "--figure")
    sources, unusable = find_sources(scans, follow_links=follow_links)
    wanted = [source for source in sources if not source.name.lower().endswith(OTHER_ENDINGS)]
    if len(wanted) < len(sources):
        log.info("%d other files passed over (%s)", len(sources) - len(wanted), ", ".join(OTHER_ENDINGS))
    joined = with_several_files(wanted)
    if len(joined) < len(wanted):
        log.info("%d files are %d scans: slices of a series, and halves of a pair, are one", len(wanted), len(joined))
    if not wanted and not unusable:
        raise ScanError("no file that could be a scan; name NIfTI or DICOM files, or folders that hold them")
    predictor = read_predictor(model)
    if prevalence is not None:
        prevalence_shift(predictor.parts.prevalence, prevalence)  # an impossible one stops before anything is read
    own = None if template is None else template_of_controls(template, predictor.parts.preprocess.z_offset_voxels)
    outcomes = [Outcome(each.name, None, each.reason) for each in unusable]
    how = Reading(space, fix_orientation, frames, own)
    outcomes += predicted(predictor, joined, how, figure=figure, prevalence=prevalence)
    print(_text(outcomes, form))
    if form == "table":
        print(f"\n{statement(predictor.parts, prevalence)}")
    if any(outcome.answer is None or outcome.undrawn for outcome in outcomes):
        raise typer.Exit(1)


def read_predictor(model: str) -> "Predictor":
    """Read a predictor from a folder, or from the registry by alias or number."""
    from datspect.prediction.predictor import Predictor

    if Path(model).is_dir():
        return Predictor.read(Path(model))
    if "/" in model or model.startswith("."):
        raise DatspectError(f"{model}: no such folder; run dvc repro, or name a registered version")
    from datspect.release.checked import model_folder

    return Predictor.read(model_folder(model))


def predicted(
    predictor: "Predictor",
    sources: "Sequence[Source]",
    reading: "Reading | None" = None,
    *,
    figure: Path | None = None,
    prevalence: float | None = None,
) -> Iterator[Outcome]:
    """Yield the outcome of every scan in order; all cores read, the network takes batches, few scans are in memory."""
    from datspect.prediction.networks import BATCH_SIZE
    from datspect.running.progress import progress

    work = partial(_prepare, predictor, reading or Reading(), figure is not None)
    predictor.place()  # here once: each worker would do it
    prepared = _prepared(work, sources, n_workers=1 if figure is not None or len(sources) < _FEW else None)
    steps = progress(
        prepared, total=len(sources), what="predict", unit="scan", only_on_terminal=len(sources) < BATCH_SIZE
    )
    pictures = None if figure is None else _Pictures(predictor, figure, [source.name for source in sources])
    number = 0
    for batch in _batches(steps, BATCH_SIZE):
        usable = [each.scan for each in batch if each.scan is not None]
        answers = iter(predictor.answers(usable, prevalence))
        for each in batch:
            answer = next(answers) if each.scan is not None else None
            undrawn = pictures.draw(number, each, answer) if pictures else ""
            yield Outcome(each.name, answer, each.error, undrawn, each.notes)
            number += 1


class _Pictures:
    """Draws scans and their attributions, each into a file of its own; what cannot be drawn costs no answer."""

    def __init__(self, predictor: "Predictor", folder: Path, names: Sequence[str]) -> None:
        from datspect.prediction.explaining import Explainer

        self._explainer, self._names = Explainer(predictor), names
        self._paths = [folder / f"{name}.png" for name in file_names(names)]

    def draw(self, number: int, prepared: "Prepared", answer: "Answer | None") -> str:
        """Draw a scan and its answer, or how it could not be placed; return why that could not be done, if so."""
        from datspect.io.png import write_figure
        from datspect.normalisation.picture import refusal_figure

        path, name = self._paths[number], self._names[number]
        title = name.rpartition("/")[2]
        try:
            if prepared.scan is not None and answer is not None:
                write_figure(path, self._explainer.figure(prepared.scan, answer, title))
            elif prepared.refusal is not None:
                write_figure(path, refusal_figure(prepared.refusal, title))
            else:
                return ""
        except Exception as error:  # noqa: BLE001  (whatever it is, the answer stands)
            log.warning("no picture of %s: %s", name, str(error) or type(error).__name__)
            return str(error) or type(error).__name__
        log.info("%s", path)
        return ""


@dataclass(frozen=True)
class Prepared:
    """A scan that was read, or what is wrong with it; `refusal`: how it could not be placed, if it is to be drawn."""

    name: str
    scan: "PreparedScan | None" = None
    error: str = ""
    notes: tuple[str, ...] = ()
    refusal: "NotPlacedError | None" = None


def _prepared(
    work: "Callable[[tuple[int, Source]], tuple[int, Prepared]]",
    sources: "Sequence[Source]",
    *,
    n_workers: int | None,
) -> Iterator[Prepared]:
    """Prepare scans in order; several workers are forked before the model is read."""
    from datspect.running.pool import unordered

    early: dict[int, Prepared] = {}
    wanted = 0
    for number, prepared in unordered(work, enumerate(sources), n_workers, n_ahead=_AHEAD):
        early[number] = prepared
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1


def _prepare(
    predictor: "Predictor", reading: "Reading", keep_volume: bool, item: "tuple[int, Source]"
) -> tuple[int, Prepared]:
    from datspect.io.scan_reading import read_scan
    from datspect.normalisation.placing import NotPlacedError

    number, source = item
    try:
        read = read_scan(source, frames=reading.frames)
        scan = predictor.prepare(
            read, space=reading.space, fix_orientation=reading.fix_orientation, template=reading.template
        )
    except ScanError as error:
        refusal = error if keep_volume and isinstance(error, NotPlacedError) else None
        return number, Prepared(source.name, error=str(error), refusal=refusal)
    return number, Prepared(source.name, scan if keep_volume else replace(scan, volume=None), notes=read.notes)


def _batches(items: Iterable[Prepared], size: int) -> Iterator[list[Prepared]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def statement(parts: "PredictorParts", prevalence: float | None = None) -> str:
    """Return in words what the answers are worth, and at which prevalence of PD."""
    from datspect.reporting.paper_tables import with_interval

    is_phantom = parts.scope.kind is CohortKind.PHANTOM
    model = f"The model (recipe {parts.recipe})" if parts.recipe else "The model"
    kind = "a PHANTOM cohort: it says nothing about patients" if is_phantom else "real scans"
    coverage = f"{with_interval(parts.measures, 'coverage')} of these were conclusive"
    right = with_interval(parts.measures, "conclusive_accuracy")
    return (
        f"{model} was trained on {parts.n_train} subjects of {kind}. Out of fold {coverage}"
        f"{f', {right} of them right' if right else ''}. {_doubt_note(parts)} {_prevalence_note(parts, prevalence)} "
        "Research only, no diagnosis."
    )


def _doubt_note(parts: "PredictorParts") -> str:
    """Return what is promised of conclusive answers, and whether calling others inconclusive helps."""
    from datspect.evaluation.doubt import is_informative, promise
    from datspect.reporting.paper_tables import with_interval

    words = promise(parts.measures) or "nothing can be said of conclusive answers"
    note = f"{words[0].upper()}{words[1:]}, if scans are like those of training."
    if is_informative(parts.measures):
        return f"{note} Of the wrong ones {with_interval(parts.measures, 'errors_found')} were called inconclusive."
    return f"{note} What is called inconclusive was not shown to hold more errors than a draw by lot."


def _prevalence_note(parts: "PredictorParts", prevalence: float | None) -> str:
    """Return for which share of PD probabilities and classes are, and what holds at any."""
    trained = _percent(parts.prevalence)
    if prevalence is None:
        return (
            f"P(PD) and class are for {trained} PD, as in training. Where PD is rarer or more frequent among those "
            "scanned, use --prevalence, or LR, the likelihood ratio, which is the same everywhere."
        )
    return (
        f"P(PD), class and what is inconclusive were shifted to {_percent(prevalence)} PD; the shares above are those "
        f"at the training's {trained}. LR, the likelihood ratio, is the same everywhere."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _text(outcomes: Sequence[Outcome], form: Format) -> str:
    import json

    import pandas as pd

    from datspect.io.tables import csv_cells

    rows = [_row(outcome) for outcome in outcomes]
    match form:
        case "json":
            return json.dumps(rows, indent=2)
        case "csv":
            return csv_cells(pd.DataFrame(rows)).to_csv(index=False, lineterminator="\n").rstrip("\n")
        case "table":
            return _table(rows)


def _row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {"scan": outcome.scan, "error": outcome.error}
    if outcome.answer is None:
        return row
    answer = outcome.answer
    row |= {
        "prediction": answer.prediction,
        "probability": round(answer.probability, 6),
        "prevalence": round(answer.prevalence, 6),
        "likelihood_ratio": float(f"{answer.likelihood_ratio:.4g}"),
        "inconclusive": answer.inconclusive,
        "error_risk": round(answer.error_risk, 4),
        "ratio_probability": round(answer.ratio_probability, 6),
        "unlike": " ".join(answer.unlike),
        "flags": " ".join(answer.flags),
        "placed": answer.how,
        "notes": "; ".join(outcome.notes),
        "model_probability": round(answer.model_probability, 6),
    }
    names = ("caudate_left", "caudate_right", "putamen_left", "putamen_right")
    row |= {f"sbr_{name}": round(answer.measures[f"sbr_{name}"], 3) for name in names}
    return row | {
        name: round(answer.measures[name], 3) for name in ("feature_distance", "spread") if name in answer.measures
    }


def _table(rows: Sequence[dict[str, object]]) -> str:
    shares = [row["prevalence"] for row in rows if "prevalence" in row]
    probability = f"P(PD) at {_percent(float(str(shares[0])))} PD" if shares else "P(PD)"
    heads = (
        *("scan", "class", probability, "LR", "", "may be wrong", "by ratios", "caudate L R", "putamen L R"),
        "unlike the training cohort; flags",
    )
    lines = [heads]
    for row in rows:
        if "prediction" not in row:
            lines.append((str(row["scan"]), "-", "-", "", "", "", "", "", "", f"ERROR: {row['error']}"))
            continue
        said = (row["unlike"], row["flags"], _HOW[str(row["placed"])], row["notes"])
        remarks = "; ".join(str(text) for text in said if text)
        lines.append(
            (
                str(row["scan"]),
                str(row["prediction"]),
                f"{row['probability']:.4f}",
                f"{row['likelihood_ratio']:.2g}",
                "inconclusive" if row["inconclusive"] else "",
                f"{float(str(row['error_risk'])):.1%}",
                f"{row['ratio_probability']:.4f}",
                f"{row['sbr_caudate_left']:.2f} {row['sbr_caudate_right']:.2f}",
                f"{row['sbr_putamen_left']:.2f} {row['sbr_putamen_right']:.2f}",
                remarks,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
