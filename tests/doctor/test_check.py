"""What a check is, and where the doctor is asked."""

import shutil
from pathlib import Path

import pytest

from datspect.doctor.check import Check, Place, worst

ROOT = Path(__file__).parents[2]


def test_the_worst_outcome_counts() -> None:
    checks = [Check("a", "ok", ""), Check("b", "warning", ""), Check("c", "ok", "")]
    assert worst(checks) == "warning"
    assert worst([*checks, Check("d", "problem", "")]) == "problem"
    assert worst([]) == "ok"


def test_a_record_names_neither_home_nor_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    record = Check("a", "warning", "/home/ann/x", "see https://ann:pw@host").as_record()
    assert record == {"name": "a", "outcome": "warning", "finding": "~/x", "remedy": "see https://host"}


def test_a_project_has_a_graph_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert not Place.here(1).is_project
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    place = Place.here(1)
    assert (place.is_project, place.root) == (True, tmp_path)
    assert place.params is not None
    (tmp_path / "params.yaml").write_text("model: [")
    assert Place.here(1).params is None
