"""Outside of a project a command of one says what it needs; others find the package's own values."""

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datspect.__main__ import app
from datspect.commands.project import NoProjectError, params_or_defaults
from datspect.params.whole import load_params

ROOT = Path(__file__).parents[2]
OF_A_PROJECT = (
    ["compare", "a", "b"], ["promote"], ["recipe"], ["register"], ["relog"], ["reproduced"],
    ["rollback", "--reason", "a test"], ["tables"], ["trace"], ["tune"], ["verify"],
)  # fmt: skip


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with nothing in the environment that names a project or a store."""
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", OF_A_PROJECT, ids=lambda command: command[0])
def test_a_command_of_a_project_says_so_outside_of_one_and_leaves_nothing(command: list[str], nowhere: Path) -> None:
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, NoProjectError)
    assert "no project here" in str(done.exception)
    assert "docs/install.md" in str(done.exception)
    assert list(nowhere.iterdir()) == []


def test_help_is_given_everywhere(nowhere: Path) -> None:
    done = CliRunner().invoke(app, ["tune", "--help"])
    assert done.exit_code == 0
    assert "params.yaml" in done.output


def test_a_named_params_file_is_project_enough(nowhere: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["recipe", "--params", str(ROOT / "params.yaml")])
    assert done.exit_code == 0, done.exception
    assert "in force: paper" in done.output


@pytest.mark.parametrize("model", ["champion", "3"])
def test_a_version_without_a_registry_says_what_to_set_and_makes_no_database(model: str, nowhere: Path) -> None:
    (nowhere / "scan.nii").write_bytes(b"scan")
    done = CliRunner().invoke(app, ["predict", "scan.nii", "--model", model])
    assert "no registry here: MLFLOW_TRACKING_URI is not set" in str(done.exception)
    assert [path.name for path in nowhere.iterdir()] == ["scan.nii"]


def test_a_mistaken_address_of_a_database_makes_none(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{nowhere}/gone.db")
    done = CliRunner().invoke(app, ["serve", "champion"])
    assert "which is not there; mend the address" in str(done.exception)
    assert list(nowhere.iterdir()) == []


def test_without_params_here_the_package_has_its_own_and_says_so(
    nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "datspect"):
        found = params_or_defaults(Path("params.yaml"))
    assert load_params(found) == load_params(ROOT / "params.yaml")
    assert "came with datspect" in caplog.text


def test_a_params_file_that_is_here_or_named_is_the_one(nowhere: Path) -> None:
    (nowhere / "params.yaml").touch()
    assert params_or_defaults(Path("params.yaml")) == Path("params.yaml")
    assert params_or_defaults(Path("mine.yaml")) == Path("mine.yaml")
