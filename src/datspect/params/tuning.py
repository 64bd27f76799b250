"""The section about studies, which no stage reads."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datspect.params.base import FiniteFloat, Section, Seed
from datspect.params.network import Schedule, StudyName
from datspect.params.striatum import AlterRanges


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


class PaperSpace(Section):
    """What a study of heads on features varies, named as in `classifier` and `training.learning_rate`."""

    dropout: FloatRange
    width: IntRange
    initial: FloatRange
    final: FloatRange
    schedule: Annotated[list[Schedule], Field(min_length=1)]
    drops: IntRange

    @model_validator(mode="after")
    def _every_point_is_allowed(self) -> Self:
        _check_limits(self)
        if self.drops.low < 1:
            raise ValueError(f"drops.low = {self.drops.low}: at least 1")
        return self


class StriatumSpace(Section):
    """What a study of small networks varies, named as in `classifier`, `training`, its learning rate and `striatum`.

    `alter`: sets of ranges by a name of your own; a trial takes one of them, and the first to take it makes its bank.
    """

    dropout: FloatRange
    width: IntRange
    initial: FloatRange
    final: FloatRange
    schedule: Annotated[list[Literal["cosine", "exponential", "one_cycle", "constant"]], Field(min_length=1)]
    epochs: IntRange
    weight_decay: FloatRange
    label_smoothing: FloatRange
    maps: IntRange
    alter: Annotated[dict[str, AlterRanges], Field(min_length=1)]

    @model_validator(mode="after")
    def _every_point_is_allowed(self) -> Self:
        _check_limits(self)
        return self


Space = PaperSpace | StriatumSpace

_LIMITS: dict[str, tuple[float, float]] = {
    "dropout": (0, 0.999),
    "width": (1, 4096),
    "initial": (1e-12, 1),
    "final": (1e-12, 1),
    "epochs": (1, 100_000),
    "weight_decay": (0, 10),
    "label_smoothing": (0, 0.499),
    "maps": (1, 64),
}


def _check_limits(space: Space) -> None:
    for name, (lowest, highest) in _LIMITS.items():
        given = getattr(space, name, None)
        if given and (given.low < lowest or given.high > highest):
            raise ValueError(f"{name}: from {given.low:g} to {given.high:g}; must lie in {lowest:g} to {highest:g}")
    if space.final.high > space.initial.low:
        raise ValueError(f"final.high = {space.final.high:g}: at most initial.low ({space.initial.low:g})")
    if len(set(space.schedule)) < len(space.schedule):
        raise ValueError(f"schedule = {space.schedule}: each one once")


class Spaces(Section):
    """The space of each model."""

    paper: PaperSpace
    striatum: StriatumSpace


class TuneParams(Section):
    """The search for values of the model in use; nothing in the graph depends on it."""

    study: StudyName
    storage: str = Field(min_length=1, description="address of the database of studies")
    objective: Literal["log_loss", "roc_auc", "accuracy"]
    trials: int = Field(ge=1)
    minutes: Annotated[FiniteFloat, Field(gt=0)] | None
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "halving", "none"]
    check_epochs: int = Field(ge=1, description="of the paper's model: epochs between two reports to the pruner")
    check_folds: int = Field(ge=1, description="of the striatum's: folds done when the pruner first stops a trial")
    nested_trials: int = Field(ge=1)
    seed: Seed
    space: Spaces
