"""Find scans that lie in several files: the slices of a DICOM series, the halves of a pair."""

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datspect.errors import ScanError
from datspect.io.dicom_series import slice_key
from datspect.io.sources import Source, opened

LARGEST_SLICE_BYTES = 2**22
"""4 MiB: a slice of 512 x 512 floating-point numbers with a long header. A larger file is a volume, or no scan."""

MOST_SLICES = 2000

Form = Literal["series", "pair"]

_ENDINGS = {".hdr": 0, ".img": 1}
_NO_SLICE = (".nii", ".gz")
"""Files of these endings are not opened in search of slices."""

_Place = tuple[Path, str]
"""A folder, or a zip and a folder within it."""


@dataclass(frozen=True)
class SeveralFiles(Source):
    """A scan in several files. Name, container and member are those of the first, `size` is that of all together."""

    parts: tuple[Source, ...] = ()
    form: Form = "series"


def with_several_files(sources: Sequence[Source]) -> list[Source]:
    """Return sources with those that are one scan together made one, in the place of the first.

    Halves of a pair, and slices of a series, must lie in one folder. What is found to be a slice by its header and has
    no other slice beside it stays as it is.
    """
    pairs = [_as_one(parts, "pair") for parts in _pairs(sources)]
    halves = {half for pair in pairs for half in pair.parts}
    series = [_as_one(parts, "series") for parts in _series([each for each in sources if each not in halves])]
    joined = {each.parts[0]: each for each in (*pairs, *series)}
    within = {part for each in joined.values() for part in each.parts}
    return [joined.get(source, source) for source in sources if source in joined or source not in within]


def with_pairs(sources: Sequence[Source]) -> list[Source]:
    """Return sources with both halves of each pair made one, in the place of the header; no file is opened."""
    pairs = {parts[0]: _as_one(parts, "pair") for parts in _pairs(sources)}
    voxels = {pair.parts[1] for pair in pairs.values()}
    return [pairs.get(source, source) for source in sources if source not in voxels]


def _as_one(parts: Sequence[Source], form: Form) -> SeveralFiles:
    first, size = parts[0], sum(part.size for part in parts)
    return SeveralFiles(first.container, first.member, first.name, size, tuple(parts), form)


def _pairs(sources: Sequence[Source]) -> list[list[Source]]:
    """Return header and voxels of each pair."""
    halves: dict[tuple[_Place, str], dict[int, Source]] = defaultdict(dict)
    for source in sources:
        half = _half(source)
        if half is not None:
            stem, which = half
            halves[_place(source), stem][which] = source
    return [[found[0], found[1]] for found in halves.values() if len(found) == len(_ENDINGS)]


def _half(source: Source) -> tuple[str, int] | None:
    """Return the name without its ending and which half of a pair it may be, if any."""
    name = source.name[:-3] if source.name.lower().endswith(".gz") else source.name
    stem, ending = posixpath.splitext(name)
    which = _ENDINGS.get(ending.lower())
    return None if which is None else (stem, which)


def _series(sources: Sequence[Source]) -> list[list[Source]]:
    """Return the slices of each series; folders with a single file that may be a slice are not opened."""
    folders: dict[_Place, list[Source]] = defaultdict(list)
    for source in sources:
        if source.size <= LARGEST_SLICE_BYTES and not source.name.lower().endswith(_NO_SLICE):
            folders[_place(source)].append(source)
    series: dict[tuple[_Place, object], list[Source]] = defaultdict(list)
    for place, beside in folders.items():
        for source in beside if len(beside) > 1 else ():
            key = _slice_key(source)
            if key is not None:
                series[place, key].append(source)
    return [slices for slices in series.values() if 1 < len(slices) <= MOST_SLICES]


def _slice_key(source: Source) -> object | None:
    try:
        with opened(source, LARGEST_SLICE_BYTES) as stream:
            return slice_key(stream)
    except ScanError:
        return None  # whoever reads it says why it cannot be read


def _place(source: Source) -> _Place:
    container = source.container if source.member is not None else source.container.parent
    return container, posixpath.dirname(source.name)
