"""A project folder with a registry of its own, whose versions answer as they are told to."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.release.made_up_versions import MadeUpPredictor
from tests.tracking.made_up_results import PARAMS_PATH

from datspect.release import promoting
from datspect.release.registry import Registry
from datspect.tracking import required_connection


@pytest.fixture
def project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(promoting, "Predictor", MadeUpPredictor)
    shutil.copy(PARAMS_PATH, project)
    return project


@pytest.fixture
def registry(project: Path) -> Iterator[Registry]:
    with required_connection("datspect") as connection:
        registry = Registry(connection)
        registry.ensure()
        yield registry
