"""Keep the journal of an import: a line for each finished scan, so that a stopped import can go on."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datspect.errors import ImportingError
from datspect.io.atomic import write_text
from datspect.io.digests import file_digest

JOURNAL_NAME = ".import.jsonl"
_FORMAT = 1

Tried = tuple[str, str | None]
"""A candidate: its scan_id, and the seal of its file, None without a file."""


@dataclass(frozen=True)
class PassedOver:
    """An earlier acquisition of a subject that was something else than a reconstructed scan."""

    scan_id: str
    reason: str


@dataclass(frozen=True)
class ImportedScan:
    """A scan in the cohort folder, and what was seen while it was imported.

    `how`: whether its voxels stayed, or were resampled or registered. `registration`: how well, None unless registered.
    `geometry`: matrix and spacing of the grid on which a registered scan came, empty for others.
    `correlations` with the mean phantom are keyed by the flips ("" for the scan as it is). `best` is the key of the
    highest, `margin` its lead, `fixed` the flips that were undone. `z_offset_voxels`: height of the scan above MNI with
    `best` undone.
    """

    subject_id: str
    scan_id: str
    sha256: str
    placed_by: str
    how: str
    scale: float
    correlations: dict[str, float]
    best: str
    margin: float
    fixed: str
    z_offset_voxels: float
    notes: tuple[str, ...] = ()
    registration: dict[str, float] | None = None
    geometry: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A line: the scan, the candidates that were tried in order, the imported one last, and the options in force."""

    scan: ImportedScan
    tried: tuple[Tried, ...]
    made_with: str

    def answers(self, candidates: Sequence[Tried], made_with: str) -> bool:
        """Return whether trying `candidates` anew would find this scan again.

        A file that is missing now counts as unchanged: parts of a download may come one after the other.
        """
        first = tuple(candidates[: len(self.tried)])
        return (
            self.made_with == made_with
            and [scan_id for scan_id, _ in first] == [scan_id for scan_id, _ in self.tried]
            and all(now in (None, was) for (_, now), (_, was) in zip(first, self.tried, strict=True))
        )


@dataclass
class Journal:
    """The journal in `path`; `entries` are keyed by subject."""

    path: Path
    fingerprint: str
    entries: dict[str, Entry] = field(default_factory=dict)

    def append(self, entry: Entry) -> None:
        """Add a line that stays even if the process is killed right after."""
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(_record(entry)))
        self.entries[entry.scan.subject_id] = entry

    def keep_only(self, subject_ids: Iterable[str]) -> None:
        """Forget all others and write the lines anew, sorted, whole or not at all."""
        kept = sorted(set(subject_ids) & set(self.entries))
        self.entries = {subject_id: self.entries[subject_id] for subject_id in kept}
        lines = [
            _line({"format": _FORMAT, "key": self.fingerprint}),
            *(_line(_record(e)) for e in self.entries.values()),
        ]
        write_text(self.path, "".join(lines))


def open_journal(folder: Path, fingerprint: str) -> Journal:
    """Read the journal of a cohort folder, or begin one; half-written lines are dropped.

    Raises
    ------
    ImportingError : the file is not a journal, or the import was made under another key.
    """
    journal = Journal(folder / JOURNAL_NAME, fingerprint)
    if journal.path.exists():
        header, *lines = journal.path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        _check_header(header, journal)
        entries = (entry for entry in map(_parsed_entry, lines) if entry)
        journal.entries = {entry.scan.subject_id: entry for entry in entries}
    journal.keep_only(journal.entries)
    return journal


def is_whole(folder: Path, scan: ImportedScan) -> bool:
    """Return whether the volume of an imported scan is as it was written, and its transform there if it has one."""
    path, transform = folder / volume_path(scan.scan_id), folder / transform_path(scan.scan_id)
    has_transform = scan.registration is None or transform.is_file()
    return has_transform and path.is_file() and file_digest(path) == scan.sha256


def volume_path(scan_id: str) -> str:
    """Return the path of a scan's volume, relative to the cohort folder."""
    return f"volumes/{scan_id}.nii"


def transform_path(scan_id: str) -> str:
    """Return the path of a registered scan's transform, relative to the cohort folder."""
    return f"transforms/{scan_id}.tfm"


def _check_header(line: str, journal: Journal) -> None:
    header = _parsed(line)
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ImportingError(
            f"{journal.path}: not the journal of an import that can be gone on with; delete the folder, import anew"
        )
    if header.get("key") != journal.fingerprint:
        raise ImportingError(
            f"{journal.path.parent}: imported under another pseudonym key ({header.get('key')}; yours is "
            f"{journal.fingerprint}): the same person would have two pseudonyms; use that key or another folder"
        )


def _record(entry: Entry) -> dict[str, Any]:
    """Return what `_parsed_entry` reads; `dataclasses.asdict` would copy every value, which takes ten times as long."""
    scan = vars(entry.scan) | {"passed_over": [vars(earlier) for earlier in entry.scan.passed_over]}
    return vars(entry) | {"scan": scan}


def _parsed_entry(line: str) -> Entry | None:
    record = _parsed(line)
    try:
        scan = record["scan"]
        passed_over = tuple(PassedOver(**earlier) for earlier in scan.pop("passed_over"))
        notes, geometry = tuple(scan.pop("notes")), tuple(scan.pop("geometry", ()))
        tried = tuple((scan_id, seal) for scan_id, seal in record["tried"])
        return Entry(
            ImportedScan(**scan, notes=notes, geometry=geometry, passed_over=passed_over), tried, record["made_with"]
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        return None  # cut short when the process was killed: that scan is read again


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, allow_nan=False) + "\n"
