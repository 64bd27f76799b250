"""Intervals against published formulas and by coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from datspect.evaluation.intervals import delong_interval, wilson_interval


@given(st.integers(1, 500), st.data())
def test_wilson_solves_its_defining_equation(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(1, trials))
    low, _ = wilson_interval(successes, trials)
    # The lower bound is the p whose z test of the observed share is exactly at the limit.
    z = (successes / trials - low) / np.sqrt(low * (1 - low) / trials)
    assert z == pytest.approx(norm.ppf(0.975), rel=1e-6)


def test_delong_equals_the_variance_over_all_pairs(rng: np.random.Generator) -> None:
    labels = np.repeat([1, 0], [30, 20])
    scores = np.round(rng.normal(size=50) + labels, 1)  # with ties
    pairs = np.sign(scores[:30, None] - scores[None, 30:]) / 2 + 0.5
    variance = pairs.mean(axis=1).var(ddof=1) / 30 + pairs.mean(axis=0).var(ddof=1) / 20
    low, high = delong_interval(labels, scores)
    assert (low, high) == (
        pytest.approx(pairs.mean() - 1.959964 * np.sqrt(variance)),
        pytest.approx(min(1, pairs.mean() + 1.959964 * np.sqrt(variance))),
    )


def test_delong_covers_the_true_area_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    true_area = norm.cdf(1 / np.sqrt(2))  # normal scores one sd apart
    labels = np.repeat([1, 0], [60, 60])
    covered = 0
    for _ in range(400):
        low, high = delong_interval(labels, rng.normal(size=120) + labels)
        covered += low <= true_area <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_too_few_of_a_class_say_nothing_of_the_area() -> None:
    assert delong_interval(np.array([1, 0, 0]), np.array([0.9, 0.2, 0.1])) == (0.0, 1.0)
