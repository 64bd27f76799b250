"""The kind of a cohort and its names: a phantom is called a phantom wherever its figures stand."""

from enum import StrEnum


class CohortKind(StrEnum):
    """Whether the scans of a cohort are simulated."""

    PHANTOM = "phantom"
    REAL = "real"

    @classmethod
    def of(cls, record: object) -> "CohortKind":
        """Return the kind that a record or tag names; what is not called real counts as a phantom."""
        return cls.REAL if record == cls.REAL else cls.PHANTOM

    @property
    def caption(self) -> str:
        """The heading of every figure and report of the cohort."""
        return "PHANTOM cohort, simulated" if self is CohortKind.PHANTOM else "cohort of real scans"

    @property
    def short(self) -> str:
        """The name of the cohort in a line on the terminal."""
        return "PHANTOM cohort" if self is CohortKind.PHANTOM else "real scans"

    @property
    def banner(self) -> str:
        """The notice on pages about the cohort; empty for real scans."""
        return "PHANTOM cohort: simulated scans, not patients" if self is CohortKind.PHANTOM else ""
