"""What stands wherever figures do: whether the cohort is a phantom, and a recipe that is not the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datspect.cohort.kind import CohortKind

_PAPER = "paper"


@dataclass(frozen=True)
class Scope:
    """What figures are of: a kind of cohort, and a recipe; "" is the paper's, changed or not, which needs no name."""

    kind: CohortKind
    recipe: str = ""

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Scope":
        """Return the scope that a metrics.json states."""
        return cls(CohortKind.of(metrics.get("cohort_kind")), str(metrics.get("recipe", "")))

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Scope":
        """Return the scope that the tags of a run, or of a version, state; a version from before had the paper's."""
        recipe = tags.get("datspect.recipe", _PAPER)
        kind = CohortKind.of(tags.get("datspect.cohort_kind"))
        return cls(kind, "" if recipe.partition(",")[0] == _PAPER else recipe)

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
