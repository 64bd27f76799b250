"""Tell which trials ended before they were done, what of them must be tried again, and what that does to a study.

A trial is lost if its process was killed, if somebody ended it, or if an error did, and no other trial has its values.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datspect.tuning.trials import Trial

MOST_AT_ONCE = 3
"""So often a lost trial begins again before all others; then, since it may be what kills its process, as the last."""

_ALIVE = ("complete", "pruned", "running", "waiting")
_ENDINGS = {"KeyboardInterrupt": "was stopped by Ctrl-C", "Stopped": "was asked to end"}


@dataclass(frozen=True)
class Lost:
    """Values that no other trial has or will have.

    `latest` is the last trial that had all of them, `attempts` those that had all or some, by number.
    """

    latest: Trial
    attempts: tuple[Trial, ...]

    @property
    def number(self) -> int:
        """The number of the latest trial."""
        return self.latest.number

    @property
    def first(self) -> int:
        """The number of the first attempt."""
        return self.attempts[0].number

    @property
    def values(self) -> dict[str, Any]:
        """What was tried, as far as it was drawn."""
        return self.latest.tried

    @property
    def at_once(self) -> bool:
        """Whether it begins again before all others."""
        return len(self.attempts) <= MOST_AT_ONCE

    @property
    def why(self) -> str:
        """How its attempts ended.

        >>> killed, ended = Trial(0, "failed", {}), Trial(1, "failed", {}, ended_by="OSError")
        >>> Lost(ended, (killed, ended)).why
        'its process was killed (by the machine, by somebody or for want of memory) once; error OSError once'
        """
        counts = Counter(_ending(trial) for trial in self.attempts)
        return "; ".join(f"{ending} {_times(n)}" for ending, n in counts.items())


def lost(trials: Sequence[Trial]) -> list[Lost]:
    """Return what has to be tried again: values of failed trials that no finished, running or waiting trial has.

    A trial that died while it drew its values had some of them only; it is lost unless another trial has those.
    """
    alive = [trial for trial in trials if trial.state in _ALIVE]
    failed = [trial for trial in trials if _has_failed(trial)]
    latest = [
        trial
        for trial in failed
        if not any(_holds(other, trial) for other in alive)
        and not any(_holds(other, trial) for other in failed if other.number > trial.number)
    ]
    return [Lost(trial, tuple(other for other in failed if _holds(trial, other))) for trial in latest]


def again(trials: Sequence[Trial]) -> list[Trial]:
    """Return the waiting trials that repeat a failed one."""
    failed = [trial for trial in trials if _has_failed(trial)]
    return [trial for trial in trials if trial.state == "waiting" and any(_holds(trial, other) for other in failed)]


def disturbed(trials: Sequence[Trial]) -> dict[str, Any] | None:
    """Return how many trials ended before they were done and the first of them, with a sentence; None for none."""
    numbers = [trial.number for trial in trials if _has_failed(trial)]
    if not numbers:
        return None
    return {"n_ended_early": len(numbers), "first": numbers[0], "note": _disturbed_note(len(numbers), numbers[0])}


def given_up(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return what study.json holds of lost trials: numbers, values and why each was given up."""
    return [
        {"attempts": [trial.number for trial in each.attempts], "values": each.values, "why": each.why}
        for each in lost(trials)
    ]


def _has_failed(trial: Trial) -> bool:
    """Tell whether a search ran a trial that failed; one that died before it drew anything has lost nothing."""
    return trial.state == "failed" and bool(trial.tried) and (trial.begun or bool(trial.asked))


def _holds(trial: Trial, other: Trial) -> bool:
    return other.tried.items() <= trial.tried.items()


def _ending(trial: Trial) -> str:
    if trial.ended_by is None:
        return "its process was killed (by the machine, by somebody or for want of memory)"
    return _ENDINGS.get(trial.ended_by, f"error {trial.ended_by}")


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _disturbed_note(n: int, first: int) -> str:
    trials = "1 trial" if n == 1 else f"{n} trials"
    return (
        f"{trials} ended before they were done, the first of them trial {first}: from there on values were drawn under "
        "other numbers and with less known, so the sampling differs from that of an undisturbed study"
    )
