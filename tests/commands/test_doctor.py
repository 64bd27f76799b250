"""`datspect doctor`: what it prints, as a table and as JSON."""

import getpass
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.commands.documented import json_keys
from typer.testing import CliRunner

from datspect.__main__ import app
from datspect.doctor import examination
from datspect.doctor.check import Check

MADE_UP = (
    Check("Python", "ok", "3.12.0"),
    Check("GPU", "warning", "no driver", "install it"),
    Check("disk", "problem", "2 MB left", "make room"),
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination.examine, "__defaults__", ((lambda _: list(MADE_UP),),))


def test_every_check_is_a_line_with_what_to_do_below(made_up: None) -> None:
    answer = CliRunner().invoke(app, ["doctor"])
    assert answer.exit_code == 1
    assert answer.stdout.splitlines() == [
        "ok       Python  3.12.0",
        "warning  GPU     no driver",
        "                 -> install it",
        "problem  disk    2 MB left",
        "                 -> make room",
        "",
        "1 problem, 1 warning",
    ]


def test_its_json_is_as_documented(made_up: None) -> None:
    record = json.loads(CliRunner().invoke(app, ["doctor", "--format", "json"]).stdout)
    assert set(record) == json_keys("doctor")
    assert record["outcome"] == "problem"
    assert record["checks"][1] == {
        "name": "GPU", "outcome": "warning", "finding": "no driver", "remedy": "install it",
    }  # fmt: skip


@pytest.mark.slow
def test_it_works_outside_a_project_in_seconds_and_its_json_names_nobody(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "datspect", "doctor", "--format", "json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert time.monotonic() - started < 60  # every program in it has ten seconds
    record = json.loads(done.stdout)
    found = {check["name"]: check for check in record["checks"]}
    assert {"Python", "backend", "GPU", "DVC", "packages", "project", "git", "disk", "MLflow"} <= set(found)
    assert done.returncode == (1 if record["outcome"] == "problem" else 0)
    assert found["project"]["finding"].startswith("none here")
    assert str(Path.home()) not in done.stdout
    if getpass.getuser() != "root":
        assert f"/{getpass.getuser()}/" not in done.stdout
    assert done.stderr == ""
