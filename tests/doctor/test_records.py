"""What is said of MLflow and the registry, without writing to either."""

from pathlib import Path

import pytest

from datspect.doctor import records
from datspect.doctor.check import Place
from datspect.running.programs import TOO_SLOW, Said
from datspect.tracking import required_connection


def place(root: Path, *, is_project: bool = True) -> Place:
    return Place(root, is_project=is_project, seconds=120)


def test_a_new_project_has_no_database_and_gets_none(empty_project: Path) -> None:
    mlflow, registry = records.checks(place(empty_project))
    assert (mlflow.outcome, registry.outcome) == ("ok", "ok")
    assert "the first run makes it" in mlflow.finding
    assert not (empty_project / "mlflow.db").exists()


def test_outside_a_project_nothing_is_asked(project: Path) -> None:
    (check,) = records.checks(place(project, is_project=False))
    assert "not asked" in check.finding


def test_no_password_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql://ann:s3cret@db.example/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(records, "said_by", lambda *_, **__: Said(1, "", f"error: {uri} says no to s3cret"))
    (check,) = records.checks(place(project))
    assert check.outcome == "problem"
    assert "db.example" in check.finding
    assert "s3cret" not in check.finding
    assert "ann" not in check.finding


def test_a_server_that_takes_too_long_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    monkeypatch.setattr(records, "said_by", lambda *_, **__: Said(TOO_SLOW, "", "no answer within 10 s"))
    (check,) = records.checks(place(project))
    assert check.outcome == "warning"


def test_named_versions_are_listed() -> None:
    check = records.registry_check({"champion": {"version": 3}, "challenger": None, "previous": {"version": 1}})
    assert check.finding == "champion is version 3, previous is version 1"


@pytest.mark.slow
def test_a_database_answers_and_stays_as_it_is(project: Path) -> None:
    with required_connection("datspect"):
        pass
    (project / "params.yaml").touch()
    before = (project / "mlflow.db").read_bytes()
    mlflow, registry = records.checks(place(project))
    assert mlflow.finding == "mlflow.db of this project answers"
    assert "no version yet" in registry.finding
    assert (project / "mlflow.db").read_bytes() == before
