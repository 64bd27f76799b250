"""Find out which file of a folder belongs to which row of a table of participants."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from datspect.io.several_files import SeveralFiles
from datspect.io.sources import Source

_ENTITY = "(?:^|_){}-([^_]+)"  # as BIDS has them: sub-01_ses-02_...
_MOST_TOKENS = 8
_POWERS_OF_TEN = re.compile(r"[0-9][.,]?[0-9]*e\+?[0-9]+", re.IGNORECASE)

LOST_DIGITS = "its id is a number in powers of ten, so that digits are lost; a spreadsheet did that: save ids as text"
SEVERAL_ZEROS = (
    "its id fits files only with zeros before it, and not all with the same number; write ids as files have them"
)


@dataclass
class Row:
    """A row of the table in our words, and the files that may belong to it.

    `zeros_lost`: the files were found once the id had zeros before it. `no_files`: why it has none, "" if not known.
    """

    subject: str
    label: str
    sex: Literal["female", "male", ""]
    age: float | None
    site: str
    visit: str
    file: str
    files: list[Source] = field(default_factory=list)
    zeros_lost: bool = False
    no_files: str = ""


def match(rows: Sequence[Row], files: Sequence[Source], sources: Sequence[Source]) -> None:
    """Give every row the files that may belong to it, by its file column or else by its id and visit."""
    n_rows = Counter(row.subject for row in rows)
    by_subject, by_name = defaultdict(list), defaultdict(list)
    for source in files:
        for word in _words(source.name, "sub"):
            by_subject[word].append(source)
    for source in sources:
        by_name[PurePosixPath(_named_as(source)).name].append(source)
    for row in rows:
        row.files = _named(row.file.replace("\\", "/"), by_name) if row.file else by_subject.get(row.subject, [])
    _restore_zeros([row for row in rows if not row.file], by_subject)
    for row in rows:
        if not row.file and row.visit and (n_rows[row.subject] > 1 or len(row.files) > 1):
            row.files = [source for source in row.files if row.visit in _words(source.name, "ses")]


def _restore_zeros(rows: Sequence[Row], by_subject: Mapping[str, list[Source]]) -> None:
    """Match ids that a spreadsheet saved as numbers, 7 or 7.0 for 007: all with zeros up to one and the same length.

    Such a row takes the id that its file carries, so that its pseudonym is the one of an unspoilt table.
    """
    claimed = {source for row in rows for source in row.files}
    free = {word: [each for each in its if each not in claimed] for word, its in by_subject.items()}
    lost = _words_of_numbers(rows, [word for word in free if word.isdecimal() and free[word]])
    lengths = {len(word) for words in lost.values() for word in words}
    for place, words in lost.items():
        row = rows[place]
        if len(lengths) > 1:
            row.no_files = SEVERAL_ZEROS
        else:
            (row.subject,) = words
            row.files, row.zeros_lost = free[row.subject], True
    for row in rows:
        if not row.files and _POWERS_OF_TEN.fullmatch(row.subject):
            row.no_files = LOST_DIGITS


def _words_of_numbers(rows: Sequence[Row], words: Sequence[str]) -> dict[int, set[str]]:
    """Return, by the place of each row without a file, words of the same number as its id that are no row's id."""
    by_number = defaultdict(set)
    for word in words:
        by_number[word.lstrip("0")].add(word)
    ids = {row.subject for row in rows}
    numbers = {place: re.sub(r"\.0+$", "", row.subject) for place, row in enumerate(rows) if not row.files}
    alike = {place: by_number[number.lstrip("0")] for place, number in numbers.items() if number.isdecimal()}
    return {place: its for place, its in alike.items() if its and not its & ids}


def _named(path: str, by_name: Mapping[str, list[Source]]) -> list[Source]:
    """Return the files that a path in the table means: the whole path below the folder, or its end."""
    path = "/" + path.removeprefix("./").strip("/")
    return [
        source
        for source in by_name.get(PurePosixPath(path).name, [])
        if f"/{_named_as(source)}".endswith(path) or path.endswith(f"/{_named_as(source)}")
    ]


def _named_as(source: Source) -> str:
    """Return the path by which a table names a source: that of the folder for the slices of a series."""
    is_series = isinstance(source, SeveralFiles) and source.form == "series"
    return str(PurePosixPath(source.name).parent) if is_series else source.name


def _words(name: str, entity: Literal["sub", "ses"]) -> set[str]:
    """Return possible names of a subject or session in a path: its BIDS entity, else parts and their runs of words."""
    parts = re.sub(r"\.(nii|hdr)(\.gz)?$", "", name, flags=re.IGNORECASE).split("/")
    labelled = {label for part in parts for label in re.findall(_ENTITY.format(entity), part)}
    return labelled or {*parts, *(run for part in parts for run in _runs(part))}


def _runs(part: str) -> Iterator[str]:
    words = [match.span() for match in re.finditer(r"[^\W_]+", part)]
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + _MOST_TOKENS]:
            yield part[start:end]
