"""Recipes hold keys that params.yaml has today, and values that it takes."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from datspect.params.whole import Params, load_params
from datspect.tracking.labels import flat_params

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    return values


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return values | {
        key: merged(values[key], change) if isinstance(change, dict) else change for key, change in changes.items()
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_names_keys_that_there_are_and_values_that_are_allowed(path: Path) -> None:
    params = read(ROOT / "params.yaml")
    assert set(flat_params(read(path))) <= set(flat_params(params))
    whole = Params.model_validate(merged(params, read(path)))
    assert whole.model == path.stem


def test_all_recipes_set_the_same_keys_so_that_one_undoes_the_other() -> None:
    assert len({frozenset(flat_params(read(path))) for path in RECIPES}) == 1
    assert [path.stem for path in RECIPES] == ["paper", "striatum"]


def test_the_papers_recipe_is_in_force() -> None:
    params = load_params(ROOT / "params.yaml").model_dump(mode="json")
    assert merged(params, read(ROOT / "recipes" / "paper.yaml")) == params
