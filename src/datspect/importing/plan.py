"""What an import is going to do: whose scans, from which files, and what was left out before a file was opened.

Ids in here are pseudonyms; original names live only in `Source`, which is never written or logged.
"""

import math
from dataclasses import dataclass
from typing import Literal

from datspect.io.sources import Source

TOP_AGE_YEARS = 90
"""Higher ages are kept as this one: so few people reach them that the age alone could name somebody."""


@dataclass(frozen=True)
class Candidate:
    """One acquisition that may become a subject's scan; `source` is None where no file of it was found."""

    scan_id: str
    visit: str
    age: float | None
    source: Source | None


@dataclass(frozen=True)
class PlannedSubject:
    """A person and their acquisitions in the order in which they are tried.

    The first that is a reconstructed scan is the one: those before it were something else, and one that is spoilt
    ends the search, since a later scan is no replacement for it.
    """

    subject_id: str
    label: str
    sex: Literal["female", "male", ""]
    site: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Exclusion:
    """Something that does not become a scan: `what` is a pseudonym of a subject, a scan or a file."""

    what: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Subjects to import, what is excluded already, and what was seen; `counts` are in the order to be shown."""

    subjects: tuple[PlannedSubject, ...]
    exclusions: tuple[Exclusion, ...]
    counts: dict[str, int]


def kept_age(years: float) -> float:
    """An age as a cohort holds it: whole years, `TOP_AGE_YEARS` for all above."""
    return float(min(math.floor(years), TOP_AGE_YEARS))
