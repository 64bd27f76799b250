"""Call a run by what it is: its stage, its DVC experiment, and what differs from the committed parameters."""

import os
from collections.abc import Mapping
from typing import Any

from datspect.tracking.labels import flat_params
from datspect.training.settings import Settings

EXPERIMENT_VARIABLE = "DVC_EXP_NAME"
"""DVC tells a stage of `dvc exp run` the name of the experiment in it."""

_SEPARATOR = " · "
_N_CHANGES, _SHORT_COMMIT, _LONGEST_VALUE = 4, 7, 40


def run_name(stage: str, settings: Settings, commit: str | None) -> str:
    """Return the name of a run, such as `cv · dropout=0.3 · drops=6`, `cv · 79ceec4` or, without git, `cv`.

    A recipe that is not the paper's is named, `cv · striatum`; its values are then no changes.
    """
    experiment, recipe = os.environ.get(EXPERIMENT_VARIABLE), settings.recipe.named
    said = [*([experiment] if experiment else []), *_changes(settings)]
    if not said and commit:
        said.append(commit[:_SHORT_COMMIT])
    return _SEPARATOR.join([stage, *([recipe] if recipe else []), *said])


def _changes(settings: Settings) -> list[str]:
    short, recipe = short_keys(settings.values), settings.recipe
    known = {".".join(place) for place in recipe.recipe if place not in recipe.differing} if recipe.named else ()
    changes = [f"{short[key]}={_brief(text)}" for key, text in settings.changed.items() if key not in known]
    if len(changes) > _N_CHANGES:
        return [*changes[:_N_CHANGES], f"and {len(changes) - _N_CHANGES} more"]
    return changes


def short_keys(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the last part of each dotted key where no other key ends with it, and the whole key elsewhere.

    >>> short_keys({"split": {"seed": 1}, "training": {"seed": 2, "learning_rate": {"drops": 3}}})
    {'split.seed': 'split.seed', 'training.seed': 'training.seed', 'training.learning_rate.drops': 'drops'}
    """
    keys = list(flat_params(values))
    last = [key.rpartition(".")[2] for key in keys]
    short = {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}
    return short | {key: "cohort" for key in ("cohort.path",) if key in short}  # a path says nothing of whose it is


def _brief(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
