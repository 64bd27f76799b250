"""Intervals agree with published examples, formulas and scipy, and cover as often as they must."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import bootstrap, multinomial, norm

from datspect.evaluation.intervals import (
    BOOTSTRAP_SEED,
    N_RESAMPLES,
    delong_difference,
    delong_interval,
    paired_proportions_interval,
    percentile_interval,
    resampled_counts,
    wilson_interval,
)

OVARIAN = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0   2.5 5.7  8 0   1.6 5.6  5 1
3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1   4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0
2.3 4.4  6 1   4.2 7.6  4 0   4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1   3.3 6.8  6 0   1.7 4.0  7 0
3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1   2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1
3.3 5.7  6 1   3.7 6.9  5 1   3.6 6.6  5 1
"""
"""Albumin, total protein, K-G score and outcome of 43 patients with ovarian cancer: data of DeLong et al. 1988, from
the SAS/STAT User's Guide, "The LOGISTIC Procedure", example "Comparing Receiver Operating Characteristic Curves"."""


@pytest.fixture
def ovarian() -> NDArray[np.float64]:
    """Return columns albumin, total protein, K-G score turned so that high is good; the outcome is the last."""
    return np.array(OVARIAN.split(), float).reshape(-1, 4) * [1, 1, -1, 1]


@settings(deadline=None)
@given(st.integers(1, 500), st.data())
def test_wilson_solves_its_defining_equation(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(1, trials))
    low, _ = wilson_interval(successes, trials)
    # The lower bound is the p whose z test of the observed share is exactly at the limit.
    z = (successes / trials - low) / np.sqrt(low * (1 - low) / trials)
    assert z == pytest.approx(norm.ppf(0.975), rel=1e-6)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), 857-872, Table I, method 3."""
    assert wilson_interval(successes, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@settings(deadline=None)
@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_share_and_stays_a_proportion(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1


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


@pytest.mark.parametrize(("column", "area", "error"), [(0, 0.7366, 0.0927), (1, 0.6478, 0.1000), (2, 0.7258, 0.1028)])
def test_delong_gives_the_published_areas_and_errors(
    ovarian: NDArray[np.float64], column: int, area: float, error: float
) -> None:
    low, high = delong_interval(ovarian[:, 3].astype(int), ovarian[:, column])
    assert (low + high) / 2 == pytest.approx(area, abs=5e-5)
    assert (high - low) / 2 / norm.ppf(0.975) == pytest.approx(error, abs=5e-5)


def test_delong_gives_the_published_differences(ovarian: NDArray[np.float64]) -> None:
    (albumin, protein, kg), labels = ovarian[:, :3].T, ovarian[:, 3].astype(int)
    first = delong_difference(labels, albumin, kg)
    assert [first.estimate, first.low, first.high, first.p_value] == pytest.approx(
        [0.0108, -0.1761, 0.1976, 0.9102], abs=5e-5
    )
    second = delong_difference(labels, protein, kg)
    assert [second.estimate, second.p_value] == pytest.approx([-0.0780, 0.4561], abs=5e-5)


def test_delongs_difference_has_the_covariance_over_all_pairs(rng: np.random.Generator) -> None:
    labels = np.repeat([1, 0], [25, 35])
    shared = rng.normal(size=60) + labels
    scores = [np.round(shared + rng.normal(size=60), 1) for _ in range(2)]
    pairs = [np.sign(s[:25, None] - s[None, 25:]) / 2 + 0.5 for s in scores]
    covariance = np.cov([p.mean(axis=1) for p in pairs]) / 25 + np.cov([p.mean(axis=0) for p in pairs]) / 35
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    estimate = pairs[0].mean() - pairs[1].mean()
    difference = delong_difference(labels, *scores)
    assert difference.estimate == pytest.approx(estimate)
    assert (difference.low, difference.high) == pytest.approx(
        (estimate - 1.959964 * error, estimate + 1.959964 * error)
    )
    assert difference.p_value == pytest.approx(2 * norm.sf(abs(estimate) / error))


def test_delong_covers_the_true_area_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    true_area = norm.cdf(1 / np.sqrt(2))  # normal scores one sd apart
    labels = np.repeat([1, 0], [60, 60])
    covered = 0
    for _ in range(400):
        low, high = delong_interval(labels, rng.normal(size=120) + labels)
        covered += low <= true_area <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_delong_covers_the_true_difference_and_keeps_its_level() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([1, 0], [60, 60])
    true = norm.cdf(1.5 / np.sqrt(2)) - norm.cdf(0.8 / np.sqrt(2))
    covered = rejected = 0
    for _ in range(400):
        # Three normal scores that share half their variance within each class.
        shared = rng.normal(size=120)
        noise = [(shared + rng.normal(size=120)) / np.sqrt(2) for _ in range(3)]
        unequal = delong_difference(labels, noise[0] + 1.5 * labels, noise[1] + 0.8 * labels)
        covered += unequal.low <= true <= unequal.high
        rejected += delong_difference(labels, noise[0] + 0.8 * labels, noise[2] + 0.8 * labels).p_value < 0.05
    assert 0.92 <= covered / 400 <= 0.98
    assert 0.02 <= rejected / 400 <= 0.08


def test_the_same_ranks_differ_by_exactly_nothing(rng: np.random.Generator) -> None:
    labels = np.repeat([1, 0], [9, 14])
    scores = rng.normal(size=23)
    same = delong_difference(labels, scores, np.exp(scores))
    assert (same.estimate, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_a_difference_without_any_spread_is_sure() -> None:
    labels = np.array([1, 1, 0, 0])
    sure = delong_difference(labels, np.array([4.0, 3.0, 2.0, 1.0]), np.zeros(4))
    assert (sure.estimate, sure.low, sure.high, sure.p_value) == (0.5, 0.5, 0.5, 0.0)


def test_too_few_of_a_class_say_nothing_of_the_area() -> None:
    labels, scores = np.array([1, 0, 0]), np.array([0.9, 0.2, 0.1])
    assert delong_interval(labels, scores) == (0.0, 1.0)
    difference = delong_difference(labels, scores, -scores)
    assert (difference.estimate, difference.low, difference.high, difference.p_value) == (1.0, -1.0, 1.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=4, max_size=4).filter(any))
def test_paired_proportions_are_walds_interval_of_half_a_subject_more_in_each_cell(cells: list[int]) -> None:
    both, first, second, neither = np.array(cells) + 0.5
    n = both + first + second + neither
    p1, p2 = (both + first) / n, (both + second) / n
    covariance = (both * neither - first * second) / n**2
    error = np.sqrt((p1 * (1 - p1) + p2 * (1 - p2) - 2 * covariance) / n)
    low, high = paired_proportions_interval(cells[1], cells[2], sum(cells))
    assert low == pytest.approx(max(-1, p1 - p2 - 1.959964 * error), abs=1e-6)
    assert high == pytest.approx(min(1, p1 - p2 + 1.959964 * error), abs=1e-6)


@pytest.mark.parametrize("shares", [(0.1, 0.05), (0.2, 0.2), (0.05, 0.01), (0.3, 0.05)])
def test_paired_proportions_cover_the_true_difference(shares: tuple[float, float]) -> None:
    """The exact coverage at n = 40, summed over all tables; Agresti and Min report it near or above the nominal."""
    n, covered = 40, 0.0
    for first, second in product(range(n + 1), repeat=2):
        if first + second <= n:
            low, high = paired_proportions_interval(first, second, n)
            if low <= shares[0] - shares[1] <= high:
                covered += multinomial.pmf([first, second, n - first - second], n, [*shares, 1 - sum(shares)])
    assert covered == pytest.approx(0.96, abs=0.03)


def test_resamples_keep_the_size_of_each_class_and_return() -> None:
    labels = np.repeat([1, 0, 1], [20, 10, 13])
    counts = resampled_counts(labels)
    assert counts.shape == (N_RESAMPLES, 43)
    assert set(counts[:, labels == 1].sum(axis=1)) == {33}
    assert set(counts[:, labels == 0].sum(axis=1)) == {10}
    np.testing.assert_array_equal(counts, resampled_counts(labels))
    # A count is binomial: n draws, each of chance 1 / n.
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 / np.sqrt(N_RESAMPLES))
    assert counts[:, labels == 1].var() == pytest.approx(32 / 33, rel=0.03)


def test_percentiles_agree_with_scipys_bootstrap_of_a_mean(rng: np.random.Generator) -> None:
    values = rng.exponential(size=80)
    counts = resampled_counts(np.zeros(80, int))
    ours = percentile_interval(counts @ values / 80)
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=BOOTSTRAP_SEED + 1)
    error = values.std() / np.sqrt(80)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.25 * error)


def test_stratified_percentiles_agree_with_normal_theory(rng: np.random.Generator) -> None:
    labels = np.repeat([1, 0], [300, 100])
    values = rng.normal(size=400) + 10 * labels
    low, high = percentile_interval(resampled_counts(labels) @ values / 400)
    # Only the spread within the classes counts.
    variance = sum((np.mean(labels == k) ** 2) * values[labels == k].var() / np.sum(labels == k) for k in (0, 1))
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.08)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.25 * np.sqrt(variance))
