"""Plan the import of a folder of scans with a table of participants: which file is whose, what is left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import pandas as pd

from datspect.errors import ImportingError, ScanError
from datspect.importing.commonest import commonest
from datspect.importing.labels import SPELLINGS, spelling
from datspect.importing.nifti_matching import Row, match
from datspect.importing.plan import Candidate, Exclusion, Plan, PlannedSubject, kept_age
from datspect.importing.pseudonyms import Pseudonyms
from datspect.importing.unread import kind_of, unread_counts, unread_problems
from datspect.importing.visits import in_order, written_visit
from datspect.io.dicom_header import HEAD_BYTES, looks_like_dicom
from datspect.io.scan_reading import LARGEST_FILE_BYTES
from datspect.io.several_files import SeveralFiles
from datspect.io.sources import Source, UnusableSource, opened

NIFTI_ENDINGS = (".nii", ".nii.gz")
NO_ID = "its row names no subject; complete it"
NO_ID_FITS = (
    "no file carries the id of any row; name the column of ids with --subject-column, or that of paths with "
    "--file-column"
)

_LONGEST_LIFE = 130
_MOST_KINDS = 3
_SEXES: Mapping[str, Literal["female", "male"]] = {"f": "female", "female": "female", "m": "male", "male": "male"}
_AGE = re.compile(r"(\d{1,3})(?:[.,]\d*)?\s*(?:\+|y|years)?", re.IGNORECASE)
_UNKNOWN = ("", "n/a", "na", "nan", "none", "unknown", "-")
_KNOWN_COLUMNS = {
    "subject": ("participant_id", "subject", "subject_id", "patient", "patient_id", "id", "uid", "patno", "case"),
    "label": ("group", "diagnosis", "label", "dx", "class", "target", "cohort", "status", "is_pathologic", "abnormal"),
}
"""Names that tables use, to be suggested where one is missing; no other name of a column is shown."""


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


def plan_nifti(
    found: tuple[Sequence[Source], Sequence[UnusableSource]],
    participants: pd.DataFrame,
    names: Pseudonyms,
    columns: Columns | None = None,
    labels: Mapping[str, str] | None = None,
    pattern: str = "*",
    kind: "FileKind | None" = None,
) -> Plan:
    """Find every participant's scans in what `io.sources.find_sources` found; `kind` is NIfTI unless given.

    `participants` is a table from `io.delimited.read_delimited`. `labels` maps further spellings, in lower case.
    Several rows of a subject are scans of several visits, which are tried in the order of the visits. Without a file
    column a file belongs to the subject whose id its name or folders carry, as `sub-<id>` or as a whole word.

    Raises
    ------
    ImportingError : a column or an id is missing, no row has a known label, or there is no file of the kind.
    """
    kind = kind or NIFTI
    sources, unusable = found
    resolved = _resolved(columns or Columns(), list(participants.columns))
    with_id, without_id = _divided(participants, resolved["subject"])
    rows = list(_rows(with_id, resolved, labels or {}))
    if not any(row.label for row in rows):
        raise ImportingError(_no_label(with_id, resolved))
    scans = {source for source in sources if kind.holds(source)}
    files = [source for source in sources if source in scans and fnmatchcase(source.name, pattern)]
    if not files:
        raise ImportingError(_no_file(sources, unusable, len(scans), kind))
    match(rows, files, sources)
    subjects, exclusions = _people(rows, names, kind)
    claimed = {source for row in rows for source in row.files}
    others = [source for source in sources if source not in scans | claimed]
    strangers = [source for source in files if source not in claimed]
    exclusions += [Exclusion(f"row {number}", NO_ID) for number in without_id]
    exclusions += [Exclusion(names.file(source.name), "no row of the table matches this file") for source in strangers]
    exclusions += [Exclusion(names.file(name), reason) for name, reason in unread_problems(others, unusable)]
    counts = {
        "files found": len(sources) + len(unusable),
        **({"files that are not opened": len(unusable)} if unusable else {}),
        f"{kind.name} among them": len(files),
        **({f"{kind.name} not like --pattern": len(scans) - len(files)} if len(scans) > len(files) else {}),
        **unread_counts(others),
        "rows in the table": len(participants),
        "subjects in the table": len({row.subject for row in rows}),
        "rows with a file": sum(bool(row.files) for row in rows),
        **({"rows whose id had lost its zeros": n} if (n := sum(row.zeros_lost for row in rows)) else {}),
        f"{kind.name} of no row": len(strangers),
        "ages unknown or unreadable": sum(row.age is None for row in rows),
        "sexes unknown or unreadable": sum(not row.sex for row in rows),
    }
    return Plan(tuple(subjects), tuple(exclusions), counts)


@dataclass(frozen=True)
class FileKind:
    """Which files an import takes for scans.

    name : in the plural, as the account has it
    none : what is said if there is none
    tried_in_turn : several of a person are acquisitions, of which the first reconstructed scan is taken
    """

    name: str
    none: str
    holds: Callable[[Source], bool]
    tried_in_turn: bool = False


def _is_nifti(source: Source) -> bool:
    """Return whether a source is a NIfTI file by its name, or a pair of files."""
    is_pair = isinstance(source, SeveralFiles) and source.form == "pair"
    return is_pair or source.name.lower().endswith(NIFTI_ENDINGS)


def _is_dicom(source: Source) -> bool:
    """Return whether a source is a series of slices, or by its first bytes a DICOM file that is no index."""
    if isinstance(source, SeveralFiles):
        return source.form == "series"
    if source.name.lower().endswith("dicomdir"):
        return False
    try:
        with opened(source, LARGEST_FILE_BYTES) as stream:
            return looks_like_dicom(stream.read(HEAD_BYTES))
    except ScanError:
        return False  # it is counted among what is not read


NIFTI = FileKind("NIfTI files", "no NIfTI file (.nii, .nii.gz) was found", _is_nifti)
DICOM = FileKind("DICOM files and series", "no DICOM file was found", _is_dicom, tried_in_turn=True)


def _divided(participants: pd.DataFrame, subject: str) -> tuple[pd.DataFrame, list[int]]:
    """Return the rows with an id, and the numbers of those without one."""
    has_id = participants[subject].map(_known) != ""
    if not has_id.any():
        raise ImportingError("the table names no subject in any row; name the column of ids with --subject-column")
    return participants[has_id], [int(row) for row in participants.index[~has_id]]


def _no_label(participants: pd.DataFrame, columns: Mapping[str, str]) -> str:
    found = commonest(list(participants[columns["label"]]), list(participants[columns["subject"]]))
    return (
        f"no row has a label that is known; the commonest in the column are {found}; say what they mean with --labels "
        '"THEIRS=pd,THEIRS=control", or name the right column with --label-column'
    )


def _no_file(sources: Sequence[Source], unusable: Sequence[UnusableSource], n_scans: int, kind: "FileKind") -> str:
    if n_scans:
        return f"none of {n_scans} {kind.name} is like --pattern; the whole path below the folder must be like it"
    kinds = Counter(f"of the kind {kind_of(source.name)}" for source in sources).most_common(_MOST_KINDS)
    kinds += Counter(f"not opened, since {what.reason}" for what in unusable).most_common(_MOST_KINDS)
    there = "".join(f"\n  {number} {kind}" for kind, number in kinds)
    return (
        f"{kind.none}; name the folder that holds them, or convert the scans"
        f"{'; what is there:' if there else ''}{there}"
    )


def _resolved(columns: Columns, there: list[str]) -> dict[str, str]:
    """Return the name of each column that is there; subject, label and columns that the user named must be."""
    resolved = {}
    for what in Columns.__dataclass_fields__:
        wanted: tuple[str, ...] = getattr(columns, what)
        by_lower = {name.casefold(): name for name in reversed(there)}
        name = next((by_lower[each.casefold()] for each in wanted if each.casefold() in by_lower), None)
        is_asked_for = wanted != getattr(Columns(), what)
        if name is None and (is_asked_for or what in ("subject", "label")):
            likely = [each for each in _KNOWN_COLUMNS.get(what, ()) if each in by_lower]
            raise ImportingError(
                f"the table has no column {' or '.join(wanted)} for the {what} (of {len(there)} columns); name it with "
                f"--{what}-column{f': perhaps {likely[0]}' if likely else ''}"
            )
        if name is not None:
            resolved[what] = name
    return resolved


def _rows(participants: pd.DataFrame, columns: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[Row]:
    spellings = {**SPELLINGS, **labels}
    for record in participants.to_dict("records"):
        cells = {what: _known(str(record[name])) for what, name in columns.items()}
        yield Row(
            subject=cells["subject"].removeprefix("sub-"),
            label=spellings.get(spelling(cells["label"]), ""),
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
    found = _AGE.fullmatch(text)
    years = int(found[1]) if found else None
    return None if years is None or years > _LONGEST_LIFE else kept_age(years)


# People


def _people(rows: Sequence[Row], names: Pseudonyms, kind: "FileKind") -> tuple[list[PlannedSubject], list[Exclusion]]:
    by_subject: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_subject[row.subject].append(row)
    owners = Counter(source for its in by_subject.values() for source in {file for row in its for file in row.files})
    planned, exclusions = [], []
    for subject, its_rows in by_subject.items():
        reason = _problem(its_rows, owners, kind) if owners else NO_ID_FITS
        if reason:
            exclusions.append(Exclusion(names.subject(subject), reason))
        else:
            planned.append(_planned(its_rows, names))
    return planned, exclusions


def _problem(rows: Sequence[Row], owners: Mapping[Source, int], kind: "FileKind") -> str:
    most = max(len(row.files) for row in rows)
    visits = [row.visit for row in rows]
    checks = {
        "its label is none that is known; map it with --labels": not all(row.label for row in rows),
        "its rows have different labels": len({row.label for row in rows}) > 1,
        "its rows have different sexes": len({row.sex for row in rows if row.sex}) > 1,
        "two of its rows have the same visit; tell them apart with --visit-column": len(set(visits)) < len(visits),
        "the order of its visits cannot be told; number them": in_order(visits) is None,
        f"{most} files match it; narrow them with --pattern, or name them with --file-column": (
            most > 1 and not kind.tried_in_turn
        ),
        "its file belongs to another row too": _shares_file(rows, owners),
        **{row.no_files: True for row in rows if row.no_files},
    }
    return next((reason for reason, applies in checks.items() if applies), "")


def _shares_file(rows: Sequence[Row], owners: Mapping[Source, int]) -> bool:
    files = [source for row in rows for source in row.files]
    return len(set(files)) < len(files) or any(owners[source] > 1 for source in files)


def _planned(rows: Sequence[Row], names: Pseudonyms) -> PlannedSubject:
    order = in_order([row.visit for row in rows]) or range(len(rows))
    ordered = [rows[place] for place in order]
    return PlannedSubject(
        subject_id=names.subject(rows[0].subject),
        label=rows[0].label,
        sex=next((row.sex for row in ordered if row.sex), ""),
        site=next((names.site(row.site) for row in ordered if row.site), ""),
        candidates=tuple(_candidates(ordered, names)),
    )


def _candidates(rows: Iterable[Row], names: Pseudonyms) -> Iterator[Candidate]:
    for number, row in enumerate(rows, start=1):
        sources: list[Source | None] = [*sorted(row.files, key=lambda each: each.name)]
        for place, source in enumerate(sources or [None]):
            scan_id = names.scan(f"{row.subject} {row.visit}{f' {place + 1}' if place else ''}")
            yield Candidate(scan_id, written_visit(row.visit, number), row.age, source)
