"""All of params.yaml, with the rules that concern several sections."""

import math
from pathlib import Path, PurePosixPath
from typing import Self

from pydantic import ConfigDict, model_validator

from datspect.params.base import PARAMS_PATH, read_params
from datspect.params.data import (
    PHANTOM_COHORT_PATH,
    CohortParams,
    OtherGroupsParams,
    PhantomParams,
    PreprocessParams,
    SplitParams,
)
from datspect.params.figures import FiguresParams
from datspect.params.fitting import FittingParams
from datspect.params.judging import BaselinesParams, ChecksParams, PredictionParams
from datspect.params.network import SMALLEST_SIDE
from datspect.params.promotion import PromotionParams
from datspect.params.robustness import RobustnessParams
from datspect.params.tuning import TuneParams


class Params(FittingParams):
    """Every section; no other key is allowed."""

    model_config = ConfigDict(extra="forbid")

    cohort: CohortParams
    phantom: PhantomParams
    preprocess: PreprocessParams
    other_groups: OtherGroupsParams
    split: SplitParams
    prediction: PredictionParams
    robustness: RobustnessParams
    baselines: BaselinesParams
    checks: ChecksParams
    figures: FiguresParams
    promotion: PromotionParams
    tune: TuneParams

    @model_validator(mode="after")
    def _image_fits_the_architecture(self) -> Self:
        size, smallest = self.preprocess.input_size, SMALLEST_SIDE[self.backbone.architecture]
        if size != "native" and min(size) < smallest:
            raise ValueError(
                f"preprocess.input_size = {size}: each side at least {smallest}, which backbone.architecture = "
                f"{self.backbone.architecture} needs"
            )
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.finetuning.warmup_epochs >= self.training.last_epoch:
            raise ValueError(
                f"finetuning.warmup_epochs = {self.finetuning.warmup_epochs}: must be below training.epochs "
                f"({self.training.epochs}) and training.stop_after"
            )
        return self

    @model_validator(mode="after")
    def _fine_tuning_has_no_weight_decay(self) -> Self:
        if self.training.weight_decay and self.model == "paper" and not self.backbone.frozen:
            raise ValueError(
                f"training.weight_decay = {self.training.weight_decay:g}: fine-tuning knows none; set it to 0, or "
                "backbone.trainable to none"
            )
        return self

    @model_validator(mode="after")
    def _folds_fit_the_phantom(self) -> Self:
        if PurePosixPath(self.cohort.path) == PurePosixPath(PHANTOM_COHORT_PATH):
            problems = _split_problems(self.split, {"control": self.phantom.n_control, "pd": self.phantom.n_pd})
            if problems:
                raise ValueError("\n  ".join(problems))
        return self


def _split_problems(split: SplitParams, n_of_class: dict[str, int]) -> list[str]:
    """Return what cannot work with that many subjects of each class; stage `split` has the last word."""
    classes = "(phantom.n_pd, phantom.n_control)"
    if split.test_per_class is None:
        # A stratified test set holds at least this many of each class.
        n_test = {label: math.floor(split.test_fraction * n) for label, n in n_of_class.items()}
    else:
        n_test = split.test_per_class.model_dump()
    n_train = {label: n - n_test[label] for label, n in n_of_class.items()}
    smaller_class, smaller_class_in_training = min(n_of_class.values()), min(n_train.values())
    problems = []
    if split.n_folds > smaller_class:
        problems.append(f"split.n_folds = {split.n_folds}: at most {smaller_class}, the smaller class {classes}")
    too_many = [label for label, n in n_train.items() if n < 1]
    problems += [
        f"split.test_per_class.{label} = {n_test[label]}: at most {n_of_class[label] - 1}, so that one subject of "
        f"phantom.n_{label} = {n_of_class[label]} is left to train on"
        for label in too_many
    ]
    if not too_many and split.n_dev_folds > smaller_class_in_training:
        problems.append(
            f"split.n_dev_folds = {split.n_dev_folds}: at most {smaller_class_in_training}, what the test set leaves "
            f"of the smaller class {classes}"
        )
    return problems


def load_params(path: Path = PARAMS_PATH) -> Params:
    """Read all of params.yaml; raises as `read_params` does."""
    return read_params(Params, path)
