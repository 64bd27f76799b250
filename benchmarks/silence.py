"""What predictors say of 300 simulated things that are no DaT scan of a head in its place: nothing firm may be said.

    python benchmarks/silence.py [--n 300] [--ordinary 100] [--predictors FOLDER ...] [--json FILE] [--into PAGE]

Two thirds of the 300 lie on the MNI grid. They are answered twice: as `--space mni` has it, where their header is
believed, and by default, where what does not look like a head in MNI space is registered. The others are native and
are registered. Beside them stand ordinary phantoms of the same seed. Limits and evidence were chosen on phantoms of
seed 4001: take other seeds. It takes about 20 minutes on two cores, since what is registered takes some seconds.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Literal

import numpy as np

from datspect.cohort.kind import CohortKind
from datspect.cohort.screening import network_slabs
from datspect.cohort.table import LABELS
from datspect.errors import ScanError
from datspect.evaluation.intervals import wilson_interval
from datspect.imaging.volume import Volume, mni_affine
from datspect.io.scan_reading import ReadScan
from datspect.params.whole import load_params
from datspect.phantom.cohort import Laboratory, build_laboratory, simulate
from datspect.phantom.hopeless import DOUBTFUL, HOPELESS, hopeless_scan
from datspect.phantom.out_of_place import OUT_OF_PLACE, out_of_place_scan
from datspect.prediction.predictor import Predictor, PreparedScan
from datspect.reporting.markdown import markdown_table
from datspect.running.pool import unordered
from datspect.running.progress import progress
from measuring import Goal, goals_part, page_parser, publish

IN_MNI, NATIVE, ORDINARY = "in MNI space", "native", "ordinary"
NATIVE_KINDS = (*HOPELESS, *DOUBTFUL)
STATES = ("refused", "withheld", "inconclusive", "answer")
QUICK = 9
MOST_ORDINARY_WITHHELD = 0.03
ORDINARY_LIMIT = "more than the stated share: other seeds have other sites, and limits are learnt from the cohort's own"
Space = Literal["auto", "mni"]


@dataclass(frozen=True)
class Asked:
    """A scan to be answered: `index` of a `kind` that lies `where`, read in a `space`."""

    where: str
    kind: str
    index: int
    space: Space


@dataclass(frozen=True)
class Told:
    """What a predictor made of a scan: one of `STATES`, and why."""

    asked: Asked
    state: str
    why: tuple[str, ...]


def main() -> None:
    arguments = _parser().parse_args()
    n, n_ordinary = (QUICK, 2) if arguments.quick else (arguments.n, arguments.ordinary)
    predictors = [Predictor.read(folder) for folder in arguments.predictors]
    phantom = load_params().phantom.model_copy(update={"seed": arguments.seed})
    laboratory = build_laboratory(phantom, None, arguments.workers)
    told = answered(predictors, laboratory, asked_for(n, n_ordinary), arguments.workers)
    by_model = {_name(each): rows for each, rows in zip(predictors, told, strict=True)}
    said = f"{n} things that nobody may answer and {n_ordinary} ordinary scans, {CohortKind.PHANTOM.caption}."
    publish(arguments, [said, *_tables(by_model), goals_part(goals(by_model))], _counts(by_model))


def asked_for(n: int, n_ordinary: int) -> list[Asked]:
    """Return what is asked: `n` things, two thirds of them on the MNI grid, and ordinary scans."""
    n_native = n // 3
    in_mni = list(islice(((kind, index) for index in count() for kind in OUT_OF_PLACE), n - n_native))
    native = islice(((kind, index) for index in count() for kind in NATIVE_KINDS), n_native)
    spaces: tuple[Space, ...] = ("mni", "auto")
    return [
        *(Asked(IN_MNI, kind, index, space) for space in spaces for kind, index in in_mni),
        *(Asked(NATIVE, kind, index, "auto") for kind, index in native),
        *(Asked(ORDINARY, LABELS[index % 2], index, "auto") for index in range(n_ordinary)),
    ]


def answered(
    predictors: Sequence[Predictor], laboratory: Laboratory, asked: Sequence[Asked], n_workers: int
) -> list[list[Told]]:
    """Return for each predictor what it says of every scan; all of them read scans alike, but for what they see."""
    for predictor in predictors:
        predictor.place()

    def prepared(number: int) -> tuple[int, list[PreparedScan] | str]:
        scan = read(laboratory, asked[number])
        try:
            first = predictors[0].prepare(scan, space=asked[number].space)
            return number, [_as_seen(first, predictor) for predictor in predictors]
        except ScanError as error:
            return number, str(error)

    work = unordered(prepared, range(len(asked)), n_workers)
    found = dict(progress(work, total=len(asked), what="silence", unit="scans"))
    return [_told(predictor, place, asked, found) for place, predictor in enumerate(predictors)]


def read(laboratory: Laboratory, asked: Asked) -> ReadScan:
    """Return a scan as its file would be read; the header of those on the MNI grid claims MNI space."""
    if asked.where == NATIVE:
        volume = hopeless_scan(asked.kind, laboratory, asked.index)  # type: ignore[arg-type]
        return ReadScan(volume, placed_by="header", space="native", scale=1.0)
    if asked.where == ORDINARY:
        volume = Volume(simulate(laboratory, asked.kind, asked.index).data, mni_affine())
    else:
        volume = out_of_place_scan(asked.kind, laboratory, asked.index)  # type: ignore[arg-type]
    return ReadScan(volume, placed_by="header", space="mni", scale=1.0)


def _as_seen(scan: PreparedScan, predictor: Predictor) -> PreparedScan:
    """Return the scan, without its volume, as this predictor's network sees it."""
    assert scan.volume is not None
    of_striatum = predictor.parts.model == "striatum"
    slabs = network_slabs(scan.volume, predictor.parts.preprocess) if of_striatum else None
    return PreparedScan(None, scan.image, scan.measures, scan.flags, slabs, scan.how)


def _told(
    predictor: Predictor, place: int, asked: Sequence[Asked], found: dict[int, list[PreparedScan] | str]
) -> list[Told]:
    scans = {number: each[place] for number, each in found.items() if not isinstance(each, str)}
    told = {number: Told(asked[number], "refused", (each,)) for number, each in found.items() if isinstance(each, str)}
    with np.errstate(all="ignore"):  # some scans are no numbers that a network can take
        answers = predictor.answers(list(scans.values()))
    for number, answer in zip(scans, answers, strict=True):
        told[number] = Told(asked[number], answer.state, answer.withheld)
    return [told[number] for number in range(len(asked))]


def _name(predictor: Predictor) -> str:
    return predictor.parts.model


def _tables(by_model: dict[str, list[Told]]) -> list[str]:
    """Return a table for each way to ask: what becomes of each kind, by model."""
    asked = [each.asked for each in next(iter(by_model.values()))]
    ways = dict.fromkeys((each.where, each.space) for each in asked)
    return [_table(by_model, where, space) for where, space in ways]


def _table(by_model: dict[str, list[Told]], where: str, space: str) -> str:
    rows = {name: [each for each in told if (each.asked.where, each.asked.space) == (where, space)]
            for name, told in by_model.items()}  # fmt: skip
    kinds = dict.fromkeys(each.asked.kind for each in next(iter(rows.values())))
    words = {"answer": "firm"}
    head = [
        f"{where}, --space {space}",
        "n",
        *(f"{name}: {words.get(state, state)}" for name in rows for state in STATES),
    ]
    body = [
        [
            kind.replace("_", " "),
            str(sum(each.asked.kind == kind for each in next(iter(rows.values())))),
            *(str(sum(each.asked.kind == kind and each.state == state for each in told))
              for told in rows.values() for state in STATES),
        ]
        for kind in kinds
    ]  # fmt: skip
    return markdown_table([head, *body])


def goals(by_model: dict[str, list[Told]]) -> list[Goal]:
    """Return what was asked for and what was found."""
    found = []
    for name, told in by_model.items():
        n_firm = sum(each.state == "answer" and each.asked.where != ORDINARY for each in told)
        limit = "what looks like training scans in every measure"
        found.append(Goal(f"{name}: firm answers to what nobody may answer", "0", str(n_firm), n_firm == 0, limit))
        ordinary = [each for each in told if each.asked.where == ORDINARY]
        n_silent = sum(each.state in ("refused", "withheld") for each in ordinary)
        low, high = wilson_interval(n_silent, len(ordinary))
        share = n_silent / len(ordinary)
        text = f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        silent = f"{name}: ordinary scans without an answer"
        found.append(Goal(silent, "under 3 %", text, share < MOST_ORDINARY_WITHHELD, ORDINARY_LIMIT))
    return found


def _counts(by_model: dict[str, list[Told]]) -> dict[str, object]:
    return {
        name: [
            {**vars(each.asked), "state": each.state, "why": list(each.why)} for each in told
        ]
        for name, told in by_model.items()
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = page_parser(__doc__)
    parser.add_argument("--n", type=int, default=300, help="things that nobody may answer")
    parser.add_argument("--ordinary", type=int, default=100, help="ordinary scans beside them")
    parser.add_argument("--seed", type=int, default=4002, help="of all of them")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--predictors", type=Path, nargs="+", default=[Path("models/predictor")], help="folders")
    return parser


if __name__ == "__main__":
    main()
