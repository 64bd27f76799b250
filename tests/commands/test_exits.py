"""Exit codes: every command of the table in docs/exit-codes.md ends with them, and says why."""

import shutil
import sys
from pathlib import Path

import pytest
from tests.commands.documented import codes_of_commands
from tests.commands.test_command_lines import commands

from datspect import __main__
from datspect.commands.exits import FOUND, NO_VERDICT, SIGNALLED, STOPPED, WRONG_USE
from datspect.doctor import examination
from datspect.doctor.check import Check

ROOT = Path(__file__).parents[2]
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parameters and recipes, but no project and no results."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "here"
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copytree(ROOT / "recipes", root / "recipes")
    (root / "full").mkdir()
    (root / "full/file").touch()
    monkeypatch.chdir(root)
    return root


def ended(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    """The exit code of the program with these arguments."""
    monkeypatch.setattr(sys, "argv", ["datspect", *line.split()])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    code = end.value.code
    if isinstance(code, str):  # what Python prints, and ends with 1
        sys.stderr.write(f"{code}\n")
        return 1
    return int(code or 0)


ERRORS = {
    "compare": "workspace workspace",
    "evaluate": "nowhere",
    "import dicom": "nowhere --participants p.csv --to cohort",
    "import nifti": "nowhere --participants p.csv --to cohort",
    "import ppmi": "nowhere --csv c.csv --to cohort",
    "phantom native": "full",
    "predict": "nowhere.nii",
    "promote": "--force --reason r",
    "recipe": "nope",
    "register": "",
    "relog": "",
    "reproduced": "",
    "rollback": "--reason r",
    "serve": "champion --copy-to full",
    "status": "",
    "tables": "",
    "trace": "champion",
    "tune": "--reports full/file/tune",
    "verify": "",
}
"""Command lines that cannot be answered in an empty folder."""
WRONG = {
    "compare": "",
    "doctor": "--seconds 0",
    "evaluate": "",
    "import dicom": "nowhere",
    "import nifti": "nowhere",
    "import ppmi": "nowhere",
    "phantom native": "there --n 0",
    "predict": "",
    "promote": "--force",
    "recipe": "--as-overrides",
    "register": "--no-such-option",
    "relog": "and more",
    "reproduced": "--format xml",
    "rollback": "",
    "serve": "--port 0",
    "status": "too much",
    "tables": "--into README.md --format json",
    "trace": "1 2",
    "tune": "--nested --apply",
    "verify": "everything",
}
NOTHING_ASKED_OF_MLFLOW = {"promote", "rollback", "serve", "trace"}


def test_the_table_has_every_command_and_no_other() -> None:
    assert set(codes_of_commands()) == commands() == set(WRONG) == {*ERRORS, "doctor"}


def test_the_codes_have_one_meaning_each() -> None:
    text = (ROOT / "docs/exit-codes.md").read_text("utf-8")
    for code in (0, FOUND, WRONG_USE, NO_VERDICT):
        assert text.count(f"\n| {code} | ") == 1
    assert STOPPED == SIGNALLED + 2
    assert set().union(*codes_of_commands().values()) <= {0, FOUND, WRONG_USE, NO_VERDICT, STOPPED}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong_use_ends_with_two_and_nothing_on_standard_output(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    assert ended(monkeypatch, f"{name} {WRONG[name]}") == WRONG_USE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "error" in printed.err.lower()


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_ends_with_one_and_a_message_on_standard_error(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(folder / "full"))  # a folder: refused before MLflow is asked
    assert ended(monkeypatch, f"{name} {ERRORS[name]}") == FOUND
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") or "\nerror: " in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("line", ["--help", "--version", "recipe", "recipe --format json", "recipe striatum"])
def test_what_works_ends_with_zero(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(monkeypatch, line) == 0


@pytest.mark.parametrize(("outcome", "code"), [("ok", 0), ("warning", 0), ("problem", FOUND)])
def test_the_doctor_ends_with_one_at_a_problem_alone(
    outcome: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Check("made up", outcome, "found", "do")  # type: ignore[arg-type]
    monkeypatch.setattr(examination.examine, "__defaults__", ((lambda _: [check],),))
    assert ended(monkeypatch, "doctor") == code


def test_without_arguments_help_is_printed_and_the_code_says_that_nothing_was_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    for line in ("", "import", "phantom"):
        assert ended(monkeypatch, line) == WRONG_USE
        assert "Usage" in capsys.readouterr().out


def test_ctrl_c_ends_with_the_code_of_shells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> list[Check]:
        raise KeyboardInterrupt

    monkeypatch.setattr("datspect.doctor.examination.examine", interrupted)
    assert ended(monkeypatch, "doctor") == STOPPED
