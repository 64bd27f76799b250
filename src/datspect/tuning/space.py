"""Turn the space in params.yaml into a trial's values, and values into a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from datspect.errors import ParamsError
from datspect.params.network import ClassifierParams, LearningRateParams, TrainingParams
from datspect.params.striatum import AlterParams, AlterRanges, StriatumParams
from datspect.params.tuning import FloatRange, IntRange, PaperSpace, Space, StriatumSpace


class Suggests(Protocol):
    """The part of an Optuna trial that chooses values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Choose a real number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Choose a whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Choose one of several."""
        ...


_OF_THE_RATE = frozenset(LearningRateParams.model_fields)
_OF_THE_CLASSIFIER = frozenset(ClassifierParams.model_fields)
_OF_THE_TRAINING = frozenset(TrainingParams.model_fields)
_ALTER = "alter"


@dataclass(frozen=True)
class Configuration:
    """Everything that a trial trains with.

    striatum : None for the paper's model
    alter : the sets of ranges that a value of that name can stand for
    """

    classifier: ClassifierParams
    training: TrainingParams
    striatum: StriatumParams | None = None
    alter: Mapping[str, AlterRanges] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        """The values by the names of the space, without those that have no effect."""
        rate = self.training.learning_rate
        values = {"dropout": self.classifier.dropout, "width": self.classifier.width, **rate.model_dump()}
        if self.striatum:
            values |= {"epochs": self.training.epochs, "weight_decay": self.training.weight_decay}
            values |= self.striatum.model_dump(include={"label_smoothing", "maps"})
            values[_ALTER] = self._name_of_ranges
        return {name: value for name, value in values.items() if _has_effect(name, rate.schedule)}

    @property
    def settings(self) -> dict[str, Any]:
        """The values by the keys of params.yaml: as `values`, with ranges in the place of the name of their set."""
        ranges = self.striatum.alter.ranges.model_dump() if self.striatum else {}
        return {name: value for name, value in self.values.items() if name != _ALTER} | ranges

    @property
    def _name_of_ranges(self) -> str | None:
        """Which set of ranges is in force, None if it is another one."""
        in_force = self.striatum and self.striatum.alter.ranges
        return next((name for name, ranges in self.alter.items() if ranges == in_force), None)

    def changed(self, values: Mapping[str, Any]) -> "Configuration":
        """Return a copy with some values changed."""
        rate = self.training.learning_rate.model_dump() | _among(values, _OF_THE_RATE)
        if rate["schedule"] == "constant":
            rate["final"] = min(rate["final"], rate["initial"])  # without effect, and never above the first
        head = self.classifier.model_dump() | _among(values, _OF_THE_CLASSIFIER)
        training = self.training.model_dump() | _among(values, _OF_THE_TRAINING)
        return replace(
            self,
            classifier=ClassifierParams(**head),
            training=TrainingParams(**training | {"learning_rate": LearningRateParams(**rate)}),
            striatum=self.striatum and self._changed_striatum(self.striatum, values),
        )

    def _changed_striatum(self, striatum: StriatumParams, values: Mapping[str, Any]) -> StriatumParams:
        changes = _among(values, frozenset(StriatumParams.model_fields) - {_ALTER})
        if _ALTER in values:
            ranges = self.alter[values[_ALTER]].model_dump()
            changes[_ALTER] = AlterParams(**striatum.alter.model_dump() | ranges)
        return striatum.model_copy(update=changes)


@dataclass(frozen=True)
class SearchSpace:
    """The ranges of the values that a study varies; all others stay as they are in `base`."""

    ranges: Space
    varied: tuple[str, ...]
    base: Configuration

    def suggested(self, trial: Suggests) -> Configuration:
        """Return the configuration that the trial chooses; it chooses no value without effect under its schedule."""
        schedule = self.base.training.learning_rate.schedule
        if "schedule" in self.varied:
            schedule = trial.suggest_categorical("schedule", self.ranges.schedule)
        values: dict[str, Any] = {"schedule": schedule}
        for name in self.varied:
            if name != "schedule" and _has_effect(name, schedule):
                values[name] = _suggested(trial, name, getattr(self.ranges, name))
        return self.base.changed(values)

    def base_values(self) -> dict[str, Any] | None:
        """Return the varied values as they are in `base`, or None if they lie outside the ranges."""
        values: dict[str, Any] = {name: self.base.values[name] for name in self.varied if name in self.base.values}
        inside = all(_inside(value, getattr(self.ranges, name)) for name, value in values.items())
        return values if inside else None

    def description(self) -> dict[str, Any]:
        """Return the ranges of what varies and the values of what does not: equal in equal spaces."""
        fixed = {name: value for name, value in self.base.values.items() if name not in self.varied}
        ranges = self.ranges.model_dump(mode="json")
        return {"varied": {name: ranges[name] for name in self.varied}, "fixed": fixed | self._fixed_of_the_striatum()}

    def _fixed_of_the_striatum(self) -> dict[str, Any]:
        """Return what no study varies, and the ranges themselves where they stay as they are."""
        if self.base.striatum is None:
            return {}
        alter = self.base.striatum.alter.model_dump(mode="json")
        if _ALTER in self.varied:
            alter = {name: value for name, value in alter.items() if name not in AlterRanges.model_fields}
        return {"members": self.base.striatum.members, _ALTER: alter}


def search_space(
    ranges: Space,
    classifier: ClassifierParams,
    training: TrainingParams,
    vary: Sequence[str] | None = None,
    striatum: StriatumParams | None = None,
) -> SearchSpace:
    """Return the space of a study that varies the values named in `vary` (default: all that `ranges` holds).

    Raises
    ------
    ParamsError : a name is unknown or makes no sense for the model, there is none, or a value that stays contradicts a
        range.
    """
    model, known = ("paper", PaperSpace) if striatum is None else ("striatum", StriatumSpace)
    names = tuple(known.model_fields)
    vary = names if vary is None else vary
    unknown = [name for name in vary if name not in names]
    if unknown or not vary:
        raise ParamsError(f"--vary {' '.join(unknown)}: with model: {model} expected one or more of {', '.join(names)}")
    sets = ranges.alter if isinstance(ranges, StriatumSpace) else {}
    space = SearchSpace(
        ranges, tuple(name for name in names if name in vary), Configuration(classifier, training, striatum, sets)
    )
    _check_rates(space, model)
    _check_epochs(space, model)
    return space


def _check_rates(space: SearchSpace, model: str) -> None:
    ranges, rate = space.ranges, space.base.training.learning_rate
    highest_final = ranges.final.high if "final" in space.varied else rate.final
    lowest_initial = ranges.initial.low if "initial" in space.varied else rate.initial
    if highest_final > lowest_initial:
        raise ParamsError(
            f"tune.space.{model}: the final learning rate may be as high as {highest_final:g}, the initial one as low "
            f"as {lowest_initial:g}; the final one must not be above it"
        )


def _check_epochs(space: SearchSpace, model: str) -> None:
    ranges, training = space.ranges, space.base.training
    if isinstance(ranges, PaperSpace):
        if "drops" in space.varied and ranges.drops.high >= training.epochs:
            raise ParamsError(
                f"tune.space.{model}.drops.high = {ranges.drops.high}: must be below training.epochs "
                f"({training.epochs})"
            )
        return
    if "epochs" not in space.varied:
        return
    if training.stop_after is not None:
        raise ParamsError(
            f"training.stop_after = {training.stop_after}: makes no sense where epochs vary; set it to null, or name "
            "what varies with --vary"
        )
    rate = training.learning_rate
    if "schedule" not in space.varied and rate.schedule == "step" and rate.drops >= ranges.epochs.low:
        raise ParamsError(
            f"tune.space.{model}.epochs.low = {ranges.epochs.low}: must be above learning_rate.drops ({rate.drops})"
        )


def _among(values: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}


def _has_effect(name: str, schedule: str) -> bool:
    match name:
        case "final":
            return schedule != "constant"
        case "drops":
            return schedule == "step"
        case _:
            return True


def _suggested(trial: Suggests, name: str, range_: FloatRange | IntRange | Mapping[str, Any]) -> float | int | str:
    if isinstance(range_, Mapping):
        return str(trial.suggest_categorical(name, list(range_)))
    log = range_.scale == "log"
    if isinstance(range_, IntRange):
        return trial.suggest_int(name, range_.low, range_.high, step=range_.step, log=log)
    return trial.suggest_float(name, range_.low, range_.high, log=log)


def _inside(value: Any, range_: FloatRange | IntRange | list[str] | Mapping[str, Any]) -> bool:
    if isinstance(range_, list | Mapping):
        return value in range_
    on_grid = not isinstance(range_, IntRange) or (value - range_.low) % range_.step == 0
    return bool(range_.low <= value <= range_.high) and on_grid
