"""The program answers at once, and says errors without a traceback."""

import subprocess
import sys

import pytest

from datspect.errors import ParamsError
from datspect.launch import with_clear_errors

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
    assert "tables" in result.stdout
    assert result.stdout.rstrip().endswith("heavy: []")


def test_an_error_of_the_users_is_a_message_and_exit_code_one() -> None:
    def fail() -> None:
        raise ParamsError("split.n_folds = 1: at least 2")

    with pytest.raises(SystemExit) as stopped:
        with_clear_errors(fail)
    assert stopped.value.code == "error: split.n_folds = 1: at least 2"
