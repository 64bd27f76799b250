"""Describe a trial without the library that keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

State = Literal["complete", "pruned", "failed", "running", "waiting", "added"]
"""`added` is a trial that no search has run: somebody added it with `optuna ask` and `tell`, or in the dashboard."""


@dataclass(frozen=True)
class Trial:
    """One trial of a study.

    `values`: what it tried, by the names of `tune.space`; `score`: the objective after the last epoch, or where pruning
    stopped it; `measures`: out-of-fold log_loss, roc_auc and accuracy with `_low` and `_high`; `fold_scores`: the
    objective of each development fold that is done, in order; `n_epochs`: how many it trained; `n_folds`: in how many
    folds, where they train one after another, else None; `asked`: the values that it was queued with; `begun`: whether
    a search ran it; `ended_by`: the name of the exception that ended a failed one, None if its process was killed.
    """

    number: int
    state: State
    values: dict[str, Any]
    score: float | None = None
    measures: dict[str, float] = field(default_factory=dict)
    fold_scores: Sequence[float] = ()
    n_epochs: int = 0
    n_folds: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    begun: bool = False
    ended_by: str | None = None

    @property
    def tried(self) -> dict[str, Any]:
        """What it was queued with and what it drew.

        >>> Trial(1, "waiting", {}, asked={"dropout": 0.5}).tried
        {'dropout': 0.5}
        """
        return {**self.asked, **self.values}

    @property
    def reached(self) -> str:
        """How far it came, in words.

        >>> Trial(1, "pruned", {}, n_epochs=40, n_folds=2).reached
        '2 folds'
        """
        return f"{self.n_epochs} epochs" if self.n_folds is None else f"{self.n_folds} folds"

    @property
    def seconds(self) -> float | None:
        """The time it took; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


def history_path(folder: Path, number: int) -> Path:
    """Return the path of a trial's curves."""
    return folder / f"trial-{number:04d}.csv"


def values_text(values: Mapping[str, Any]) -> str:
    """Return the values of a trial on one line.

    >>> values_text({"width": 96, "initial": 0.0043216})
    'width 96, initial 0.004322'
    """
    texts = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())
