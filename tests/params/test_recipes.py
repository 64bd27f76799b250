"""Recipes hold keys that params.yaml has today, and values that it takes; one is in force, and can be written."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from datspect.errors import ParamsError
from datspect.params.base import parsed_params
from datspect.params.recipes import InForce, overrides, read_recipe_in_force, read_recipes, recipe_in_force, with_recipe
from datspect.params.whole import Params, load_params
from datspect.tracking.labels import flat_params

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
TEXT = (ROOT / "params.yaml").read_text("utf-8")
READ = read_recipes(ROOT / "params.yaml")


def loaded(text: str) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return values


def read(path: Path) -> dict[str, Any]:
    return loaded(path.read_text("utf-8"))


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
    assert [path.stem for path in RECIPES] == list(READ) == ["paper", "striatum"]


def test_the_papers_recipe_is_in_force() -> None:
    params = load_params(ROOT / "params.yaml").model_dump(mode="json")
    assert merged(params, read(ROOT / "recipes" / "paper.yaml")) == params
    assert read_recipe_in_force(ROOT / "params.yaml") == InForce("paper", READ["paper"])


def test_a_written_recipe_is_in_force_and_the_papers_brings_the_file_back_byte_for_byte() -> None:
    after = with_recipe(TEXT, READ["striatum"])
    assert loaded(after) == merged(loaded(TEXT), read(ROOT / "recipes" / "striatum.yaml"))
    assert recipe_in_force(loaded(after), READ).title == "striatum"
    assert [line.partition("#")[2] for line in after.splitlines()] == [
        line.partition("#")[2] for line in TEXT.splitlines()
    ]
    assert with_recipe(after, READ["striatum"]) == after
    assert with_recipe(after, READ["paper"]) == TEXT


def test_values_of_a_recipe_are_of_no_study() -> None:
    tuned = TEXT.replace("parameters_from: null", "parameters_from: {study: wide, trial: 7, split: 1a2b3c4d5e6f}")
    assert tuned != TEXT
    assert parsed_params(Params, with_recipe(tuned, READ["striatum"])).parameters_from is None


def in_force(**changes: Any) -> InForce:
    return recipe_in_force(merged(merged(loaded(TEXT), read(ROOT / "recipes/striatum.yaml")), changes), READ)


def test_a_changed_value_is_told_and_one_that_no_recipe_sets_is_none() -> None:
    assert in_force(split={"seed": 1}) == InForce("striatum", READ["striatum"])
    found = in_force(training={"epochs": 60})
    assert (found.title, found.named) == ("striatum, changed", "striatum, changed")
    assert found.differing == {("training", "epochs"): 60}


def test_the_paper_needs_no_name_even_if_it_was_changed() -> None:
    found = recipe_in_force(merged(loaded(TEXT), {"classifier": {"dropout": 0.2}}), READ)
    assert (found.title, found.named) == ("paper, changed", "")


def test_a_recipe_of_ones_own_is_known_by_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    for path in RECIPES:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "longer.yaml").write_text("model: paper\ntraining: {epochs: 900}\n", "utf-8")
    own = read_recipes(tmp_path / "params.yaml")
    text = with_recipe(TEXT, own["longer"])
    assert recipe_in_force(loaded(text), own).named == "longer"
    assert recipe_in_force(loaded(TEXT), own).named == ""


def test_without_a_recipe_of_the_model_the_values_are_called_own() -> None:
    assert recipe_in_force({"model": "striatum"}, {}).named == "striatum, own values"


@pytest.mark.parametrize("text", ["- 1\n", "classifier: {width: 4}\n", "model: [\n"])
def test_a_file_that_is_no_recipe_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text(text, "utf-8")
    with pytest.raises(ParamsError, match=r"mine\.yaml: "):
        read_recipes(tmp_path / "params.yaml")


def test_a_key_that_params_yaml_lacks_is_named() -> None:
    with pytest.raises(ParamsError, match=r"classifier\.widht"):
        recipe_in_force(loaded(TEXT), {"mine": {("classifier", "widht"): 3}})
    with pytest.raises(ParamsError, match=r"classifier\.widht"):
        with_recipe(TEXT, {("classifier", "widht"): 3})


def test_overrides_are_the_values_that_differ_each_as_dvc_takes_it() -> None:
    said = overrides(loaded(TEXT), READ["striatum"])
    assert "model=striatum" in said
    assert "training.learning_rate.schedule=one_cycle" in said
    assert all(" " not in change for change in said)
    assert overrides(loaded(with_recipe(TEXT, READ["striatum"])), READ["striatum"]) == []
    values = {"a": {"b": [1, 2], "c": True, "d": 3}, "parameters_from": {"trial": 1}}
    recipe = {("a", "b"): [0.5, 2], ("a", "c"): False, ("a", "d"): None}
    assert overrides(values, recipe) == ["a.b=[0.5,2]", "a.c=false", "a.d=null", "parameters_from=null"]
