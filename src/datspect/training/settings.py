"""The parameters that a result depends on, as its run tells them: by section, without a place on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from posixpath import normpath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datspect.cohort.kind import CohortKind
from datspect.params.data import PHANTOM_COHORT_PATH
from datspect.params.fitting import read_every_section
from datspect.params.recipes import PAPER, InForce, read_recipes, recipe_in_force
from datspect.running.addresses import repository_root
from datspect.tracking.labels import flat_params, same_value
from datspect.tracking.provenance import committed_text

SECTIONS = (
    "cohort", "phantom", "model", "preprocess", "split", "striatum", "backbone", "augment", "classifier", "training",
    "finetuning", "parameters_from",
)  # fmt: skip
"""Every section, or plain value, that a fitted fold depends on; the others say where something runs, or what is done
with it later."""

_FILE = "file"
"""Stands for the path of a weights file, whose digest is a tag."""
_OUTSIDE = "outside the repository"
_WITHOUT_A_PATH = (None, "imagenet")
_NO_RESULT = {"backbone": {"download_seconds"}}
"""What no result depends on."""


@dataclass(frozen=True)
class Settings:
    """What is told of a run.

    values : plain values by section
    changed : by dotted key, in the form of a run's parameters, those that the committed params.yaml has otherwise
    recipe : the one in force
    """

    values: Mapping[str, Any]
    changed: Mapping[str, str] = field(default_factory=dict)
    recipe: InForce = field(default_factory=lambda: InForce(PAPER))


def read_settings(path: Path, kind: CohortKind) -> Settings:
    """Read the settings of a result on a cohort of this kind; those of the phantom belong to that phantom alone."""
    sections = read_every_section(path)
    values, recipe = shown(sections, kind), recipe_in_force(sections, read_recipes(path))
    committed = _committed(path)
    return Settings(values, {} if committed is None else changed(values, _without_paths(committed, kind)), recipe)


def shown(sections: Mapping[str, Any], kind: CohortKind) -> dict[str, Any]:
    """Return the sections that a result depends on, with no path but one within the repository.

    >>> sections = {"cohort": {"path": "/mnt/ward"}, "backbone": {"weights": "/home/w.h5", "download_seconds": 30}}
    >>> shown(sections, CohortKind.REAL)
    {'cohort': {'kind': 'real', 'path': 'outside the repository'}, 'backbone': {'weights': 'file'}}
    """
    kept = _without_paths(sections, kind)
    if kind is not CohortKind.PHANTOM or kept["cohort"]["path"] != PHANTOM_COHORT_PATH:
        kept.pop("phantom", None)
    return kept


def _without_paths(sections: Mapping[str, Any], kind: CohortKind) -> dict[str, Any]:
    kept = {name: without_places(name, sections[name]) for name in SECTIONS if sections.get(name) is not None}
    if "cohort" in kept:
        path = path_within_the_repository(str(kept["cohort"].get("path")))
        kept["cohort"] = {"kind": str(kind), "path": path or _OUTSIDE}
    return kept


def without_places(name: str, section: Any) -> Any:
    """Return a section without what no result depends on, and a weights file only as such; a plain value as it is."""
    if not isinstance(section, Mapping):
        return section
    kept = {key: value for key, value in section.items() if key not in _NO_RESULT.get(name, ())}
    if name == "backbone" and kept.get("weights") not in _WITHOUT_A_PATH:
        kept["weights"] = _FILE
    return kept


def path_within_the_repository(path: str) -> str | None:
    """Return a path as seen from the repository root; None if it leads out of it.

    >>> path_within_the_repository("data/./mine"), path_within_the_repository("../elsewhere")
    ('data/mine', None)
    """
    pure = PurePath(path)
    if pure.is_absolute():
        if not pure.is_relative_to(root := repository_root()):
            return None
        pure = pure.relative_to(root)
    within = normpath(pure.as_posix())
    return None if within == ".." or within.startswith("../") else within


def changed(values: Mapping[str, Any], committed: Mapping[str, Any]) -> dict[str, str]:
    """Return, flat, the values that are not those of `committed`; where they come from is no value."""
    before, now = flat_params(committed), flat_params({k: v for k, v in values.items() if k != "parameters_from"})
    return {key: text for key, text in now.items() if key not in before or not same_value(text, before[key])}


def _committed(path: Path) -> dict[str, Any] | None:
    """Return the committed params.yaml unchecked, since it may be of another release; None if there is none to read."""
    text = committed_text(path.absolute().parent, "HEAD", f"./{path.name}")
    try:
        sections = YAML(typ="safe", pure=True).load(text) if text else None
    except YAMLError:
        return None
    if not isinstance(sections, dict):
        return None
    return {name: section for name, section in sections.items() if isinstance(section, dict) or name == "model"}


def of_the_bank(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run tells of its bank: all but the digests, since MLflow cuts a parameter at 6,000 characters."""
    return {name: value for name, value in record.items() if name != "sha256_by_draw"}
