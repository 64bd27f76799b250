"""Whatever is not the paper's recipe says so, beside the kind of the cohort, in one place for all figures."""

import pytest

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope

TEXTS = ("caption", "short", "banner")


@pytest.mark.parametrize("kind", CohortKind)
def test_the_papers_recipe_changes_no_text(kind: CohortKind) -> None:
    assert [getattr(Scope(kind), text) for text in TEXTS] == [getattr(kind, text) for text in TEXTS]
    assert Scope(kind).record == {"cohort_kind": kind.value}


@pytest.mark.parametrize("kind", CohortKind)
@pytest.mark.parametrize("text", TEXTS)
def test_another_recipe_is_named_in_every_text_and_the_cohort_too(kind: CohortKind, text: str) -> None:
    said = getattr(Scope(kind, "striatum, changed"), text)
    assert "recipe striatum, changed" in said
    assert ("PHANTOM" in said) is (kind is CohortKind.PHANTOM)


@pytest.mark.parametrize("recipe", ["", "striatum", "striatum, changed"])
def test_metrics_and_tags_give_back_what_was_recorded(recipe: str) -> None:
    scope = Scope(CohortKind.REAL, recipe)
    assert Scope.of(scope.record) == scope
    tags = {"datspect.cohort_kind": "real", "datspect.recipe": recipe or "paper, changed"}
    assert Scope.of_tags(tags) == scope


def test_what_names_no_recipe_was_made_by_the_papers() -> None:
    assert Scope.of({}) == Scope.of_tags({}) == Scope(CohortKind.PHANTOM)
