"""Sections about the network: what it is, how its images are augmented, and how it is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datspect.params.base import Section, Seed

Architecture = Literal["InceptionV3", "Xception", "MobileNetV2", "ResNet50V2", "InceptionResNetV2"]
Schedule = Literal["step", "cosine", "exponential", "one_cycle", "constant"]
StudyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]

SMALLEST_SIDE: dict[Architecture, int] = {
    "InceptionV3": 75,
    "Xception": 71,
    "MobileNetV2": 32,
    "ResNet50V2": 32,
    "InceptionResNetV2": 75,
}
"""Pixels that an image needs either way, from the documentation of keras.applications."""


class BackboneParams(Section):
    """The network below the classifier, frozen or fine-tuned."""

    architecture: Architecture
    weights: str | None
    trainable: str = Field(min_length=1, description="none, all, or the layer from which upwards it is trained")
    seed: Seed
    precision: Literal["float32", "bfloat16"]
    download_seconds: float = Field(gt=0)

    @property
    def frozen(self) -> bool:
        """Return whether heads alone are trained, on the bank of features."""
        return self.trainable == "none"


class FinetuningParams(Section):
    """How a network that is not frozen is trained; epochs and learning rates are those of `training`."""

    batch_norm: Literal["frozen", "trained"] = Field(description="its statistics; scale and shift are weights")
    warmup_epochs: int = Field(ge=0, description="first epochs, in which the head alone is trained")
    precision: Literal["float32", "bfloat16", "float16"]


class AugmentParams(Section):
    """Ranges of the training augmentation, and how many draws the bank holds."""

    draws: int = Field(ge=1)
    width_shift: float = Field(ge=0, lt=0.5)
    height_shift: float = Field(ge=0, lt=0.5)
    horizontal_flip: bool
    brightness: float = Field(ge=0, lt=1)
    seed: Seed


class ClassifierParams(Section):
    """The head: dense ReLU, dropout, dense sigmoid."""

    width: int = Field(ge=1, le=4096)
    dropout: float = Field(ge=0, lt=1)


class LearningRateParams(Section):
    """How the learning rate falls from `initial` to `final`; `one_cycle` rises to `initial` first."""

    initial: float = Field(gt=0, le=1)
    final: float = Field(gt=0, le=1)
    schedule: Schedule
    drops: int = Field(ge=1, description="number of drops of the step schedule")

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.final > self.initial:
            raise ValueError(f"final = {self.final:g}: at most initial ({self.initial:g})")
        return self


class TrainingParams(Section):
    """How the heads are trained."""

    epochs: int = Field(ge=1)
    stop_after: Annotated[int, Field(ge=1)] | None = Field(description="epochs done at the end; null: all of them")
    batch_size: int = Field(ge=1)
    learning_rate: LearningRateParams
    weight_decay: float = Field(ge=0, le=10, description="of AdamW, on kernels; 0: Adam")
    seed: Seed

    @property
    def last_epoch(self) -> int:
        """Return how many epochs are done in all."""
        return self.stop_after or self.epochs

    @model_validator(mode="after")
    def _stops_in_time(self) -> Self:
        if self.stop_after is not None and self.stop_after > self.epochs:
            raise ValueError(f"stop_after = {self.stop_after}: at most training.epochs ({self.epochs})")
        return self

    @model_validator(mode="after")
    def _every_level_is_reached(self) -> Self:
        rate = self.learning_rate
        if rate.schedule == "step" and rate.drops >= self.epochs:
            raise ValueError(f"learning_rate.drops = {rate.drops}: must be below training.epochs ({self.epochs})")
        return self


class ParametersFrom(Section):
    """The trial that `classifier` and `training` were taken from, and which split its study saw."""

    study: StudyName
    trial: int = Field(ge=0)
    split: str = Field(pattern=r"^[0-9a-f]{12}$", description="first digits of the SHA-256 of data/splits.csv")
