"""The section about promotion, which no stage reads."""

from pydantic import Field

from datspect.params.base import Section


class RobustnessLimits(Section):
    """What a version must show on the robustness panel; bounds are those of 95 % intervals."""

    min_roc_auc: float = Field(ge=0, le=1, description="lower bound, in every row that is not excused")
    min_accuracy: float = Field(ge=0, le=1, description="lower bound, in every row that is not excused")
    excused: list[str] = Field(description="names of rows that no floor is asked of")
    loss_margin: float = Field(ge=0, description="by how much a row's log loss may be shown to be worse")
    accuracy_margin: float = Field(ge=0, le=1, description="by how much a row's accuracy may be shown to be worse")


class PromotionParams(Section):
    """What a version must show to become champion; bounds are those of 95 % intervals."""

    min_roc_auc: float = Field(ge=0, le=1, description="lower bound on the test set")
    min_sensitivity: float = Field(ge=0, le=1, description="lower bound on the test set")
    min_specificity: float = Field(ge=0, le=1, description="lower bound on the test set")
    max_recalibration_gain: float = Field(ge=0, description="log loss that recalibration on the test set may save")
    loss_margin: float = Field(ge=0, description="by how much the log loss may be worse than the champion's")
    roc_auc_margin: float = Field(ge=0, le=1, description="by how much the ROC AUC may be worse than the champion's")
    min_common_subjects: int = Field(ge=2, description="subjects to compare on when data or split differ")
    common_margin_factor: float = Field(ge=1, description="times the margins on these, since they are fewer")
    robustness: RobustnessLimits
