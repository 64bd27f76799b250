"""Section `striatum`: the small network on slabs of the striatal box, and how volumes are altered to train it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datspect.params.base import Section, Seed

Model = Literal["paper", "striatum"]
"""What is cut from a volume, the network that reads it and how it is trained, all in one."""

_Share = Annotated[float, Field(ge=0, le=1)]


class AlterRanges(Section):
    """How far volumes are altered; every range is drawn from evenly. A study may choose among several sets of them."""

    shift_mm: float = Field(ge=0, le=10, description="at most, along each axis, either way")
    turn_degrees: float = Field(ge=0, le=8, description="at most, about each axis, either way")
    scale: float = Field(ge=0, le=0.1, description="size between 1 - this and 1 + this")
    gain: float = Field(ge=0, lt=0.5, description="factor between 1 - this and 1 + this")
    blur_mm: float = Field(ge=0, le=15, description="FWHM at most; half of the draws are not blurred")
    noise: float = Field(ge=0, le=0.5, description="sd of a voxel at the brain's uptake, at most")


class AlterParams(AlterRanges):
    """How volumes are altered for training."""

    draws: int = Field(ge=1, description="altered views of each scan, used again when all were seen")
    noise_fwhm_mm: float = Field(gt=0, le=20, description="of the filter that a reconstruction's noise went through")
    swap_sides: bool
    lowered_share: _Share = Field(description="of the controls, whose binding is lowered alike everywhere: pd")
    lowered_to: Annotated[list[_Share], Field(min_length=2, max_length=2)]
    seed: Seed

    @model_validator(mode="after")
    def _lowered_to_rises(self) -> Self:
        least, most = self.lowered_to
        if least > most:
            raise ValueError(f"alter.lowered_to = {self.lowered_to}: the first, the least, must not exceed the second")
        if self.lowered_share == 1:
            raise ValueError("alter.lowered_share = 1: must be below 1, or no control is left to learn from")
        return self

    @property
    def ranges(self) -> AlterRanges:
        """The ranges alone."""
        return AlterRanges(**{name: getattr(self, name) for name in AlterRanges.model_fields})


class StriatumParams(Section):
    """The small network: an ensemble of equal members that differ by their seeds."""

    maps: int = Field(ge=1, le=64, description="of the first convolution; the other two have twice as many")
    members: int = Field(ge=1, le=20)
    label_smoothing: float = Field(ge=0, lt=0.5, description="targets are this and 1 - this")
    alter: AlterParams
