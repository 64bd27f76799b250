"""The program answers at once, and says errors without a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import datspect
from datspect.errors import ParamsError
from datspect.running.launch import with_clear_errors

HEAVY = ("tensorflow", "keras", "mlflow", "pandas", "sklearn", "nilearn")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    code = (
        f"import sys; sys.argv = ['datspect', '{option}']\n"
        "from datspect.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"relog", "tables"} <= set(result.stdout.split()) or option == "--version"
    assert result.stdout.rstrip().endswith("heavy: []")


def version(package: Path, folder: Path) -> str:
    """Return what the program in `package` says when it is started in `folder`."""
    command = [sys.executable, "-m", "datspect", "--version"]
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def commit_of(folder: Path) -> str:
    """Commit all that is in `folder`, in a repository of its own, and return the commit."""
    for command in ("init --quiet", "add .", "-c user.name=a -c user.email=a@example.org commit --quiet -m first"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_version_names_the_commit_of_the_source_wherever_it_is_asked(tmp_path: Path) -> None:
    package, elsewhere = tmp_path / "project/src/datspect", tmp_path / "elsewhere"
    shutil.copytree(Path(datspect.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    elsewhere.mkdir()
    (elsewhere / "notes.txt").touch()
    commit_of(elsewhere)
    assert version(package, elsewhere) == f"datspect {datspect.__version__}\n"
    commit = commit_of(tmp_path / "project")
    assert version(package, elsewhere) == f"datspect {datspect.__version__}, commit {commit}\n"
    (package / "py.typed").write_text("changed")
    assert version(package, elsewhere) == f"datspect {datspect.__version__}, commit {commit} + changes\n"


def test_an_installed_package_does_not_take_the_commit_of_the_repository_around_it(tmp_path: Path) -> None:
    package = tmp_path / ".venv/lib/datspect"
    shutil.copytree(Path(datspect.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    commit_of(tmp_path)
    assert version(package, tmp_path) == f"datspect {datspect.__version__}\n"


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
