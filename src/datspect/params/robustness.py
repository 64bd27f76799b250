"""Section `robustness`: which alterations the panel has, and how many scans go through it."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from datspect.params.base import Section, Seed

AlterationName = Literal[
    "blur",
    "noise",
    "grey_levels",
    "up",
    "aside",
    "nod",
    "turn",
    "tilt",
    "larger",
    "smaller",
    "narrower",
    "gain",
    "hot_voxel",
    "gland",
    "field_of_view",
    "offset",
    "sides",
]


class RobustnessParams(Section):
    """What is done to the holdout's scans; nothing is learnt from it."""

    alterations: Literal["all"] | Annotated[list[AlterationName], Field(min_length=1)]
    most_scans: int = Field(ge=2, description="of the holdout, both labels in proportion")
    seed: Seed

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"alterations = {self.alterations}: {', '.join(twice)} twice; name each once")
        return self

    @property
    def names(self) -> tuple[AlterationName, ...]:
        """The names of the alterations."""
        return get_args(AlterationName) if self.alterations == "all" else tuple(self.alterations)
