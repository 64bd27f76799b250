import numpy as np
import pandas as pd
import pytest

from datspect.phantom.binding import (
    ANTERIOR_SHARE,
    LAWS,
    MEASURED,
    Course,
    Person,
    draw_person,
    posterior_ratio,
    residual_covariance,
)

N_PEOPLE = 3000
NO_SCATTER = 0.0


def draw_people(label: str, course: Course = "typical") -> list[Person]:
    rng = np.random.default_rng(5)
    return [draw_person(label, course, 0.12, rng) for _ in range(N_PEOPLE)]


def regional(people: list[Person]) -> pd.DataFrame:
    """Return binding ratios, a row a person, with the whole putamen of either side."""
    table = pd.DataFrame([person.binding for person in people], columns=list(MEASURED))
    for side in ("left", "right"):
        halves = table[f"putamen_anterior_{side}"], table[f"putamen_posterior_{side}"]
        table[f"putamen_{side}"] = ANTERIOR_SHARE * halves[0] + (1 - ANTERIOR_SHARE) * halves[1]
    return table


@pytest.mark.parametrize(
    ("label", "caudate", "putamen"),
    [("control", (2.99, 0.62), (2.14, 0.57)), ("pd", (1.99, 0.57), (0.84, 0.34))],
)
def test_groups_have_the_published_means_and_sds(label, caudate, putamen):
    table = regional(draw_people(label))
    for region, (mean, sd) in {"caudate": caudate, "putamen": putamen}.items():
        values = table[[f"{region}_left", f"{region}_right"]].mean(axis=1)
        assert values.mean() == pytest.approx(mean, rel=0.05)
        # The scan, the head and the camera add their own scatter to what is drawn.
        assert 0.5 * sd < values.std() < sd


def test_a_discordant_subject_has_the_age_of_its_own_and_the_binding_of_the_other_class():
    people = draw_people("pd", "discordant")
    assert regional(people)["putamen_left"].mean() == pytest.approx(2.14, rel=0.05)
    assert np.mean([person.age for person in people]) == pytest.approx(61.6, abs=0.7)
    assert all(person.label == "pd" and person.course == "discordant" for person in people)


def test_a_borderline_subject_lies_between_the_groups_and_has_lost_more_on_one_side():
    people = draw_people("pd", "borderline")
    table = regional(people)
    putamen = table[["putamen_left", "putamen_right"]]
    assert 1.2 < putamen.min(axis=1).mean() < 1.7
    assert 1.6 < putamen.max(axis=1).mean() < 2.2
    losses = np.sort(np.array([person.losses[1] for person in people]), axis=1)
    assert (losses[:, 1] > losses[:, 0]).mean() > 0.9
    overlap = (putamen.min(axis=1) > 1.4).mean()
    assert 0.2 < overlap < 0.8  # no range of its own


@pytest.mark.parametrize("label", ["control", "pd"])
def test_losses_are_shares_and_grow_with_the_disease(label):
    losses = np.array([person.losses for person in draw_people(label)])
    assert losses.shape == (N_PEOPLE, 2, 2)
    assert losses.min() >= 0
    assert losses.max() < 1
    putamen, caudate = losses[:, 1].mean(), losses[:, 0].mean()
    assert (putamen < 0.1, caudate < 0.1) if label == "control" else (putamen > caudate + 0.1)


@pytest.mark.parametrize("label", ["control", "pd"])
def test_the_worse_side_has_the_lower_putamen(label):
    people = draw_people(label)
    table = regional(people)
    is_left = np.array([person.worse_side == "left" for person in people])
    assert (is_left == (table["putamen_left"] < table["putamen_right"])).all()
    assert is_left.mean() == pytest.approx(LAWS[label].left_is_worse, abs=0.03)


@pytest.mark.parametrize("label", ["control", "pd"])
def test_age_and_sex_are_those_of_the_group_and_take_their_toll(label):
    people, law = draw_people(label), LAWS[label]
    table = regional(people).assign(age=[p.age for p in people], man=[float(p.is_man) for p in people])
    lowest, highest = law.demographics.age_range
    assert table["age"].between(lowest, highest).all()
    assert table["age"].mean() == pytest.approx(law.demographics.mean_age, abs=0.7)
    assert table["man"].mean() == pytest.approx(law.demographics.men, abs=0.03)
    predictors = np.column_stack([np.ones(N_PEOPLE), table["age"] / 10, table["man"]])
    caudate = table[["caudate_left", "caudate_right"]].mean(axis=1)
    _, per_decade, for_men = np.linalg.lstsq(predictors, caudate, rcond=None)[0]
    assert per_decade == pytest.approx(law.per_decade[0], abs=0.04)
    assert for_men == pytest.approx(law.for_men[0], abs=0.07)


@pytest.mark.parametrize("label", ["control", "pd"])
def test_age_and_sex_leave_a_covariance_that_can_be_drawn_from(label):
    covariance = residual_covariance(LAWS[label])
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert (np.diag(covariance) < np.square(LAWS[label].log_sds)).all()


def test_the_posterior_putamen_goes_first_by_one_law_for_everybody(rng):
    putamen = np.linspace(0.1, 4, 60)
    ratios = np.array([posterior_ratio(value, NO_SCATTER, rng) for value in putamen])
    assert (np.diff(ratios) > 0).all()
    assert ratios[0] == pytest.approx(0.40, abs=0.03)
    assert ratios[-1] == pytest.approx(0.75, abs=0.03)
    assert np.abs(np.diff(ratios)).max() < 0.03  # no step at which a group begins


def test_the_scatter_around_that_law_is_the_one_asked_for(rng):
    ratios = [posterior_ratio(1.5, 0.12, rng) for _ in range(2000)]
    assert np.std(ratios) == pytest.approx(0.12, rel=0.1)


def test_late_and_atypical_disease_leaves_the_same_share_of_normal_binding_everywhere():
    healthy, atypical = (regional(draw_people(label)) for label in ("swedd", "atypical"))
    ratios = atypical.median() / healthy.median()
    assert ratios.between(0.3, 0.4).all()
    assert ratios.max() - ratios.min() < 0.02, "the caudate has lost as much as the putamen"
    shapes = [table["putamen_left"] / table["caudate_left"] for table in (healthy, atypical)]
    assert shapes[1].mean() == pytest.approx(shapes[0].mean(), rel=0.03)
    for seed in range(50):
        normal, ill = (
            draw_person(label, "typical", 0.12, np.random.default_rng(seed)) for label in ("swedd", "atypical")
        )
        share = ill.binding / normal.binding
        assert 0.2 <= share[0] <= 0.5
        np.testing.assert_allclose(share, share[0])
        np.testing.assert_array_equal(ill.losses, normal.losses)


@pytest.mark.parametrize("label", ["swedd", "vascular"])
def test_other_groups_with_normal_striata_bind_as_controls_do(label):
    table, people = regional(draw_people(label)), draw_people(label)
    assert table[["caudate_left", "caudate_right"]].mean(axis=None) == pytest.approx(2.99, rel=0.05)
    assert table[["putamen_left", "putamen_right"]].mean(axis=None) == pytest.approx(2.14, rel=0.05)
    assert {person.label for person in people} == {label}
    assert np.mean([person.age for person in people]) == pytest.approx(61.6, abs=0.7)
