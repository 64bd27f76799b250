"""Command `recipe`: say which named set of values params.yaml follows, or make it follow another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datspect.commands.completion import recipe_names
from datspect.commands.exits import WrongUseError
from datspect.commands.forms import Form, as_json

if TYPE_CHECKING:
    from datspect.params.recipes import InForce, Recipe


def recipe(
    name: Annotated[
        str | None,
        typer.Argument(help="Write the values of this recipe into params.yaml.", autocompletion=recipe_names),
    ] = None,
    as_overrides: Annotated[
        bool, typer.Option("--as-overrides", help="Change no file; print the values as dvc exp run takes them.")
    ] = False,
    params: Annotated[Path, typer.Option(help="The file to read and write; recipes/ lies beside it.")] = Path(
        "params.yaml"
    ),
    form: Form = "table",
) -> None:
    """Say which recipe of recipes/ is in force and what differs from it; with NAME, follow that one.

    Comments and order of params.yaml stay, and the difference is shown. `datspect recipe paper` undoes it. An
    experiment takes a recipe without changing the file: dvc exp run $(datspect recipe striatum --as-overrides)
    """
    # Here, so that `datspect --help` does not wait for them.
    from datspect.errors import ParamsError
    from datspect.io.atomic import write_text
    from datspect.params.base import parsed_params
    from datspect.params.editing import difference
    from datspect.params.recipes import overrides, read_recipes, recipe_in_force, with_recipe
    from datspect.params.whole import Params, load_params

    values, recipes = load_params(params).model_dump(mode="json"), read_recipes(params)
    if name is None:
        if as_overrides:
            raise WrongUseError("--as-overrides: name a recipe too")
        found = recipe_in_force(values, recipes)
        print(as_json(_record(found, recipes)) if form == "json" else _said(found, recipes))
        return
    if name not in recipes:
        raise ParamsError(f"no recipe {name} in {params.parent / 'recipes'}; there are: {', '.join(recipes) or 'none'}")
    if as_overrides:
        changes = overrides(values, recipes[name])
        print(as_json({"name": name, "overrides": changes}) if form == "json" else " ".join(f"-S {c}" for c in changes))
        return
    before = params.read_text(encoding="utf-8")
    after = with_recipe(before, recipes[name])
    parsed_params(Params, after, params)
    changed = difference(before, after, params.name) if after != before else ""
    if changed:
        write_text(params, after)
    if form == "json":
        print(as_json({"name": name, "changed": bool(changed), "difference": changed}))
    elif changed:
        print(f"{changed}\n\n{params} follows recipe {name} now; next: dvc repro")
    else:
        print(f"{params} follows recipe {name} already")


def _record(found: "InForce", recipes: "dict[str, Recipe]") -> dict[str, object]:
    differing = {
        ".".join(place): {"value": value, "recipe": found.recipe[place]} for place, value in found.differing.items()
    }
    return {"name": found.name, "title": found.title, "differing": differing, "recipes": list(recipes)}


def _said(found: "InForce", recipes: "dict[str, Recipe]") -> str:
    if not found.recipe:
        return (
            f"in force: {found.title}; no recipe is of model {found.name} (there are: {', '.join(recipes) or 'none'})"
        )
    lines = [f"in force: {found.title}"]
    lines += [
        f"  {'.'.join(place)} = {value} (recipe: {found.recipe[place]})" for place, value in found.differing.items()
    ]
    others = [name for name in recipes if name != found.name]
    return "\n".join([*lines, *([f"others: {', '.join(others)}"] if others else [])])
