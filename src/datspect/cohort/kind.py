"""What stands wherever figures do: whether the cohort is a phantom, and a recipe that is not the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True)
class Scope:
    """What figures are of: a kind of cohort, and a recipe; "" is the paper's, changed or not, which needs no name."""

    kind: CohortKind
    recipe: str = ""

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Scope":
        """Return the scope that a metrics.json states."""
        return cls(CohortKind.of(metrics.get("cohort_kind")), str(metrics.get("recipe", "")))

    @property
    def record(self) -> dict[str, str]:
        """How a metrics.json states it."""
        return {"cohort_kind": str(self.kind), **({"recipe": self.recipe} if self.recipe else {})}

    @property
    def caption(self) -> str:
        """The heading of every figure and report.

        >>> Scope(CohortKind.PHANTOM, "striatum").caption
        'PHANTOM cohort, simulated; recipe striatum'
        """
        return "; ".join([self.kind.caption, *self._named])

    @property
    def short(self) -> str:
        """The same in a line on the terminal."""
        return "; ".join([self.kind.short, *self._named])

    @property
    def banner(self) -> str:
        """The notice on pages; empty for real scans and the paper's recipe."""
        return " · ".join([*filter(None, [self.kind.banner]), *self._named])

    @property
    def _named(self) -> list[str]:
        return [f"recipe {self.recipe}"] if self.recipe else []
