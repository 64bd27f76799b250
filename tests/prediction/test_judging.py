"""Judging an answer: everything is fitted on the training role, and says what its rules say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.calibration import Band, log_odds
from datspect.modeling.heads import HeadWeights
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.prediction.judging import RANGED, TrainingRole, fit_parts, image_mean, judged, out_of_range

N, N_FEATURES = 300, 12
PREPROCESS = PreprocessParams(
    slices=[40, 41, 42], intensity="image_max", input_size="native", z_offset_voxels=3.0, on_bad_scan="stop"
)
RULES = PredictionParams(coverage=0.9, min_agreement=0.8, typical_share=0.98, typical_directions=4)


def head(weight: float) -> HeadWeights:
    """Log odds are `weight` times the first feature, for values above 0."""
    kernel = np.zeros((N_FEATURES, 1), np.float32)
    kernel[0] = 1
    return HeadWeights(kernel, np.zeros(1, np.float32), np.array([weight], np.float32), -2.0 * weight)


def training_role(rng: np.random.Generator) -> TrainingRole:
    labels = np.arange(N) % 3 > 0
    logits = 2.0 * (2 * labels - 1) + rng.normal(size=N) * 2
    features = rng.random((N, N_FEATURES)) + 1
    measures = pd.DataFrame({name: np.arange(N, dtype=float) for name in RANGED})
    return TrainingRole(labels.astype(np.int64), np.arange(N) % 10 + 1, logits, features, measures)


@pytest.fixture
def role(rng: np.random.Generator) -> TrainingRole:
    return training_role(rng)


def test_the_band_leaves_the_share_asked_for_of_the_training_role(role: TrainingRole) -> None:
    parts = fit_parts(role, [head(1)], "phantom", PREPROCESS, RULES)
    assert parts.measures["coverage"] == pytest.approx(0.9, abs=0.005)
    assert parts.measures["conclusive_accuracy"] > parts.measures["accuracy"]
    assert parts.n_train == N


def test_the_class_follows_the_calibrated_probability(role: TrainingRole, rng: np.random.Generator) -> None:
    parts = fit_parts(role, [head(1)], "phantom", PREPROCESS, RULES)
    logits = rng.normal(size=50) * 4
    found = judged(parts, logits, rng.random((50, N_FEATURES)) + 1)
    np.testing.assert_array_equal(found.predictions, found.probabilities >= 0.5)
    np.testing.assert_allclose(found.probabilities, parts.calibration.probabilities(logits))


def test_heads_that_disagree_make_an_answer_inconclusive(role: TrainingRole) -> None:
    parts = fit_parts(role, [head(9)] * 7 + [head(-9)] * 3, "phantom", PREPROCESS, RULES)
    sure, features = np.array([20.0, -20.0]), np.full((2, N_FEATURES), 1.5)
    features[:, 0] = (4.0, 0.0)
    divided = judged(parts, sure, features)
    np.testing.assert_allclose(divided.agreement, [0.7, 0.7])
    assert divided.inconclusive.all()
    united = judged(replace(parts, heads=[head(9)] * 10), sure, features)
    np.testing.assert_allclose(united.agreement, [1, 1])
    assert not united.inconclusive.any()


def test_what_lies_within_the_band_is_inconclusive_however_the_heads_agree(role: TrainingRole) -> None:
    parts = replace(fit_parts(role, [head(9)], "phantom", PREPROCESS, RULES), band=Band(0.3))
    features = np.full((2, N_FEATURES), 4.0)
    probabilities = np.array([0.75, 0.85])
    logits = (log_odds(probabilities) - parts.calibration.intercept) / parts.calibration.slope
    np.testing.assert_array_equal(judged(parts, logits, features).inconclusive, [True, False])


def test_ranges_hold_the_middle_of_the_training_role_and_name_what_is_beyond(role: TrainingRole) -> None:
    parts = fit_parts(role, [head(1)], "phantom", PREPROCESS, RULES)
    low, high = parts.ranges["peak_slice"]
    assert 0 < low < 4
    assert N - 5 < high < N - 1
    inside = dict.fromkeys(RANGED, (low + high) / 2)
    assert out_of_range(parts.ranges, inside) == []
    assert out_of_range(parts.ranges, inside | {"image_mean": high + 1, "peak_slice": low - 1}) == [
        "peak_slice",
        "image_mean",
    ]


def test_subjects_like_those_learnt_from_are_typical_and_strangers_are_not(
    role: TrainingRole, rng: np.random.Generator
) -> None:
    parts = fit_parts(role, [head(1)], "phantom", PREPROCESS, RULES)
    alike = rng.random((500, N_FEATURES)) + 1
    assert judged(parts, np.zeros(500), alike).typical.mean() > 0.95
    assert not judged(parts, np.zeros(500), alike + 3).typical.any()


def test_the_intensity_of_an_image_is_its_mean() -> None:
    assert image_mean(np.array([[[0.0, 0.5, 1.0]]], np.float32)) == 0.5


def test_without_development_heads_the_band_alone_decides(role: TrainingRole, rng: np.random.Generator) -> None:
    parts = fit_parts(role, [], "phantom", PREPROCESS, RULES)
    found = judged(parts, rng.normal(size=50) * 4, rng.random((50, N_FEATURES)) + 1)
    assert np.isnan(found.agreement).all()
    np.testing.assert_array_equal(found.inconclusive, parts.band.holds(found.probabilities))
    assert found.inconclusive.any()
    assert not found.inconclusive.all()


def test_at_another_prevalence_odds_class_and_band_are_shifted_and_the_likelihood_ratio_stays(
    role: TrainingRole, rng: np.random.Generator
) -> None:
    parts = replace(fit_parts(role, [head(1)], "phantom", PREPROCESS, RULES), band=Band(0.2))
    assert parts.prevalence == pytest.approx(2 / 3, abs=0.01)
    logits, features = rng.normal(size=40) * 4, rng.random((40, N_FEATURES)) * 3
    usual, rare = (judged(parts, logits, features, prevalence) for prevalence in (None, 0.1))
    odds = [found.probabilities / (1 - found.probabilities) for found in (usual, rare)]
    np.testing.assert_allclose(odds[0], usual.likelihood_ratios * parts.prevalence / (1 - parts.prevalence))
    np.testing.assert_allclose(odds[1], usual.likelihood_ratios / 9)
    np.testing.assert_array_equal(usual.likelihood_ratios, rare.likelihood_ratios)
    np.testing.assert_array_equal(rare.predictions, rare.probabilities >= 0.5)
    assert (rare.predictions < usual.predictions).any()
    near = np.abs(rare.probabilities - 0.5) < 0.2
    np.testing.assert_array_equal(rare.inconclusive, near | (rare.agreement < RULES.min_agreement))
    same = judged(parts, logits, features, parts.prevalence)
    np.testing.assert_array_equal(same.probabilities, usual.probabilities)


def test_heads_are_asked_at_the_same_prevalence_as_the_model(role: TrainingRole) -> None:
    parts = fit_parts(role, [head(1)] * 4, "phantom", PREPROCESS, RULES)
    features = np.full((1, N_FEATURES), 1.5)
    features[:, 0] = 4.0
    alike = np.array([2.0])  # what every head says: 4 - 2
    for prevalence in (0.01, 0.3, 0.99):
        assert judged(parts, alike, features, prevalence).agreement == [1.0]
