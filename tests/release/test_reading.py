"""Versions are read wherever the program is started, without a project, and nothing is made in the store."""

from pathlib import Path

import pytest
from tests.release.made_up_graph import add_run, write_graph_results

from datspect.errors import PromotionError
from datspect.prediction.files import FILES
from datspect.release.checked import model_folder
from datspect.release.known_subjects import known_subjects
from datspect.release.reading import readable
from datspect.release.registering import read_registrable, register
from datspect.release.registry import CHAMPION, Registry


@pytest.fixture
def elsewhere(registry: Registry, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one; the environment names the database of a project with a champion."""
    write_graph_results(project)
    add_run(registry, project)
    version, _ = register(registry, read_registrable(project))
    registry.set_alias(CHAMPION, version)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    monkeypatch.chdir(folder)
    return folder


def test_a_version_is_found_from_any_folder_and_no_experiment_is_made(elsewhere: Path) -> None:
    assert {path.name for path in model_folder(CHAMPION).iterdir()} == set(FILES)
    with readable() as registry:
        names = {each.name for each in registry.connection.client.search_experiments()}
    assert names <= {"Default", "datspect", "template"}
    assert list(elsewhere.iterdir()) == []


def test_a_version_tells_by_digests_whom_it_was_trained_and_tested_on(elsewhere: Path, project: Path) -> None:
    import pandas as pd

    splits = pd.read_csv(project / "data/splits.csv")
    known = known_subjects(CHAMPION)
    assert known is not None
    assert known.roles_of(splits["subject_id"]) == list(splits["role"])
    assert known.role_of("somebody else") == ""


def test_an_alias_that_is_not_there_is_named(elsewhere: Path) -> None:
    with pytest.raises(PromotionError, match="no version or alias nobody"):
        model_folder("nobody")
