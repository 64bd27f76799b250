"""The plan of an import: whose scans, from which files, and what was left out before a file was opened.

Ids in a plan are pseudonyms; original names live only in `Source`, which is never written or logged.
"""

import math
from dataclasses import dataclass
from typing import Literal

from datspect.io.sources import Source

TOP_AGE_YEARS = 90
"""Higher ages are kept as this one: few people reach them, so that the age alone could name somebody."""


@dataclass(frozen=True)
class Candidate:
    """One acquisition that may become a subject's scan; `source` is None if no file of it was found."""

    scan_id: str
    visit: str
    age: float | None
    source: Source | None


@dataclass(frozen=True)
class PlannedSubject:
    """A person and their acquisitions in the order in which they are tried.

    The first reconstructed scan is taken; acquisitions before it were something else. A spoilt one ends the search,
    since a later scan does not replace it.
    """

    subject_id: str
    label: str
    sex: Literal["female", "male", ""]
    site: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Exclusion:
    """A subject, scan or file that does not become a scan; `what` is its pseudonym."""

    what: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Subjects to import, what is excluded already, and what was seen; `counts` are in the order of the account."""

    subjects: tuple[PlannedSubject, ...]
    exclusions: tuple[Exclusion, ...]
    counts: dict[str, int]


def kept_age(years: float) -> float:
    """Return an age as a cohort holds it: whole years, `TOP_AGE_YEARS` for all above.

    >>> kept_age(63.9), kept_age(97.0)
    (63.0, 90.0)
    """
    return float(min(math.floor(years), TOP_AGE_YEARS))
