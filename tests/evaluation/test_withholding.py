"""Limits that withhold no more than the share asked for, and that no single subject sets."""

import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.withholding import Withholding, fit_withholding


def cohort(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Measures of several kinds: even, skewed, whole numbers, and one whose tail is long."""
    return pd.DataFrame(
        {
            "even": rng.normal(5, 1, n),
            "skewed": rng.lognormal(0, 0.5, n),
            "whole": 41 + rng.binomial(2, 0.2, n) - rng.binomial(2, 0.2, n),
            "long": rng.standard_t(3, n),
        }
    )


def is_withheld(limits: Withholding, measures: pd.DataFrame) -> np.ndarray:
    return np.array([bool(limits.beyond(row)) for row in measures.to_dict("records")])  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "tail"), [(0.01, 0.99), (0.01, 0.998), (0.05, 0.99)])
def test_of_new_subjects_of_the_cohort_no_more_than_the_share_is_withheld(
    rng: np.random.Generator, share: float, tail: float
) -> None:
    found = [
        is_withheld(fit_withholding(cohort(rng, 500), share, tail=tail), cohort(rng, 500)).mean() for _ in range(12)
    ]  # the expectation over cohorts is what split conformal prediction bounds
    assert np.mean(found) == pytest.approx(share, abs=0.4 * share)


def test_the_chance_stated_is_that_of_the_rank() -> None:
    measures = pd.DataFrame({"even": np.arange(99.0)})
    assert fit_withholding(measures, 0.05, tail=0.99).at_most == pytest.approx(0.05)
    assert fit_withholding(measures, 0.001, tail=0.99).at_most == pytest.approx(0.01)  # 99 subjects cannot show less


def test_what_lies_far_outside_is_beyond_on_its_side() -> None:
    limits = fit_withholding(
        pd.DataFrame({"even": np.linspace(-1, 1, 200), "size": np.linspace(0, 1, 200)}), 0.01, tail=0.99
    )
    assert limits.beyond({"even": 3.0, "size": 0.5}) == (("even", True),)
    assert limits.beyond({"even": -3.0, "size": 0.5}) == (("even", False),)
    assert limits.beyond({"even": 0.0, "size": 0.5}) == ()
    assert limits.beyond({"even": np.nan, "size": np.inf}) == (("even", True), ("size", True))


def test_a_one_sided_measure_may_be_as_small_as_it_likes() -> None:
    limits = fit_withholding(
        pd.DataFrame({"air": np.linspace(1, 2, 200)}), 0.01, tail=0.99, one_sided=frozenset({"air"})
    )
    assert limits.ranges["air"][0] is None
    assert limits.beyond({"air": -100.0}) == ()
    assert limits.beyond({"air": 3.0}) == (("air", True),)


def test_a_measure_that_is_the_same_in_everybody_withholds_nobody() -> None:
    limits = fit_withholding(pd.DataFrame({"same": np.full(50, 41.0), "even": np.arange(50.0)}), 0.05, tail=0.99)
    assert limits.ranges["same"] == (None, None)
    assert limits.beyond({"same": 7.0, "even": 25.0}) == ()


def test_a_side_without_reach_has_that_of_the_other() -> None:
    limits = fit_withholding(pd.DataFrame({"slice": [41.0] * 80 + [40.0] * 20}), 0.05, tail=0.99)
    low, high = limits.ranges["slice"]
    assert low is not None
    assert high is not None
    assert high - 41 == pytest.approx(41 - low)


def test_no_limit_is_the_value_of_a_subject(rng: np.random.Generator) -> None:
    measures = cohort(rng, 300)[["even", "skewed", "long"]]
    limits = fit_withholding(measures, 0.01, tail=0.99)
    ends = {end for each in limits.ranges.values() for end in each}
    own = set(measures.to_numpy().ravel().tolist())
    assert not ends & own


def test_an_even_measure_reaches_as_far_on_either_side() -> None:
    skewed = pd.DataFrame({"slice": [*[41.0] * 90, *[45.0] * 10], "even": np.linspace(-1, 1, 100)})
    low, high = fit_withholding(skewed, 0.05, tail=0.99, even=frozenset({"slice"})).ranges["slice"]
    assert low is not None
    assert high is not None
    assert high - 41 == pytest.approx(41 - low)
