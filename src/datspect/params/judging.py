"""Sections about what results and answers are worth."""

from pydantic import Field

from datspect.params.base import Section


class PredictionParams(Section):
    """How an answer is judged; all limits are fitted on the training role."""

    coverage: float = Field(gt=0, le=1, description="share of the training role, out of fold, that is left conclusive")
    ratio_c: float = Field(gt=0, description="inverse strength of the ridge of the regression on binding ratios")
    typical_share: float = Field(gt=0.5, lt=1, description="share of the training role that counts as typical")
    withheld_share: float = Field(gt=0, lt=0.5, description="share of scans like the training role's that is withheld")
    typical_directions: int = Field(ge=1, description="directions of the features that vary freely")


class BaselinesParams(Section):
    """Models that need no network of their own; nothing here is tuned on the folds that are reported."""

    logistic_c: float = Field(gt=0, description="inverse strength of the ridge of the logistic regressions")
    svm_c: float = Field(gt=0, description="cost of the linear support vector machine")


class ChecksParams(Section):
    """Limits beyond which the leakage and chance checks stop the graph."""

    permuted_epochs: int = Field(ge=1, description="epochs of the training on permuted labels")
    site_auc: float = Field(ge=0.5, le=1, description="most that the site alone may separate the labels")
    camera_auc: float = Field(ge=0.5, le=1, description="most that the camera alone may separate the labels")
    age_sex_auc: float = Field(ge=0.5, le=1, description="most that age and sex alone may separate the labels")
    seed: int = Field(ge=0)
