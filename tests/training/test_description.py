"""A run's page says at once of which cohort it is, what came out, and where to look."""

import pytest

from datspect.training.description import description, with_link

FIGURES = {"accuracy": 0.9408, "sensitivity": 0.9577, "specificity": 0.9048, "roc_auc": 0.9773, "loss": 0.2029}
MEASURES = {
    "n": 659,
    **FIGURES,
    **{f"{name}_low": value - 0.01 for name, value in FIGURES.items()},
    **{f"{name}_high": value + 0.01 for name, value in FIGURES.items()},
}
METRICS = {"out_of_fold": MEASURES, "dev_out_of_fold": MEASURES | {"n": 527}}


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("phantom", "**PHANTOM cohort: simulated scans, not patients**"),
        ("real", "**cohort of real scans**"),
        ("unheard of", "**PHANTOM cohort: simulated scans, not patients**"),
    ],
)
def test_the_kind_of_cohort_comes_first(kind: str, first: str) -> None:
    assert description("cv", METRICS | {"cohort_kind": kind}, None, []).splitlines()[0] == first


@pytest.mark.parametrize(("kind", "said"), [("phantom", "not patients"), ("real", "cohort of real scans")])
def test_a_recipe_that_is_not_the_papers_is_named_beside_it(kind: str, said: str) -> None:
    first = description("cv", METRICS | {"cohort_kind": kind, "recipe": "striatum"}, None, []).splitlines()[0]
    assert said in first
    assert first.endswith("recipe striatum**")


def test_the_headline_figures_have_their_intervals() -> None:
    text = description("cv", METRICS | {"cohort_kind": "phantom"}, None, [])
    assert "Out of fold, 659 subjects (95 % intervals): accuracy 0.941 (0.931 to 0.951), " in text
    assert "ROC AUC 0.977 (0.967 to 0.987)" in text
    final = description("final", METRICS | {"cohort_kind": "real"}, None, [])
    assert "Out of fold on the training role, 527 subjects" in final


def test_a_note_and_links_follow() -> None:
    text = description("cv", METRICS | {"cohort_kind": "phantom"}, "It is optimistic.", ["[a](#/a)", "[b](#/b)"])
    assert text.endswith("It is optimistic.\n\n[a](#/a) · [b](#/b)")


def test_a_link_is_added_once() -> None:
    once = with_link("A run.", "[report](#/a)")
    assert once == with_link(once, "[report](#/a)") == "A run. · [report](#/a)"
    assert with_link("", "[report](#/a)") == "[report](#/a)"
