"""`datspect reproduced` says its verdict, and its exit code says it too."""

import json
from pathlib import Path

import pytest
from tests.commands.documented import json_keys
from tests.tracking.made_up_results import write_cv, write_final
from typer.testing import CliRunner, Result

from datspect.__main__ import app
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.release.reference import ABOUT


@pytest.fixture
def results(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_cv(project)
    write_final(project)
    monkeypatch.setenv("DVC_ROOT", str(project))
    return project


def reproduced(*options: str) -> Result:
    return CliRunner().invoke(app, ["reproduced", *options])


def test_without_a_reference_there_is_no_verdict(results: Path) -> None:
    answer = reproduced()
    assert (answer.exit_code, answer.output.startswith("no verdict: there is no")) == (3, True), answer.output


def test_the_reference_itself_is_reproduced(results: Path) -> None:
    assert "now hold these results (PHANTOM cohort)" in reproduced("--renew").output
    answer = reproduced()
    assert answer.exit_code == 0, answer.output
    assert "24 of 24 out of fold, 6 of 6 on the holdout" in answer.output
    assert "everything is the same to the last bit" in answer.output


def test_another_answer_is_not_and_what_differs_is_said(results: Path) -> None:
    reproduced("--renew")
    path = results / "reports/cv/predictions.csv"
    table = read_table(path)
    write_table(path, table.assign(probability=1 - table["probability"]))
    record = read_json(results / "reports/final/run.json")
    record["machine"]["processor"] = "another one"
    write_json(results / "reports/final/run.json", record)
    answer = reproduced()
    assert answer.exit_code == 1
    assert answer.output.startswith(
        "NOT reproduced: decisions as committed: 0 of 24 out of fold, 6 of 6 on the holdout"
    )
    assert "processor: another one (committed: " in answer.output


def test_other_parameters_get_no_verdict(results: Path) -> None:
    reproduced("--renew")
    about = read_json(results / ABOUT)
    about["parameters"]["classifier.dropout"] = "0.9"
    write_json(results / ABOUT, about)
    answer = reproduced()
    assert answer.exit_code == 3
    assert "classifier.dropout = 0.5 (committed 0.9)" in answer.output


def test_as_json_the_verdict_has_the_same_codes_and_documented_keys(results: Path) -> None:
    answer = reproduced("--format", "json")
    record = json.loads(answer.stdout)
    assert (answer.exit_code, record["reproduced"], set(record)) == (3, None, json_keys("reproduced"))
    assert json.loads(reproduced("--renew", "--format", "json").stdout)["renewed"][1] == ABOUT
    record = json.loads(reproduced("--format", "json").stdout)
    assert record["reproduced"] is True
    assert record["cohort_kind"] == "phantom"
    assert record["agreements"]["out of fold"]["n_other"] == 0
