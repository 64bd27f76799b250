"""Describe a run: its tags, its parameters as flat text, and the columns of its dataset."""

import getpass
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datspect.tracking.ownership import owner_tags
from datspect.tracking.provenance import GitState

if TYPE_CHECKING:
    import pandas as pd

Nested = Mapping[str, Any]
Tags = Mapping[str, object]

_COLUMN_TYPES = {"i": "long", "u": "long", "f": "double", "b": "boolean", "M": "datetime"}


def common_tags(stage: str, git: GitState, launcher: str | None) -> dict[str, str]:
    """Return the tags of every run: what ran, from which commit, in which process, below which `mlflow run`."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": f"datspect {stage}",
        "mlflow.source.type": "LOCAL",
        "datspect.stage": stage,
        "datspect.git_commit": git.commit or "none",
        "datspect.git_dirty": json.dumps(git.dirty),
        **owner_tags(),
    }
    if git.commit:
        tags["mlflow.source.git.commit"] = git.commit
    if launcher:
        tags["datspect.launched_by"] = launcher
    return tags


def flat_params(params: Nested, prefix: str = "") -> dict[str, str]:
    """Return nested sections as dotted keys, with values as YAML writes them in a line.

    >>> flat_params({"cv": {"n_folds": 10, "site": None}})
    {'cv.n_folds': '10', 'cv.site': 'null'}
    """
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat


def same_value(first: str, second: str) -> bool:
    """Return whether two texts, as in `flat_params`, are the same value: 1 is 1.0, but true is not 1."""
    values = [_value(text) for text in (first, second)]
    return first == second or (values[0] == values[1] and isinstance(values[0], bool) == isinstance(values[1], bool))


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def columns(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the names and types of columns as MLflow describes a schema."""
    return [
        {"name": str(name), "type": _COLUMN_TYPES.get(dtype.kind, "string"), "required": True}
        for name, dtype in frame.dtypes.items()
    ]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        return "unknown"
