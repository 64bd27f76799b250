"""Read today's diagnoses from PPMI's table of participants' status, and compare them with the archive's groups."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from datspect.cohort.table import CONTROL, PD
from datspect.errors import ImportingError
from datspect.importing.labels import spelling
from datspect.importing.ppmi_fields import group_label, letters, parse_subject
from datspect.io.delimited import read_delimited

Diagnosis = Literal["agreed", "archive", "status"]
"""Whose diagnosis counts where the two differ: nobody's, the archive's Group, or the table of status."""

DIFFERS = "its group in the archive and its cohort in the table of status differ; keep one with --diagnosis"
NO_COHORT = "the table of status gives it no cohort that is known, or several"

COHORTS: Mapping[str, str] = {"1": PD, "2": CONTROL, "3": "swedd", "4": "prodromal"}
"""PPMI's codes of cohorts."""
_SAME: Mapping[str, tuple[str, ...]] = {
    "gencohort_pd": (PD,),
    "genreg_pd": (PD,),
    "gencohort_unaffected": (CONTROL, "prodromal"),
    "genreg_unaffected": (CONTROL, "prodromal"),
}
"""Cohorts that say the same as a group of the archive beside the group of that name."""
_SUBJECT, _CODE, _WORDS = ("patno", "subject", "subjectid"), ("cohort",), ("cohortdefinition",)


@dataclass(frozen=True)
class Status:
    """`cohorts`: today's label of each subject, "" if unknown; `keep`: whose diagnosis counts where the two differ."""

    cohorts: Mapping[str, str] = field(default_factory=dict)
    keep: Diagnosis = "agreed"

    def differs(self, subject: str, group: str) -> bool:
        """Return whether the archive's group and today's cohort are both known and say different things."""
        cohort = self.cohorts.get(subject, "")
        return bool(cohort and group) and cohort not in (group, *_SAME.get(group, ()))

    def decided(self, subject: str, group: str) -> tuple[str, str]:
        """Return the label that counts, and why the subject is left out ("" if it is not)."""
        if subject not in self.cohorts or (group and self.keep == "archive"):
            return group, ""
        cohort = self.cohorts[subject]
        if not cohort:
            return group, NO_COHORT
        if not group or (self.keep == "status" and self.differs(subject, group)):
            return cohort, ""
        return group, DIFFERS if self.differs(subject, group) else ""


def read_status(path: Path, keep: Diagnosis = "agreed") -> Status:
    """Read a table with PATNO, and COHORT (1 to 4) or COHORT_DEFINITION or both.

    Raises
    ------
    ImportingError : it cannot be read, or lacks the columns.
    """
    table = read_delimited(path, "the table of status")
    by_letters = {letters(str(name)): str(name) for name in reversed(list(table.columns))}
    subject, code, words = (
        next((by_letters[name] for name in names if name in by_letters), None) for names in (_SUBJECT, _CODE, _WORDS)
    )
    if subject is None or (code is None and words is None):
        raise ImportingError(
            "the table of status needs the columns PATNO and COHORT or COHORT_DEFINITION; download Participant_Status "
            "from the study's data, or rename the columns"
        )
    found: dict[str, set[str]] = defaultdict(set)
    for _, row in table.iterrows():
        if row[subject]:
            found[parse_subject(row[subject])] |= _labels(row, code, words)
    return Status({subject: next(iter(its)) if len(its) == 1 else "" for subject, its in found.items()}, keep)


def _labels(row: "pd.Series[str]", code: str | None, words: str | None) -> set[str]:
    """Return what a row says, "" for what is unknown; two labels if its code and its words differ."""
    texts = [row[column] for column in (code, words) if column and row[column]]
    return {COHORTS.get(spelling(text)) or group_label(text) or "" for text in texts} or {""}
