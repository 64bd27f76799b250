"""Judging an answer: everything is fitted on the training role, and says what its rules say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.prediction.made_up_predictor import PREPROCESS

from datspect.evaluation.doubt import Doubt, doubt_measures
from datspect.imaging.appearance import APPEARANCE
from datspect.params.judging import PredictionParams
from datspect.prediction.files import PredictorParts
from datspect.prediction.judging import (
    MARGIN,
    RANGED,
    WITHHOLDING,
    TrainingRole,
    fit_parts,
    image_mean,
    judge_doubt,
    judged,
    out_of_range,
    withheld_for,
)

N, N_FEATURES = 300, 12
RULES = PredictionParams(coverage=0.9, ratio_c=1.0, typical_share=0.98, withheld_share=0.01, typical_directions=4)


def training_role(rng: np.random.Generator) -> TrainingRole:
    labels = np.arange(N) % 3 > 0
    logits = 2.0 * (2 * labels - 1) + rng.normal(size=N) * 2
    ratios = rng.normal(size=(N, 2)) - 2 * labels[:, None]
    features = rng.random((N, N_FEATURES)) + 1
    measures = pd.DataFrame({name: np.arange(N, dtype=float) for name in (*RANGED, *APPEARANCE)})
    return TrainingRole(labels.astype(np.int64), np.arange(N) % 10 + 1, logits, ratios, features, measures)


def fitted(role: TrainingRole) -> PredictorParts:
    return fit_parts(role, judge_doubt(role, RULES), "phantom", PREPROCESS, RULES)


@pytest.fixture
def role(rng: np.random.Generator) -> TrainingRole:
    return training_role(rng)


def test_the_rule_leaves_the_share_asked_for_of_the_training_role_conclusive(role: TrainingRole) -> None:
    parts = fitted(role)
    assert parts.measures["coverage"] == pytest.approx(0.9, abs=0.005)
    assert parts.measures["conclusive_accuracy"] > parts.measures["accuracy"]
    assert parts.n_train == N


def test_the_class_follows_the_calibrated_probability(role: TrainingRole, rng: np.random.Generator) -> None:
    parts = fitted(role)
    logits = rng.normal(size=50) * 4
    found = judged(parts, logits, rng.normal(size=(50, 2)), rng.random((50, N_FEATURES)) + 1)
    np.testing.assert_array_equal(found.predictions, found.probabilities >= 0.5)
    np.testing.assert_allclose(found.probabilities, parts.calibration.probabilities(logits))


def test_the_coverage_stated_is_that_of_the_rule_applied(role: TrainingRole) -> None:
    doubt = judge_doubt(role, RULES)
    parts = fit_parts(role, doubt, "phantom", PREPROCESS, RULES)
    assert parts.doubt.weights == doubt.doubt.weights
    assert parts.doubt.limit >= doubt.doubt.limit  # what is unknown is part of the share that is set aside
    found = judged(parts, role.dev_logits, role.ratios, role.features)
    # The rule was fitted on these subjects, and is a little surer of them.
    assert (~found.inconclusive).mean() == pytest.approx(parts.measures["coverage"], abs=0.03)
    measures = doubt_measures(role.labels, found.probabilities, found.inconclusive)
    assert measures["errors_found"] >= parts.measures["errors_found"] - 0.1


def test_ratios_that_contradict_a_sure_answer_make_it_inconclusive(role: TrainingRole) -> None:
    parts = replace(fitted(role), doubt=Doubt((-0.2, -1.0), 0.0, limit=0.5))
    sure, features = np.array([12.0, 12.0]), np.full((2, N_FEATURES), 1.5)
    found = judged(parts, sure, np.array([[-3.0, -3.0], [3.0, 3.0]]), features)
    np.testing.assert_array_equal(found.predictions, [1, 1])
    np.testing.assert_array_equal(found.inconclusive, [False, True])
    assert found.ratio_probabilities[0] > 0.5 > found.ratio_probabilities[1]
    np.testing.assert_array_equal(found.inconclusive, found.error_risks > 0.5)


def test_where_ratios_tell_nothing_an_answer_near_to_the_other_class_is_inconclusive(
    role: TrainingRole, rng: np.random.Generator
) -> None:
    parts = fitted(replace(role, ratios=np.zeros((N, 2))))
    assert parts.doubt.looks_at == ("margin",)
    logits = rng.normal(size=50) * 4
    found = judged(parts, logits, np.zeros((50, 2)), rng.random((50, N_FEATURES)) + 1)
    distance = np.abs(found.probabilities - 0.5)
    assert found.inconclusive.any()
    assert distance[found.inconclusive].max() < distance[~found.inconclusive].min()


def test_members_that_differ_more_than_is_usual_make_a_scan_unusual(
    role: TrainingRole, rng: np.random.Generator
) -> None:
    spread = rng.random(N)
    parts = fitted(replace(role, spread=spread))
    # The share that counts as typical is not above the limit.
    assert parts.spread_limit == np.sort(spread)[int(np.ceil(0.98 * (N - 1)))]
    seen = np.array([parts.spread_limit - 1e-3, parts.spread_limit + 1e-3])
    found = judged(parts, np.array([2.0, 2.0]), np.zeros((2, 2)), np.full((2, N_FEATURES), 1.5), spread=seen)
    assert found.agreeing.tolist() == [True, False]
    single = judged(fitted(role), np.array([2.0]), np.zeros((1, 2)), np.full((1, N_FEATURES), 1.5))
    assert single.agreeing.tolist() == [True]


def test_ranges_hold_the_middle_of_the_training_role_and_name_what_is_beyond(role: TrainingRole) -> None:
    parts = fitted(role)
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
    parts = fitted(role)
    alike = rng.random((500, N_FEATURES)) + 1
    assert judged(parts, np.zeros(500), np.zeros((500, 2)), alike).typical.mean() > 0.95
    assert not judged(parts, np.zeros(500), np.zeros((500, 2)), alike + 3).typical.any()


def test_an_answer_to_untypical_features_is_never_firm(role: TrainingRole, rng: np.random.Generator) -> None:
    parts = fitted(role)
    far = judged(parts, np.full(50, 30.0), np.full((50, 2), -30.0), rng.random((50, N_FEATURES)) + 4)
    assert far.error_risks.max() < 0.01  # the network is sure, and the ratios agree
    assert far.inconclusive.all()


def test_each_reason_is_said_once_and_in_words(role: TrainingRole) -> None:
    parts = fitted(role)
    inside = dict.fromkeys(WITHHOLDING["paper"], N / 2) | {"feature_distance": 1.0, "air": 0.0}
    assert withheld_for(parts.withholding, inside) == ()
    found = withheld_for(parts.withholding, inside | {"grain": 9.0 * N, "peak_slice": -9.0 * N})
    assert found == ("upside down, out of its place or another organ", "noisier than training scans")
    for name in WITHHOLDING["paper"]:
        for value in (-99.0 * N, 99.0 * N):
            one_sided = name in ("feature_distance", "air") and value < 0
            assert len(withheld_for(parts.withholding, inside | {name: value})) == (0 if one_sided else 1)


def test_the_least_margin_of_a_registration_is_learnt_from_scans_that_were_registered(role: TrainingRole) -> None:
    assert MARGIN not in fitted(role).withholding.ranges
    margins = np.linspace(0.3, 1.0, N)
    found = fitted(replace(role, measures=role.measures.assign(**{MARGIN: margins}))).withholding
    assert found.at_most <= 0.01  # both together
    low, high = found.ranges[MARGIN]
    assert high is None
    assert low is not None
    assert (margins < low).mean() <= 0.005
    assert low not in margins  # no subject's own
    inside = dict.fromkeys(WITHHOLDING["paper"], N / 2) | {"feature_distance": 1.0, "air": 0.0}
    assert withheld_for(found, inside | {MARGIN: low - 0.01}) == (
        "registered with less confidence than training scans",
    )
    for placed_by_its_header in (inside, inside | {MARGIN: np.nan}, inside | {MARGIN: 5.0}):
        assert withheld_for(found, placed_by_its_header) == ()


def test_few_registered_scans_teach_no_limit(role: TrainingRole) -> None:
    margins = np.full(N, np.nan)
    margins[:50] = 0.5
    assert MARGIN not in fitted(replace(role, measures=role.measures.assign(**{MARGIN: margins}))).withholding.ranges


def test_withheld_subjects_count_as_set_aside_out_of_fold(role: TrainingRole) -> None:
    parts = fitted(role)
    odd = role.measures.copy()
    odd.loc[: N // 5, "grain"] = np.linspace(1e6, 2e6, N // 5 + 1)  # a fifth: more than a hundredth is never withheld
    assert parts.withholding.at_most == pytest.approx(0.01, abs=1 / N)
    assert fitted(replace(role, measures=odd)).measures["coverage"] == pytest.approx(0.9, abs=0.005)


def test_the_intensity_of_an_image_is_its_mean() -> None:
    assert image_mean(np.array([[[0.0, 0.5, 1.0]]], np.float32)) == 0.5


def test_at_another_prevalence_odds_class_and_ratios_are_shifted_and_the_likelihood_ratio_stays(
    role: TrainingRole, rng: np.random.Generator
) -> None:
    parts = fitted(role)
    assert parts.prevalence == pytest.approx(2 / 3, abs=0.01)
    logits, features, ratios = rng.normal(size=40) * 4, rng.random((40, N_FEATURES)) * 3, rng.normal(size=(40, 2))
    usual, rare = (judged(parts, logits, ratios, features, prevalence) for prevalence in (None, 0.1))
    odds = [found.probabilities / (1 - found.probabilities) for found in (usual, rare)]
    np.testing.assert_allclose(odds[0], usual.likelihood_ratios * parts.prevalence / (1 - parts.prevalence))
    np.testing.assert_allclose(odds[1], usual.likelihood_ratios / 9)
    np.testing.assert_array_equal(usual.likelihood_ratios, rare.likelihood_ratios)
    np.testing.assert_array_equal(rare.predictions, rare.probabilities >= 0.5)
    assert (rare.predictions < usual.predictions).any()
    of_ratios = [found.ratio_probabilities / (1 - found.ratio_probabilities) for found in (usual, rare)]
    np.testing.assert_allclose(of_ratios[1] / of_ratios[0], odds[1] / odds[0])
    same = judged(parts, logits, ratios, features, parts.prevalence)
    np.testing.assert_array_equal(same.probabilities, usual.probabilities)
