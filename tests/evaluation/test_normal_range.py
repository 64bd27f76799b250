"""Ranges of controls hold 95 of 100 new controls, follow age and sex, and say against whom a scan is held."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from datspect.evaluation.normal_range import LEAST_CONTROLS, Controls, Person, fit_controls

MEASURES = ("sbr_putamen_left", "sbr_putamen_right")
N_REPEATS = 400


def drawn(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Controls who lose 6 % of their binding in ten years, of whom women have 8 % more; scatter 0.2."""
    people = pd.DataFrame({"age": rng.uniform(35, 80, n), "sex": rng.permuted(np.resize(["male", "female"], n))})
    expected = 1.0 - 0.06 * (people["age"] - 60) / 10 + 0.08 * (people["sex"] == "female")
    logs = expected.to_numpy()[:, None] + rng.normal(0, 0.2, (n, 2))
    return pd.DataFrame(np.exp(logs), columns=list(MEASURES)), people


def fitted(rng: np.random.Generator, n: int) -> Controls:
    controls = fit_controls(*drawn(rng, n), MEASURES)
    assert controls is not None
    return controls


def person(people: pd.DataFrame, row: int = 0) -> Person:
    return Person(float(people["age"][row]), people["sex"][row])


@pytest.mark.parametrize("n", [12, 168])
@pytest.mark.parametrize("is_known", [True, False])
def test_95_of_100_new_controls_are_within_the_range(rng: np.random.Generator, n: int, is_known: bool) -> None:
    """The share of them lies within 4 sd of the binomial, the two ratios counted apart."""
    within = []
    for _ in range(N_REPEATS):
        controls = fitted(rng, n)
        ratios, people = drawn(rng, 1)
        found = controls.against(dict(ratios.loc[0]), person(people) if is_known else Person())
        within.append([found.ratios[name].low <= ratios.loc[0, name] <= found.ratios[name].high for name in MEASURES])
    tolerance = 4 * np.sqrt(0.95 * 0.05 / N_REPEATS)
    # Over all ages and both sexes the ratios are not quite log-normal.
    np.testing.assert_allclose(np.mean(within, axis=0), 0.95, atol=tolerance + (0 if is_known else 0.005))


def test_z_is_out_of_1_96_just_if_the_ratio_is_out_of_the_range(rng: np.random.Generator) -> None:
    controls = fitted(rng, 30)
    at = Person(50, "male")
    limits = controls.against(dict.fromkeys(MEASURES, 2.0), at).ratios
    edges = {name: each.low for name, each in limits.items()}
    assert [each.z for each in controls.against(edges, at).ratios.values()] == pytest.approx([-norm.isf(0.025)] * 2)
    edges = {name: each.high for name, each in limits.items()}
    assert [each.z for each in controls.against(edges, at).ratios.values()] == pytest.approx([norm.isf(0.025)] * 2)


def test_what_is_expected_follows_age_and_sex(rng: np.random.Generator) -> None:
    controls = fitted(rng, 4000)

    def middle(at: Person) -> float:
        found = controls.against(dict.fromkeys(MEASURES, 2.0), at).ratios[MEASURES[0]]
        return float(np.log(found.low * found.high) / 2)

    assert middle(Person(70, "male")) - middle(Person(60, "male")) == pytest.approx(-0.06, abs=0.015)
    assert middle(Person(60, "female")) - middle(Person(60, "male")) == pytest.approx(0.08, abs=0.025)
    found = controls.against(dict.fromkeys(MEASURES, 2.0), Person(60, "male")).ratios[MEASURES[0]]
    assert np.log(found.high / found.low) / 2 == pytest.approx(1.96 * 0.2, rel=0.05)


def test_without_age_and_sex_it_is_the_prediction_interval_of_a_sample() -> None:
    values = np.exp(np.linspace(0, 1, 11))
    ratios = pd.DataFrame(dict.fromkeys(MEASURES, values))
    people = pd.DataFrame({"age": np.nan, "sex": "unknown"}, index=range(11))
    controls = fit_controls(ratios, people, MEASURES)
    assert controls is not None
    found = controls.against(dict.fromkeys(MEASURES, 1.0), Person(60, "male"))
    sd = np.linspace(0, 1, 11).std(ddof=1)
    assert np.log(found.ratios[MEASURES[0]].high) == pytest.approx(0.5 + t.isf(0.025, 10) * sd * np.sqrt(1 + 1 / 11))
    assert found.whom == "all 11 controls, whatever age and sex: too few of both sexes to tell"


def test_it_says_against_whom(rng: np.random.Generator) -> None:
    controls, ratios = fitted(rng, 30), dict.fromkeys(MEASURES, 2.0)
    assert controls.against(ratios, Person(60, "female")).whom == "30 controls, for age 60 and female sex"
    assert controls.against(ratios, Person(age=60)).whom == "all 30 controls: sex of this person unknown"
    assert controls.against(ratios, Person()).whom == "all 30 controls: age and sex of this person unknown"
    assert controls.against(ratios, Person(20, "male")).whom.endswith(": extrapolated")


def test_controls_of_unknown_age_count_among_all_alone(rng: np.random.Generator) -> None:
    ratios, people = drawn(rng, 40)
    people.loc[:4, "age"] = np.nan
    controls = fit_controls(ratios, people, MEASURES)
    assert controls is not None
    assert controls.by_age_sex is not None
    assert (controls.everyone.n, controls.by_age_sex.n) == (40, 35)


def test_of_one_sex_or_of_too_few_nothing_is_said_by_age_and_sex(rng: np.random.Generator) -> None:
    ratios, people = drawn(rng, 40)
    men = fit_controls(ratios, people.assign(sex="male"), MEASURES)
    assert men is not None
    assert men.by_age_sex is None
    few = LEAST_CONTROLS - 1
    assert fit_controls(ratios[:few], people[:few], MEASURES) is None


def test_a_ratio_of_nothing_is_far_out_and_finite(rng: np.random.Generator) -> None:
    found = fitted(rng, 168).against({MEASURES[0]: -0.3, MEASURES[1]: 2.7}, Person(60, "male"))
    z = [each.z for each in found.ratios.values()]
    assert np.isfinite(z).all()
    assert z[0] < -8
    assert abs(z[1]) < 2


@pytest.mark.parametrize("n", [30, 4])
def test_what_is_recorded_comes_back(rng: np.random.Generator, n: int) -> None:
    ratios, people = drawn(rng, 30)
    people.loc[n:, "sex"] = "unknown"
    controls = fit_controls(ratios, people, MEASURES)
    assert controls is not None
    back, at = Controls.of(controls.record), Person(60, "male")
    assert back.against(dict(ratios.loc[0]), at) == controls.against(dict(ratios.loc[0]), at)
