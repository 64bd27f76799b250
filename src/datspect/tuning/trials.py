"""A trial as everything outside this package sees it, whatever library keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

State = Literal["complete", "pruned", "failed", "running", "waiting"]


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    `values`: what was tried, by the names of `tune.space`; `score`: the objective, of a complete trial over all epochs,
    of a pruned one where it was stopped; `measures`: out-of-fold log_loss, roc_auc and accuracy with `_low` and
    `_high`; `fold_scores`: the objective of each development fold, in order; `n_epochs`: done.
    """

    number: int
    state: State
    values: dict[str, Any]
    score: float | None = None
    measures: dict[str, float] = field(default_factory=dict)
    fold_scores: Sequence[float] = ()
    n_epochs: int = 0
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


def history_path(folder: Path, number: int) -> Path:
    """Where the curves of a trial lie."""
    return folder / f"trial-{number:04d}.csv"
