"""Answer altered scans: each row of the panel goes from a volume on the grid through the whole predictor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from datspect.errors import ScanError
from datspect.imaging.alterations import Original, Row, altered
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.prediction.networks import BATCH_SIZE
from datspect.prediction.predictor import Answer, Predictor, PreparedScan

_NO_IMAGE = np.zeros((0, 0, 3), np.float32)


@dataclass(frozen=True, eq=False)
class Altered:
    """One scan in one row of the panel: what the predictor sees of it; None if it could not be used."""

    scan: int
    row: int
    prepared: PreparedScan | None


def prepare_altered(predictor: Predictor, original: Original, rows: Sequence[Row], scan: int) -> list[Altered]:
    """Return what the predictor sees of a scan as it is, row 0, and in every row of the panel, counted from 1."""
    return [Altered(scan, number, _prepared(predictor, original, row)) for number, row in enumerate((None, *rows))]


def answer_altered(predictor: Predictor, scans: Iterable[Altered]) -> Iterator[tuple[Altered, Answer | None]]:
    """Yield the answer to each altered scan, in batches that fill the network's; None to one that could not be used.

    Of alterations that the network does not see, such as a gain, it is given one image.
    """
    waiting: list[Altered] = []
    seen: set[bytes] = set()
    for each in scans:
        if each.prepared is None:
            yield each, None
            continue
        waiting.append(each)
        seen.add(each.prepared.seen.tobytes())
        if len(seen) == BATCH_SIZE:
            yield from _answered(predictor, waiting)
            waiting, seen = [], set()
    yield from _answered(predictor, waiting)


def _answered(predictor: Predictor, scans: Sequence[Altered]) -> Iterator[tuple[Altered, Answer]]:
    prepared = [each.prepared for each in scans if each.prepared is not None]
    return zip(scans, predictor.answers(prepared), strict=True)


def _prepared(predictor: Predictor, original: Original, row: Row | None) -> PreparedScan | None:
    data = original.data if row is None else altered(original, row)
    try:
        found = predictor.prepare_volume(Volume(data, mni_ras_affine()))
    except ScanError:
        return None  # the panel counts it as refused
    # What goes to another process is only what the network reads and what its answers are held against.
    return replace(found, volume=None, image=found.image if found.slabs is None else _NO_IMAGE)
