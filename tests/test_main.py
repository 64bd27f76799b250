"""The program answers at once, and says errors without a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from datspect.errors import ParamsError
from datspect.running.launch import with_clear_errors

HEAVY = ("tensorflow", "keras", "mlflow", "pandas", "sklearn", "nilearn")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['datspect', '--help']\n"
        "from datspect.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"relog", "tables"} <= set(result.stdout.split())
    assert result.stdout.rstrip().endswith("heavy: []")


def test_an_error_of_the_users_is_a_message_and_exit_code_one() -> None:
    def fail() -> None:
        raise ParamsError("split.n_folds = 1: at least 2")

    with pytest.raises(SystemExit) as stopped:
        with_clear_errors(fail)
    assert stopped.value.code == "error: split.n_folds = 1: at least 2"


def test_a_command_that_fails_ends_with_one_line_and_exit_code_one(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "datspect", "relog", "--params", str(tmp_path / "absent.yaml")]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "absent.yaml: cannot be read" in result.stderr
    assert "Traceback" not in result.stderr
