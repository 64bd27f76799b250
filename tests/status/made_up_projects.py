"""A project as it is after `git clone`: parameters, recipes and graph, and a DVC that has nothing to do."""

import shutil
from pathlib import Path

import pytest

from datspect.running.programs import Said
from datspect.status import graph

ROOT = Path(__file__).parents[2]


def write_project(root: Path) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "recipes", root / "recipes")


def up_to_date(patch: pytest.MonkeyPatch, said: Said | None = None) -> None:
    patch.setattr(graph, "said_by", lambda *_, **__: said or Said(0, "{}\n"))
