"""params.yaml, typed: every key known, every value checked once, before any work starts."""

import math
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datspect.errors import ParamsError
from datspect.sections import ParametersFrom, Schedule, Section, Seed, TuneParams

PARAMS_PATH = Path("params.yaml")
PHANTOM_COHORT_PATH = "data/phantom/cohort"

Architecture = Literal["InceptionV3", "Xception", "MobileNetV2", "ResNet50V2", "InceptionResNetV2"]
SliceIndex = Annotated[int, Field(ge=0, le=90)]
PositiveFactor = Annotated[float, Field(gt=0, le=10)]

SMALLEST_SIDE: dict[Architecture, int] = {
    "InceptionV3": 75,
    "Xception": 71,
    "MobileNetV2": 32,
    "ResNet50V2": 32,
    "InceptionResNetV2": 75,
}
"""Pixels that an image needs either way, from the documentation of keras.applications."""
_SIDES = range(min(SMALLEST_SIDE.values()), 1025)


def _check_input_size(value: object) -> object:
    is_size = isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value)
    if value == "native" or (is_size and all(side in _SIDES for side in cast("list[int]", value))):
        return value
    expected = f"expected native or [height, width], whole pixels from {_SIDES.start} to {_SIDES.stop - 1}"
    raise PydanticCustomError("input_size", expected)


InputSize = Annotated[Literal["native"] | list[int], BeforeValidator(_check_input_size)]


class CohortParams(Section):
    """Which cohort folder is in use."""

    path: str = Field(min_length=1)


class PhantomParams(Section):
    """The simulated cohort."""

    n_pd: int = Field(ge=1)
    n_control: int = Field(ge=1)
    seed: Seed
    n_sites: int = Field(ge=1, le=99)
    z_offset_voxels: float = Field(ge=-10, le=10)
    discordant_control: float = Field(ge=0, le=1)
    discordant_pd: float = Field(ge=0, le=1)
    posterior_ratio_sd: float = Field(ge=0, le=0.5)
    intrinsic_fwhm_mm: float = Field(ge=4, le=20)
    site_fwhm_mm: float = Field(ge=0, le=3)
    filter_fwhm_mm: float = Field(ge=0, le=20)
    counts_millions: float = Field(ge=0.1, le=100)
    site_counts: Annotated[list[PositiveFactor], Field(min_length=2, max_length=2)]
    site_gain: float = Field(ge=0, le=0.5)
    registration_shift_sd_mm: float = Field(ge=0, le=3)
    registration_rotation_sd_degrees: float = Field(ge=0, le=5)
    head_size_sd: float = Field(ge=0, le=0.1)
    nucleus_shift_sd_mm: float = Field(ge=0, le=3)
    nucleus_size_sd: float = Field(ge=0, le=0.2)

    @model_validator(mode="after")
    def _site_counts_rise(self) -> Self:
        lowest, highest = self.site_counts
        if lowest > highest:
            raise ValueError(f"site_counts = {self.site_counts}: the first, the lowest, must not exceed the second")
        return self


class PreprocessParams(Section):
    """From a volume to the image that the network sees."""

    slices: Annotated[list[SliceIndex], Field(min_length=3, max_length=3)]
    intensity: Literal["image_max", "nonspecific_ratio"]
    input_size: InputSize
    z_offset_voxels: float = Field(ge=-10, le=10)
    on_bad_scan: Literal["stop", "exclude"]


class TestPerClass(Section):
    """Exact size of the test set, by class."""

    control: int = Field(ge=1)
    pd: int = Field(ge=1)


class SplitParams(Section):
    """Cross-validation folds, test set and development folds."""

    n_folds: int = Field(ge=2)
    test_fraction: float = Field(gt=0, lt=1)
    test_per_class: TestPerClass | None
    n_dev_folds: int = Field(ge=2)
    seed: Seed


class BackboneParams(Section):
    """The network below the classifier, frozen or fine-tuned."""

    architecture: Architecture
    weights: str | None
    trainable: str = Field(min_length=1, description="none, all, or the layer from which upwards it is trained")
    seed: Seed
    precision: Literal["auto", "float32", "bfloat16"]
    download_seconds: float = Field(gt=0)

    @property
    def frozen(self) -> bool:
        """Whether heads alone are trained, on the bank of features."""
        return self.trainable == "none"


class FinetuningParams(Section):
    """How a network is trained that is not frozen; epochs and learning rates are those of `training`."""

    batch_norm: Literal["frozen", "trained"] = Field(description="its statistics; scale and shift are weights")
    warmup_epochs: int = Field(ge=0, description="first epochs, in which the head alone is trained")
    precision: Literal["auto", "float32", "bfloat16", "float16"]


class ExecutorParams(Section):
    """Where folds and trials run; nothing here changes a result."""

    kind: Literal["local", "dask"]
    workers: int = Field(ge=1, description="of a local executor: so many at a time")
    folds_per_gpu: int = Field(ge=1, description="local workers that share a GPU")
    scheduler: str | None = Field(description="address of Dask's scheduler; the environment goes before it")
    checkpoint_minutes: float = Field(gt=0, description="between two checkpoints within a fold")


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
    """How the learning rate falls from `initial` to `final`."""

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
    batch_size: int = Field(ge=1)
    learning_rate: LearningRateParams
    seed: Seed

    @model_validator(mode="after")
    def _every_level_is_reached(self) -> Self:
        rate = self.learning_rate
        if rate.schedule == "step" and rate.drops >= self.epochs:
            raise ValueError(f"learning_rate.drops = {rate.drops}: must be below training.epochs ({self.epochs})")
        return self


class PredictionParams(Section):
    """How an answer is judged; all limits are fitted on the training role."""

    coverage: float = Field(gt=0, le=1, description="share of the training role that the band leaves conclusive")
    min_agreement: float = Field(ge=0, le=1, description="share of the development heads that must say the same")
    typical_share: float = Field(gt=0.5, lt=1, description="share of the training role that counts as typical")
    typical_directions: int = Field(ge=1, description="directions of the features that vary freely")


class BaselinesParams(Section):
    """Models that need no network of their own; nothing here is tuned on the folds that are reported."""

    logistic_c: float = Field(gt=0, description="inverse strength of the ridge of the logistic regressions")
    svm_c: float = Field(gt=0, description="cost of the linear support vector machine")


class ChecksParams(Section):
    """Limits beyond which the leakage and chance checks stop the graph."""

    permuted_epochs: int = Field(ge=1, description="epochs of the training on permuted labels")
    site_auc: float = Field(ge=0.5, le=1, description="most that the site alone may separate the labels")
    age_sex_auc: float = Field(ge=0.5, le=1, description="most that age and sex alone may separate the labels")
    seed: int = Field(ge=0)


class PromotionParams(Section):
    """What a version must show to become champion; bounds are those of 95 % intervals."""

    min_roc_auc: float = Field(ge=0, le=1, description="on the test set")
    min_sensitivity: float = Field(ge=0, le=1, description="lower bound on the test set")
    min_specificity: float = Field(ge=0, le=1, description="lower bound on the test set")
    max_calibration_error: float = Field(ge=0, le=1, description="on the test set, once calibrated")
    loss_margin: float = Field(ge=0, description="by how much the log loss may be worse than the champion's")
    roc_auc_margin: float = Field(ge=0, le=1, description="by how much the ROC AUC may be worse than the champion's")
    min_common_subjects: int = Field(ge=2, description="subjects to compare on when data or split differ")


class TrackingParams(Section):
    """Where runs are filed in MLflow, and what may leave this machine."""

    experiment: str = Field(min_length=1)
    share_subject_level: bool = Field(description="images and rows of real subjects may go to a remote server")
    log_fold_models: Literal["changed", "all"] = Field(description="what of each fold's network is kept and logged")


class Params(Section):
    """All of params.yaml."""

    cohort: CohortParams
    phantom: PhantomParams
    preprocess: PreprocessParams
    split: SplitParams
    backbone: BackboneParams
    augment: AugmentParams
    classifier: ClassifierParams
    training: TrainingParams
    finetuning: FinetuningParams
    executor: ExecutorParams
    prediction: PredictionParams
    baselines: BaselinesParams
    checks: ChecksParams
    promotion: PromotionParams
    tune: TuneParams
    parameters_from: ParametersFrom | None
    tracking: TrackingParams

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
        if self.finetuning.warmup_epochs >= self.training.epochs:
            raise ValueError(
                f"finetuning.warmup_epochs = {self.finetuning.warmup_epochs}: must be below training.epochs "
                f"({self.training.epochs})"
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
    """What cannot work with that many subjects of each class; the split stage knows the last word."""
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
    """Read and check params.yaml.

    Raises
    ------
    ParamsError : the file is missing or not YAML, or a key is unknown, missing, of a wrong type or impossible;
        the message holds each dotted key, the value and what is allowed.
    """
    try:
        # Pure Python: the parser that DVC uses, so that both read the same values (1e-4 is a number, no is text).
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); run from the repository root") from error
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise ParamsError("\n  ".join([f"{path}: {len(problems)} problem(s)", *problems])) from None


def _explain(problem: ErrorDetails) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    value: Any = problem["input"]
    match problem["type"]:
        case "missing":
            return f"{key}: missing; add it"
        case "extra_forbidden":
            return f"{key} = {value!r}: unknown key; remove it or mend its spelling"
        case "value_error":  # of a section: the message goes on with the key below it
            return f"{key}.{message}" if key else message
        case "model_type" if not key:
            return f"no sections; expected {', '.join(Params.model_fields)}"
        case _:
            return f"{key} = {value!r}: {message[:1].lower()}{message[1:]}"
