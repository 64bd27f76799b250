"""Answer many scans: all cores read them, the network takes them in batches, and few are in memory at a time."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from datspect.errors import ScanError
from datspect.evaluation.normal_range import Person
from datspect.imaging.registration import Template
from datspect.io.nifti import Frames
from datspect.io.scan_reading import read_scan
from datspect.io.sources import Source
from datspect.normalisation.placing import NotPlacedError, Space
from datspect.prediction import networks
from datspect.prediction.predictor import Answer, Predictor, PreparedScan
from datspect.running.pool import unordered
from datspect.running.progress import progress

_FEW = 8
"""So many scans are read before worker processes would have started."""
_AHEAD = 64
"""So many scans may be read ahead of the network, which takes them in batches."""


@dataclass(frozen=True)
class Outcome:
    """The answer to one scan, or why there is none.

    `undrawn`: why a picture that was asked for is missing. `notes`: what is to be known of the reading.
    """

    scan: str
    answer: Answer | None
    error: str = ""
    undrawn: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How scans are read and placed, and what is known of the people, by the name of the scan."""

    space: Space = "auto"
    fix_orientation: bool = False
    frames: Frames = "refuse"
    template: Template | None = None
    people: Mapping[str, Person] | None = None


@dataclass(frozen=True)
class Prepared:
    """A scan that was read, or what is wrong with it; `refusal`: how it could not be placed, if it is to be drawn."""

    name: str
    scan: PreparedScan | None = None
    error: str = ""
    notes: tuple[str, ...] = ()
    refusal: NotPlacedError | None = None


class Drawing(Protocol):
    """What draws scans on the way; Matplotlib is loaded only where there is one."""

    def draw(self, number: int, prepared: Prepared, answer: Answer | None) -> str:
        """Draw the scan with this number; return why that could not be done, "" if it was."""
        ...


def outcomes(
    predictor: Predictor,
    sources: Sequence[Source],
    reading: Reading | None = None,
    *,
    drawing: Drawing | None = None,
    prevalence: float | None = None,
) -> Iterator[Outcome]:
    """Yield the outcome of every scan in order; `drawing` draws each on the way."""
    batch_size = networks.BATCH_SIZE
    work = partial(_prepare, predictor, reading or Reading(), drawing is not None)
    predictor.place()  # here once: each worker would do it
    prepared = _prepared(work, sources, n_workers=1 if drawing is not None or len(sources) < _FEW else None)
    steps = progress(
        prepared, total=len(sources), what="predict", unit="scan", only_on_terminal=len(sources) < batch_size
    )
    number = 0
    for batch in _batches(steps, batch_size):
        usable = [each.scan for each in batch if each.scan is not None]
        answers = iter(predictor.answers(usable, prevalence))
        for each in batch:
            answer = next(answers) if each.scan is not None else None
            undrawn = drawing.draw(number, each, answer) if drawing else ""
            yield Outcome(each.name, answer, each.error, undrawn, each.notes)
            number += 1


def _prepared(
    work: Callable[[tuple[int, Source]], tuple[int, Prepared]], sources: Sequence[Source], *, n_workers: int | None
) -> Iterator[Prepared]:
    """Prepare scans in order; several workers are forked before the model is read."""
    early: dict[int, Prepared] = {}
    wanted = 0
    for number, prepared in unordered(work, enumerate(sources), n_workers, n_ahead=_AHEAD):
        early[number] = prepared
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1


def _prepare(
    predictor: Predictor, reading: Reading, keep_volume: bool, item: tuple[int, Source]
) -> tuple[int, Prepared]:
    number, source = item
    try:
        read = read_scan(source, frames=reading.frames)
        scan = predictor.prepare(
            read, space=reading.space, fix_orientation=reading.fix_orientation, template=reading.template
        )
    except ScanError as error:
        refusal = error if keep_volume and isinstance(error, NotPlacedError) else None
        return number, Prepared(source.name, error=str(error), refusal=refusal)
    if reading.people and source.name in reading.people:
        scan = replace(scan, person=reading.people[source.name])
    return number, Prepared(source.name, scan if keep_volume else replace(scan, volume=None), notes=read.notes)


def _batches(items: Iterable[Prepared], size: int) -> Iterator[list[Prepared]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
