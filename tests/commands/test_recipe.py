"""`datspect recipe` as a user types it, in a folder with the project's own params.yaml."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.commands.documented import json_keys
from typer.testing import CliRunner, Result

from datspect.__main__ import app
from datspect.params.whole import load_params

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recipe", *arguments])


def test_there_and_back_again(folder: Path) -> None:
    before = (folder / "params.yaml").read_bytes()
    assert said().output.splitlines() == ["in force: paper", "others: striatum"]
    written = said("striatum").output
    assert "+model: striatum" in written
    assert "-  epochs: 500" in written
    assert "follows recipe striatum now" in written
    assert load_params(folder / "params.yaml").model == "striatum"
    assert said().output.startswith("in force: striatum\n")
    assert "follows recipe striatum already" in said("striatum").output
    said("paper")
    assert (folder / "params.yaml").read_bytes() == before


def test_what_differs_is_said(folder: Path) -> None:
    said("striatum")
    text = (folder / "params.yaml").read_text("utf-8")
    (folder / "params.yaml").write_text(text.replace("epochs: 40 ", "epochs: 60 "), "utf-8")
    lines = said().output.splitlines()
    assert lines[:2] == ["in force: striatum, changed", "  training.epochs = 60 (recipe: 40)"]


def test_overrides_change_no_file(folder: Path) -> None:
    before = (folder / "params.yaml").read_bytes()
    words = said("striatum", "--as-overrides").output.split()
    assert words[::2] == ["-S"] * (len(words) // 2)
    assert "classifier.width=16" in words
    assert (folder / "params.yaml").read_bytes() == before


def test_values_that_params_yaml_does_not_take_are_not_written(folder: Path) -> None:
    before = (folder / "params.yaml").read_bytes()
    (folder / "recipes" / "mine.yaml").write_text("model: striatum\ntraining: {epochs: 0}\n", "utf-8")
    result = said("mine")
    assert "training.epochs = 0" in str(result.exception)
    assert (folder / "params.yaml").read_bytes() == before


def test_an_unknown_name_is_answered_with_those_that_there_are(folder: Path) -> None:
    assert str(said("papers").exception) == "no recipe papers in recipes; there are: paper, striatum"
    assert "name a recipe too" in str(said("--as-overrides").exception)


def test_as_json_it_says_the_same(folder: Path) -> None:
    record = json.loads(said("--format", "json").stdout)
    assert set(record) == json_keys("recipe")
    assert record == {"name": "paper", "title": "paper", "differing": {}, "recipes": ["paper", "striatum"]}
    overrides = json.loads(said("striatum", "--as-overrides", "--format", "json").stdout)["overrides"]
    assert "classifier.width=16" in overrides
    written = json.loads(said("striatum", "--format", "json").stdout)
    assert (written["name"], written["changed"]) == ("striatum", True)
    assert "+model: striatum" in written["difference"]
    assert json.loads(said("striatum", "--format", "json").stdout)["changed"] is False


def test_help_needs_neither_keras_nor_mlflow_nor_pandas() -> None:
    code = "import sys, datspect.__main__; print(*{'keras', 'mlflow', 'pandas', 'ruamel'} & set(sys.modules))"
    started = time.monotonic()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
    assert time.monotonic() - started < 30
