"""Recipes: named sets of values of params.yaml, as small files beside it, and which of them is in force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from datspect.errors import ParamsError
from datspect.params.base import PARAMS_PATH
from datspect.params.editing import Place, edited, values_with_their_text
from datspect.params.fitting import read_every_section

FOLDER, PAPER = "recipes", "paper"
"""Where recipes lie, beside params.yaml, and the one that needs no naming."""

Recipe = Mapping[Place, object]
"""Values by their places."""

_NO_TRIAL: Recipe = {("parameters_from",): None}
"""With the values of a recipe, none comes from a study."""


@dataclass(frozen=True)
class InForce:
    """The recipe that params.yaml follows.

    name : of the recipe; the model's where no recipe is of this model
    recipe : its values; differing : by place, the other value that params.yaml has there
    """

    name: str
    recipe: Recipe = field(default_factory=dict)
    differing: Mapping[Place, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The recipe as titles name it: `striatum`, `striatum, changed`."""
        if not self.recipe:
            return f"{self.name}, own values"
        return f"{self.name}, changed" if self.differing else self.name

    @property
    def named(self) -> str:
        """What stands beside every figure: the title, or nothing where the recipe is the paper's, changed or not."""
        return "" if self.name == PAPER else self.title


def read_recipes(params_path: Path = PARAMS_PATH) -> dict[str, Recipe]:
    """Read the recipes beside params.yaml, by name.

    Raises
    ------
    ParamsError : one of them is no YAML, or holds no values.
    """
    return {path.stem: _read(path) for path in sorted((params_path.parent / FOLDER).glob("*.yaml"))}


def recipe_in_force(values: Mapping[str, Any], recipes: Mapping[str, Recipe]) -> InForce:
    """Return the recipe all of whose values are those of params.yaml; else that of the model, with what differs.

    Of several the one that sets most is meant.

    >>> recipes = {"striatum": {("model",): "striatum", ("training", "epochs"): 40}}
    >>> recipe_in_force({"model": "striatum", "training": {"epochs": 60}}, recipes).title
    'striatum, changed'
    """
    differing = {name: _differing(values, recipe) for name, recipe in recipes.items()}
    followed = [name for name in recipes if not differing[name]]
    if followed:
        name = max(followed, key=lambda name: len(recipes[name]))
        return InForce(name, recipes[name])
    model = str(values["model"])
    return InForce(model, recipes.get(model, {}), differing.get(model, {}))


def read_recipe_in_force(params_path: Path = PARAMS_PATH) -> InForce:
    """Read params.yaml and the recipes beside it; raises as `read_params` and `read_recipes` do."""
    return recipe_in_force(read_every_section(params_path), read_recipes(params_path))


def with_recipe(text: str, recipe: Recipe) -> str:
    """Return `text` of params.yaml with the values of a recipe; `edited` says what stays.

    Raises
    ------
    ParamsError : params.yaml lacks a place.
    """
    return edited(text, {**recipe, **_NO_TRIAL})


def overrides(values: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Return what `dvc exp run -S` takes to follow a recipe: `key=value` wherever params.yaml has another value."""
    changes = {**recipe, **_NO_TRIAL}
    return [f"{'.'.join(place)}={_as_override(changes[place])}" for place in _differing(values, changes)]


def _read(path: Path) -> Recipe:
    try:
        found = values_with_their_text(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(found, Mapping) or "model" not in found:
        raise ParamsError(f"{path}: expected values as in params.yaml, model among them")
    return dict(_flat(found))


def _flat(values: Mapping[str, Any], above: Place = ()) -> Iterator[tuple[Place, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value


def _differing(values: Mapping[str, Any], recipe: Recipe) -> dict[Place, object]:
    found = {place: _at(values, place) for place in recipe}
    return {place: value for place, value in found.items() if value != recipe[place]}


def _at(values: Any, place: Place) -> object:
    for key in place:
        if not isinstance(values, Mapping) or key not in values:
            raise ParamsError(f"{'.'.join(place)}: a recipe sets it, but params.yaml has no such key; mend the recipe")
        values = values[key]
    return values


def _as_override(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(map(_as_override, value))}]"
        case _:
            return str(value)
