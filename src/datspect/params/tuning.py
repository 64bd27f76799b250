"""The section about studies, which no stage reads."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datspect.params.base import FiniteFloat, Section, Seed
from datspect.params.network import Schedule, StudyName


class FloatRange(Section):
    """Real numbers from `low` to `high`, both included; `scale` says on which all stretches are equally likely."""

    low: FiniteFloat
    high: FiniteFloat
    scale: Literal["linear", "log"]

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _check_range(self.low, self.high, self.scale)
        return self


class IntRange(Section):
    """Whole numbers from `low` to `high`, both included, `step` apart."""

    low: int
    high: int
    step: int = Field(ge=1)
    scale: Literal["linear", "log"]

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _check_range(self.low, self.high, self.scale)
        if (self.high - self.low) % self.step:
            raise ValueError(f"high = {self.high}: a whole number of steps of {self.step} above low ({self.low})")
        if self.scale == "log" and self.step != 1:
            raise ValueError(f"step = {self.step}: must be 1 on a log scale")
        return self


def _check_range(low: float, high: float, scale: str) -> None:
    if low >= high:
        raise ValueError(f"high = {high:g}: must be above low ({low:g})")
    if scale == "log" and low <= 0:
        raise ValueError(f"low = {low:g}: must be above 0 on a log scale")


class TuneSpace(Section):
    """What a study varies, named as in `classifier` and `training.learning_rate`."""

    dropout: FloatRange
    width: IntRange
    initial: FloatRange
    final: FloatRange
    schedule: Annotated[list[Schedule], Field(min_length=1)]
    drops: IntRange

    @model_validator(mode="after")
    def _every_point_is_allowed(self) -> Self:
        limits = {"dropout": (0.0, 0.999), "width": (1, 4096), "initial": (1e-12, 1.0), "final": (1e-12, 1.0)}
        for name, (lowest, highest) in limits.items():
            given = getattr(self, name)
            if given.low < lowest or given.high > highest:
                raise ValueError(f"{name}: from {given.low:g} to {given.high:g}; must lie in {lowest:g} to {highest:g}")
        if self.drops.low < 1:
            raise ValueError(f"drops.low = {self.drops.low}: at least 1")
        if self.final.high > self.initial.low:
            raise ValueError(f"final.high = {self.final.high:g}: at most initial.low ({self.initial.low:g})")
        if len(set(self.schedule)) < len(self.schedule):
            raise ValueError(f"schedule = {self.schedule}: each one once")
        return self


class TuneParams(Section):
    """The search for dropout, width and learning rates; nothing in the graph depends on it."""

    study: StudyName
    storage: str = Field(min_length=1, description="address of the database of studies")
    objective: Literal["log_loss", "roc_auc", "accuracy"]
    trials: int = Field(ge=1)
    minutes: Annotated[FiniteFloat, Field(gt=0)] | None
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "halving", "none"]
    check_epochs: int = Field(ge=1, description="epochs between two reports to the pruner at a trial")
    nested_trials: int = Field(ge=1)
    seed: Seed
    space: TuneSpace
