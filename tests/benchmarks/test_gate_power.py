"""Made-up versions have the faults that they are given."""

import numpy as np
import pytest
from benchmarks.gate_power import SOUND, Version, alone_outcomes, log_odds, shares
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from datspect.evaluation.recalibration import calibration_measures
from datspect.params.promotion import PromotionParams, RobustnessLimits

LIMITS = PromotionParams(
    min_roc_auc=0.85, min_sensitivity=0.8, min_specificity=0.7, max_recalibration_gain=0.025, loss_margin=0.02,
    roc_auc_margin=0.01, min_common_subjects=100, common_margin_factor=2.0,
    robustness=RobustnessLimits(
        min_roc_auc=0.8, min_accuracy=0.6, excused=[], loss_margin=0.02, accuracy_margin=0.02
    ),
)  # fmt: skip


@pytest.mark.parametrize("version", [SOUND, Version(roc_auc=0.9), Version(factor=2.0, shift=-0.5)])
def test_a_version_has_the_area_and_the_fault_that_were_asked_for(version: Version, rng: np.random.Generator) -> None:
    labels = np.repeat([1, 0], [13_600, 6_400])
    found = log_odds(version, labels, rng.normal(size=len(labels)))
    assert roc_auc_score(labels, found) == pytest.approx(version.roc_auc, abs=0.005)
    slope = calibration_measures(labels, expit(found - version.shift))["calibration_slope"]
    assert slope == pytest.approx(1 / version.factor, rel=0.05)


def test_log_odds_four_times_too_large_passed_the_former_rule_and_do_not_pass_this_one() -> None:
    found = shares(alone_outcomes(Version(factor=4.0), LIMITS), 40)
    assert found["former rule"] > 0.8
    assert found["calibration on the test set"] < 0.2
    assert shares(alone_outcomes(SOUND, LIMITS), 40)["calibration on the test set"] > 0.85
