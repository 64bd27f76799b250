"""A project folder with a registry of its own, whose versions answer as they are told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.release.made_up_versions import MadeUpPredictor, new_registry_project

from datspect.release import promoting
from datspect.release.registry import Registry
from datspect.tracking import required_connection


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(promoting, "Predictor", MadeUpPredictor)
    return new_registry_project(tmp_path, monkeypatch)


@pytest.fixture
def registry(project: Path) -> Iterator[Registry]:
    with required_connection("datspect") as connection:
        registry = Registry(connection)
        registry.ensure()
        yield registry
