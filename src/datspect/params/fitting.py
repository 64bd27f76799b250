"""What the stages that fit folds read, `cv` and `final`."""

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


class FittingParams(Sections):
    """All that a fit, its record and its run in MLflow depend on."""

    backbone: BackboneParams
    augment: AugmentParams
    classifier: ClassifierParams
    training: TrainingParams
    finetuning: FinetuningParams
    executor: ExecutorParams
    parameters_from: ParametersFrom | None
    tracking: TrackingParams
