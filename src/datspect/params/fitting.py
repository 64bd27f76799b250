"""What the stages that fit folds read, `cv` and `final`."""

from importlib import import_module
from pathlib import Path
from typing import Any

from datspect.params.base import Sections
from datspect.params.network import (
    AugmentParams,
    BackboneParams,
    ClassifierParams,
    FinetuningParams,
    ParametersFrom,
    TrainingParams,
)
from datspect.params.running import ExecutorParams, TrackingParams
from datspect.params.striatum import Model, StriatumParams


class FittingParams(Sections):
    """All that a fit, its record and its run in MLflow depend on."""

    backbone: BackboneParams
    augment: AugmentParams
    classifier: ClassifierParams
    training: TrainingParams
    finetuning: FinetuningParams
    model: Model
    striatum: StriatumParams
    executor: ExecutorParams
    parameters_from: ParametersFrom | None
    tracking: TrackingParams

    @property
    def by_fold(self) -> bool:
        """Return whether each fold is trained by itself, and not all as one stack of heads on the bank."""
        return self.model == "striatum" or not self.backbone.frozen

    @property
    def training_is_on(self) -> str:
        """What the figures of training are of, for the legend of a picture."""
        if self.model == "paper":
            return "augmented, with dropout"
        return "altered views, with dropout" if self.classifier.dropout else "altered views"


def read_every_section(path: Path) -> dict[str, Any]:
    """Read all of params.yaml as plain values by section, for what is only told of a run; raises as `read_params`."""
    # Named, not imported, as in `read_params`: no stage depends on the schema of sections that it does not use.
    sections: dict[str, Any] = import_module("datspect.params.whole").load_params(path).model_dump(mode="json")
    return sections
