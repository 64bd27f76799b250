"""What a run says about itself: tags, parameters as flat text, the columns of a dataset."""

import getpass
import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pandas as pd

from datspect.tracking.ownership import owner_tags

Nested = Mapping[str, Any]
Tags = Mapping[str, object]

_COLUMN_TYPES = {"i": "long", "u": "long", "f": "double", "b": "boolean", "M": "datetime"}


def common_tags(stage: str, launcher: str | None) -> dict[str, str]:
    """Tags of every run of a stage: what ran, from which commit, in which process, below which `mlflow run`."""
    commit = _git_commit()
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": f"datspect {stage}",
        "mlflow.source.type": "LOCAL",
        "datspect.stage": stage,
        "datspect.git_commit": commit or "none",
        **owner_tags(),
    }
    if commit:
        tags["mlflow.source.git.commit"] = commit
    if launcher:
        tags["datspect.launched_by"] = launcher
    return tags


def flat_params(params: Nested, prefix: str = "") -> dict[str, str]:
    """Nested sections as dotted keys, values as YAML writes them in a line."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat


def columns(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Names and types of columns as MLflow describes a schema."""
    return [
        {"name": str(name), "type": _COLUMN_TYPES.get(dtype.kind, "string"), "required": True}
        for name, dtype in frame.dtypes.items()
    ]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        return "unknown"


def _git_commit() -> str | None:
    """The commit that is checked out; None without git, a repository or a commit."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"],  # noqa: S607  (the user's git)
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
