"""Plan the import of a folder of NIfTI files with a table of participants: which file is whose, what is left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

import pandas as pd

from datspect.cohort.table import CONTROL, LABELS, OTHER_LABELS, PD
from datspect.errors import ImportingError
from datspect.importing.plan import Candidate, Exclusion, Plan, PlannedSubject, kept_age
from datspect.importing.pseudonyms import Pseudonyms
from datspect.importing.visits import in_order, written_visit
from datspect.io.delimited import row_list
from datspect.io.sources import Source, UnusableSource

SPELLINGS: Mapping[str, str] = {
    **dict.fromkeys((PD, "parkinson", "parkinsons", "parkinson's", "parkinson's disease", "parkinson disease"), PD),
    **dict.fromkeys((CONTROL, "controls", "hc", "healthy", "healthy control", "healthy controls"), CONTROL),
    **{label.replace("_", " "): label for label in OTHER_LABELS},
    **{label: label for label in OTHER_LABELS},
}
"""From labels as tables spell them, in lower case, to ours."""

NIFTI_ENDINGS = (".nii", ".nii.gz")

_LONGEST_LIFE = 130
_SEXES: Mapping[str, Literal["female", "male"]] = {"f": "female", "female": "female", "m": "male", "male": "male"}
_AGE = re.compile(r"(\d{1,3})(?:[.,]\d*)?\s*(?:\+|y|years)?", re.IGNORECASE)
_UNKNOWN = ("", "n/a", "na", "nan", "none", "unknown", "-")
_ENTITY = "(?:^|_){}-([^_]+)"  # as BIDS has them: sub-01_ses-02_...
_MOST_TOKENS = 8


@dataclass(frozen=True)
class Columns:
    """Names of the table's columns; the first of several that is there counts. Without one there is no such column."""

    subject: tuple[str, ...] = ("participant_id",)
    label: tuple[str, ...] = ("group", "diagnosis", "label")
    file: tuple[str, ...] = ()
    age: tuple[str, ...] = ("age",)
    sex: tuple[str, ...] = ("sex", "gender")
    site: tuple[str, ...] = ("site",)
    visit: tuple[str, ...] = ("visit", "session_id", "session")


@dataclass
class _Row:
    """A row of the table in our words, and the files that may belong to it."""

    subject: str
    label: str
    sex: Literal["female", "male", ""]
    age: float | None
    site: str
    visit: str
    file: str
    files: list[Source] = field(default_factory=list)


def plan_nifti(
    found: tuple[Sequence[Source], Sequence[UnusableSource]],
    participants: pd.DataFrame,
    names: Pseudonyms,
    columns: Columns | None = None,
    labels: Mapping[str, str] | None = None,
    pattern: str = "*",
) -> Plan:
    """Find every participant's scans in what `io.sources.find_sources` found.

    `participants` is a table from `io.delimited.read_delimited`. `labels` maps further spellings, in lower case.
    Several rows of a subject are scans of several visits, which are tried in the order of the visits. Without a file
    column a file belongs to the subject whose id its name or folders carry, as `sub-<id>` or as a whole word.

    Raises
    ------
    ImportingError : a column or an id is missing, no row has a known label, or there is no NIfTI file.
    """
    sources, unusable = found
    rows = list(_rows(participants, _resolved(columns or Columns(), list(participants.columns)), labels or {}))
    if not any(row.label for row in rows):
        raise ImportingError(
            "no row has a label that is known; name the column with --label-column and what stands in it with "
            '--labels "THEIRS=pd,THEIRS=control"'
        )
    nifti = (source for source in sources if source.name.lower().endswith(NIFTI_ENDINGS))
    files = [source for source in nifti if fnmatchcase(source.name, pattern)]
    if not files:
        raise ImportingError("no NIfTI file (.nii, .nii.gz) was found; name the folder that holds them")
    _match(rows, files, sources)
    subjects, exclusions = _people(rows, names)
    claimed = {source for row in rows for source in row.files}
    strangers = [source for source in files if source not in claimed]
    exclusions += [Exclusion(names.file(source.name), "no row of the table matches this file") for source in strangers]
    exclusions += [Exclusion(names.file(each.name), each.reason) for each in unusable]
    counts = {
        "files found": len(sources) + len(unusable),
        "NIfTI files among them": len(files),
        "rows in the table": len(rows),
        "subjects in the table": len({row.subject for row in rows}),
        "rows with a file": sum(bool(row.files) for row in rows),
        "NIfTI files of no row": len(strangers),
        "ages unknown or unreadable": sum(row.age is None for row in rows),
        "sexes unknown or unreadable": sum(not row.sex for row in rows),
    }
    return Plan(tuple(subjects), tuple(exclusions), counts)


def parse_labels(text: str) -> dict[str, str]:
    """Return spellings, in lower case, with their labels.

    >>> parse_labels("PD=pd, HC=control")
    {'pd': 'pd', 'hc': 'control'}

    Raises
    ------
    ImportingError : the text does not have this form, or names an unknown label.
    """
    mapping = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        spelling, equals, label = (part.strip() for part in pair.rpartition("="))
        if not equals or not spelling or label not in (*LABELS, *OTHER_LABELS):
            raise ImportingError(
                'labels are given as --labels "PD=pd,HC=control": the spelling in the table, =, and one of '
                f"{', '.join((*LABELS, *OTHER_LABELS))}"
            )
        mapping[spelling.casefold()] = label
    return mapping


def _resolved(columns: Columns, there: list[str]) -> dict[str, str]:
    """Return the name of each column that is there; subject, label and columns that the user named must be."""
    resolved = {}
    for what in Columns.__dataclass_fields__:
        wanted: tuple[str, ...] = getattr(columns, what)
        by_lower = {name.casefold(): name for name in reversed(there)}
        name = next((by_lower[each.casefold()] for each in wanted if each.casefold() in by_lower), None)
        is_asked_for = wanted != getattr(Columns(), what)
        if name is None and (is_asked_for or what in ("subject", "label")):
            raise ImportingError(
                f"the table has no column {' or '.join(wanted)} for the {what} (of {len(there)} columns); name it with "
                f"--{what}-column"
            )
        if name is not None:
            resolved[what] = name
    return resolved


def _rows(participants: pd.DataFrame, columns: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[_Row]:
    without_id = [int(row) for row in participants.index[participants[columns["subject"]].map(_known) == ""]]
    if without_id or not len(participants):
        raise ImportingError(f"the table names no subject in {row_list(without_id) if without_id else 'any row'}")
    spellings = {**SPELLINGS, **labels}
    for record in participants.to_dict("records"):
        cells = {what: _known(str(record[name])) for what, name in columns.items()}
        yield _Row(
            subject=cells["subject"].removeprefix("sub-"),
            label=spellings.get(cells["label"].casefold(), ""),
            sex=_SEXES.get(cells.get("sex", "").casefold(), ""),
            age=_age(cells.get("age", "")),
            site=cells.get("site", ""),
            visit=cells.get("visit", "").removeprefix("ses-"),
            file=cells.get("file", ""),
        )


def _known(text: str) -> str:
    text = text.strip()
    return "" if text.casefold() in _UNKNOWN else text


def _age(text: str) -> float | None:
    """Return whole years; None if the text is not an age."""
    match = _AGE.fullmatch(text)
    years = int(match[1]) if match else None
    return None if years is None or years > _LONGEST_LIFE else kept_age(years)


# Which file is whose


def _match(rows: Sequence[_Row], files: Sequence[Source], sources: Sequence[Source]) -> None:
    """Give every row the files that may belong to it."""
    n_rows = Counter(row.subject for row in rows)
    by_subject, by_name = defaultdict(list), defaultdict(list)
    for source in files:
        for word in _words(source.name, "sub"):
            by_subject[word].append(source)
    for source in sources:
        by_name[PurePosixPath(source.name).name].append(source)
    for row in rows:
        if row.file:
            row.files = _named(row.file.replace("\\", "/"), by_name)
            continue
        row.files = by_subject[row.subject]
        if row.visit and (n_rows[row.subject] > 1 or len(row.files) > 1):
            row.files = [source for source in row.files if row.visit in _words(source.name, "ses")]


def _named(path: str, by_name: Mapping[str, list[Source]]) -> list[Source]:
    """Return the files that a path in the table means: the whole path below the folder, or its end."""
    path = "/" + path.removeprefix("./").strip("/")
    return [
        source
        for source in by_name.get(PurePosixPath(path).name, [])
        if f"/{source.name}".endswith(path) or path.endswith(f"/{source.name}")
    ]


def _words(name: str, entity: Literal["sub", "ses"]) -> set[str]:
    """Return possible names of a subject or session in a path: its BIDS entity, else all runs of words in a part."""
    parts = re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE).split("/")
    labelled = {label for part in parts for label in re.findall(_ENTITY.format(entity), part)}
    return labelled or {run for part in parts for run in _runs(part)}


def _runs(part: str) -> Iterator[str]:
    words = [match.span() for match in re.finditer(r"[^\W_]+", part)]
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + _MOST_TOKENS]:
            yield part[start:end]


# People


def _people(rows: Sequence[_Row], names: Pseudonyms) -> tuple[list[PlannedSubject], list[Exclusion]]:
    by_subject: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        by_subject[row.subject].append(row)
    owners = Counter(source for its in by_subject.values() for source in {file for row in its for file in row.files})
    planned, exclusions = [], []
    for subject, its_rows in by_subject.items():
        reason = _problem(its_rows, owners)
        if reason:
            exclusions.append(Exclusion(names.subject(subject), reason))
        else:
            planned.append(_planned(its_rows, names))
    return planned, exclusions


def _problem(rows: Sequence[_Row], owners: Mapping[Source, int]) -> str:
    most = max(len(row.files) for row in rows)
    visits = [row.visit for row in rows]
    checks = {
        "its label is none that is known; map it with --labels": not all(row.label for row in rows),
        "its rows have different labels": len({row.label for row in rows}) > 1,
        "its rows have different sexes": len({row.sex for row in rows if row.sex}) > 1,
        "two of its rows have the same visit; tell them apart with --visit-column": len(set(visits)) < len(visits),
        "the order of its visits cannot be told; number them": in_order(visits) is None,
        f"{most} files match it; narrow them with --pattern, or name them with --file-column": most > 1,
        "its file belongs to another row too": _shares_file(rows, owners),
    }
    return next((reason for reason, applies in checks.items() if applies), "")


def _shares_file(rows: Sequence[_Row], owners: Mapping[Source, int]) -> bool:
    files = [source for row in rows for source in row.files]
    return len(set(files)) < len(files) or any(owners[source] > 1 for source in files)


def _planned(rows: Sequence[_Row], names: Pseudonyms) -> PlannedSubject:
    order = in_order([row.visit for row in rows]) or range(len(rows))
    ordered = [rows[place] for place in order]
    return PlannedSubject(
        subject_id=names.subject(rows[0].subject),
        label=rows[0].label,
        sex=next((row.sex for row in ordered if row.sex), ""),
        site=next((names.site(row.site) for row in ordered if row.site), ""),
        candidates=tuple(_candidates(ordered, names)),
    )


def _candidates(rows: Iterable[_Row], names: Pseudonyms) -> Iterator[Candidate]:
    for number, row in enumerate(rows, start=1):
        scan_id = names.scan(f"{row.subject} {row.visit}")
        yield Candidate(scan_id, written_visit(row.visit, number), row.age, row.files[0] if row.files else None)
