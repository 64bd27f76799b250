"""What a study varies: from the space in params.yaml to a trial's values, and from values to a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from datspect.errors import ParamsError
from datspect.params.network import ClassifierParams, LearningRateParams, TrainingParams
from datspect.params.tuning import FloatRange, IntRange, TuneSpace

Name = Literal["dropout", "width", "initial", "final", "schedule", "drops"]
NAMES: tuple[Name, ...] = ("dropout", "width", "initial", "final", "schedule", "drops")


class Suggests(Protocol):
    """The part of an Optuna trial that chooses values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of several."""
        ...


@dataclass(frozen=True)
class Configuration:
    """Everything that a trial trains with."""

    classifier: ClassifierParams
    training: TrainingParams

    @property
    def values(self) -> dict[str, Any]:
        """By the names of the space, those that have no effect left out."""
        rate = self.training.learning_rate
        values = {"dropout": self.classifier.dropout, "width": self.classifier.width, **rate.model_dump()}
        return {name: values[name] for name in NAMES if _has_effect(name, rate.schedule)}

    def changed(self, values: Mapping[str, Any]) -> "Configuration":
        """A copy with some values changed."""
        rate = self.training.learning_rate.model_dump() | {n: v for n, v in values.items() if n in _OF_THE_RATE}
        if rate["schedule"] == "constant":
            rate["final"] = min(rate["final"], rate["initial"])  # without effect, and never above the first
        head = self.classifier.model_dump() | {n: v for n, v in values.items() if n not in _OF_THE_RATE}
        training = self.training.model_dump() | {"learning_rate": LearningRateParams(**rate)}
        return Configuration(ClassifierParams(**head), TrainingParams(**training))


_OF_THE_RATE = frozenset(LearningRateParams.model_fields)


@dataclass(frozen=True)
class SearchSpace:
    """The ranges of the values that are varied; all others stay as they are in `base`."""

    ranges: TuneSpace
    varied: tuple[Name, ...]
    base: Configuration

    def suggested(self, trial: Suggests) -> Configuration:
        """A configuration of the trial's choice; what has no effect under the chosen schedule is not chosen."""
        schedule = self.base.training.learning_rate.schedule
        if "schedule" in self.varied:
            schedule = trial.suggest_categorical("schedule", self.ranges.schedule)
        values: dict[str, Any] = {"schedule": schedule}
        for name in self.varied:
            if name != "schedule" and _has_effect(name, schedule):
                values[name] = _suggested(trial, name, getattr(self.ranges, name))
        return self.base.changed(values)

    def base_values(self) -> dict[str, Any] | None:
        """The varied values as they are in `base`, or None if they lie outside the ranges."""
        values: dict[str, Any] = {name: self.base.values[name] for name in self.varied if name in self.base.values}
        inside = all(_inside(value, getattr(self.ranges, name)) for name, value in values.items())
        return values if inside else None

    def description(self) -> dict[str, Any]:
        """What makes two spaces the same: ranges of what is varied, values of what is not."""
        fixed = {name: value for name, value in self.base.values.items() if name not in self.varied}
        ranges = self.ranges.model_dump(mode="json")
        return {"varied": {name: ranges[name] for name in self.varied}, "fixed": fixed}


def search_space(
    ranges: TuneSpace, classifier: ClassifierParams, training: TrainingParams, vary: Sequence[str] = NAMES
) -> SearchSpace:
    """The space of a study that varies the values named in `vary`.

    Raises
    ------
    ParamsError : an unknown name, none at all, or a value that stays contradicts a range.
    """
    unknown = [name for name in vary if name not in NAMES]
    if unknown or not vary:
        raise ParamsError(f"--vary {' '.join(unknown)}: expected one or more of {', '.join(NAMES)}")
    varied = tuple(name for name in NAMES if name in vary)
    rate = training.learning_rate
    if "drops" in varied and ranges.drops.high >= training.epochs:
        raise ParamsError(
            f"tune.space.drops.high = {ranges.drops.high}: must be below training.epochs ({training.epochs})"
        )
    highest_final = ranges.final.high if "final" in varied else rate.final
    lowest_initial = ranges.initial.low if "initial" in varied else rate.initial
    if highest_final > lowest_initial:
        raise ParamsError(
            f"tune.space: the final learning rate may be as high as {highest_final:g}, the initial one as low as "
            f"{lowest_initial:g}; the final one must not be above it"
        )
    return SearchSpace(ranges, varied, Configuration(classifier, training))


def _has_effect(name: str, schedule: str) -> bool:
    match name:
        case "final":
            return schedule != "constant"
        case "drops":
            return schedule == "step"
        case _:
            return True


def _suggested(trial: Suggests, name: str, range_: FloatRange | IntRange) -> float | int:
    log = range_.scale == "log"
    if isinstance(range_, IntRange):
        return trial.suggest_int(name, range_.low, range_.high, step=range_.step, log=log)
    return trial.suggest_float(name, range_.low, range_.high, log=log)


def _inside(value: Any, range_: FloatRange | IntRange | list[str]) -> bool:
    if isinstance(range_, list):
        return value in range_
    on_grid = not isinstance(range_, IntRange) or (value - range_.low) % range_.step == 0
    return bool(range_.low <= value <= range_.high) and on_grid
