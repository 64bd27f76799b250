"""`datspect status`: what it prints, and what it ends with."""

import json
from pathlib import Path

import pytest
from tests.commands.documented import json_keys
from tests.status.made_up_projects import up_to_date, write_project
from typer.testing import CliRunner

from datspect.__main__ import app
from datspect.errors import ParamsError


def test_outside_a_project_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["status"])
    assert answer.exit_code == 1
    assert isinstance(answer.exception, ParamsError)
    assert "no project here" in str(answer.exception)
    assert "datspect doctor works everywhere" in str(answer.exception)


def test_a_new_project_has_a_status_as_documented(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(empty_project)
    up_to_date(monkeypatch)
    answer = CliRunner().invoke(app, ["status", "--format", "json"])
    assert answer.exit_code == 0, answer.output
    record = json.loads(answer.stdout)
    assert set(record) == json_keys("status")
    assert record["cohort"]["kind"] is None
    assert record["versions"] == {"champion": None, "challenger": None, "previous": None, "unknown": ""}
    assert record["results"]["verdict"] == "no results"
    assert not (empty_project / "mlflow.db").exists()


def test_the_table_has_a_line_for_each_thing(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(empty_project)
    up_to_date(monkeypatch)
    lines = CliRunner().invoke(app, ["status"]).stdout.splitlines()
    heads = ["cohort", "recipe", "study", "champion", "challenger", "model here", "results", "dvc repro"]
    assert [line[:11].strip() for line in lines] == heads
    assert "everything is up to date" in lines[-1]
