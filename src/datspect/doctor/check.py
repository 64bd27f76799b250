"""What one check of the doctor found, and the place that is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from datspect.errors import DatspectError
from datspect.params.whole import Params, load_params
from datspect.running.addresses import repository_root
from datspect.running.programs import unnamed

Outcome = Literal["ok", "warning", "problem"]
ORDER: tuple[Outcome, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do about it unless all is well."""

    name: str
    outcome: Outcome
    finding: str
    remedy: str = ""

    def as_record(self) -> dict[str, str]:
        """Return it as JSON has it, without the user's name, home folder or logins."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "finding": unnamed(self.finding),
            "remedy": unnamed(self.remedy),
        }


def worst(checks: Sequence[Check]) -> Outcome:
    """Return the worst outcome; ok if nothing was looked at."""
    return max((check.outcome for check in checks), key=ORDER.index, default="ok")


@dataclass(frozen=True)
class Place:
    """Where the doctor was asked: the root of the project, or the current folder if there is none.

    seconds : what one check may take at most
    """

    root: Path
    is_project: bool
    seconds: float = 10.0

    @classmethod
    def here(cls, seconds: float) -> "Place":
        """Return the project around the current folder."""
        root = repository_root()
        return cls(root, is_project(root), seconds)

    @cached_property
    def params(self) -> Params | None:
        """Parameters of the project; None without a project, or if params.yaml cannot be used."""
        try:
            return load_params(self.root / "params.yaml") if self.is_project else None
        except DatspectError:
            return None


def is_project(root: Path) -> bool:
    """Return whether a folder is the root of a project: it has the graph, and parameters of the graph."""
    return all((root / name).is_file() for name in ("dvc.yaml", "params.yaml"))


def size_in_words(n_bytes: float) -> str:
    """Return a size with its unit.

    >>> size_in_words(3.4e9), size_in_words(120e6)
    ('3.4 GB', '120 MB')
    """
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
