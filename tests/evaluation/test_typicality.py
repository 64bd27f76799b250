"""The distance is Mahalanobis' where that is known, and strangers differ from the cohort."""

import numpy as np
import pytest

from datspect.evaluation.typicality import Typicality, fit_typicality, held_out_distances

N_FEATURES = 40


def cohort(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return features with three strong directions and a little noise in all."""
    return rng.normal(size=(n, 3)) * [5, 3, 2] @ np.eye(3, N_FEATURES) + rng.normal(size=(n, N_FEATURES)) * 0.1 + 7


def fit(features: np.ndarray, folds: np.ndarray, *, n_directions: int, share: float) -> Typicality:
    held_out = held_out_distances(features, folds, n_directions=n_directions)
    return fit_typicality(features, held_out, n_directions=n_directions, share=share)


def test_the_distance_is_that_of_the_true_gaussian(rng):
    found = fit(cohort(rng, 5000), np.arange(5000) % 5, n_directions=3, share=0.99)
    point = np.full(N_FEATURES, 7.0)
    point[0] += 10
    point[39] += 0.5
    expected = np.sqrt((100 / (25 + 0.01) + 0.25 / 0.01) / N_FEATURES)
    assert found.distances(point[None])[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("share", [0.8, 0.99])
def test_the_share_asked_for_of_new_subjects_is_typical(rng, share):
    found = fit(cohort(rng, 3000), np.arange(3000) % 10, n_directions=8, share=share)
    assert found.is_typical(cohort(rng, 4000)).mean() == pytest.approx(share, abs=0.03)


def test_strangers_are_untypical_in_strong_and_in_weak_directions(rng):
    found = fit(cohort(rng, 300), np.arange(300) % 10, n_directions=3, share=0.99)
    strangers = cohort(rng, 40)
    strangers[:20, 0] += 60
    strangers[20:, 30] += 2
    assert not found.is_typical(strangers).any()


def test_nothing_of_a_single_subject_is_kept(rng):
    found = fit(cohort(rng, 100), np.arange(100) % 10, n_directions=8, share=0.99)
    assert found.directions.shape == (8, N_FEATURES)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(8), atol=1e-10)


def test_constant_features_and_few_subjects_give_finite_distances():
    features = np.zeros((6, N_FEATURES))
    features[:, 0] = np.arange(6)
    found = fit(features, np.arange(6) % 3, n_directions=32, share=0.9)
    assert np.isfinite(found.distances(features)).all()
    assert not found.is_typical(features[:1] + 100).any()


def test_networks_that_know_their_subjects_set_no_limit(rng):
    """Each fold's network draws its training subjects together; the limit comes from the others."""
    n, folds = 400, np.arange(400) % 2 + 1
    features = cohort(rng, n) * 0.1  # the final network was trained on all
    by_fold = {}
    for fold in (1, 2):
        of_network = cohort(rng, n)
        of_network[folds == fold] += rng.normal(size=(n // 2, N_FEATURES)) * 0.5
        by_fold[fold] = of_network
    naive = fit(features, folds, n_directions=3, share=0.99)
    held_out = held_out_distances(features, folds, n_directions=3, features_by_fold=by_fold)
    honest = fit_typicality(features, held_out, n_directions=3, share=0.99)
    np.testing.assert_array_equal(naive.distances(features), honest.distances(features))
    assert honest.limit > 3 * naive.limit
