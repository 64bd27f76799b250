"""A built wheel holds the package alone, and its program works from an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from scripts.check_wheel import problems
from tests.prediction.made_up_predictor import write_striatal_predictor
from tests.repository.files import ROOT, tracked

from datspect import __version__
from datspect.cohort.table import read_cohort

pytestmark = pytest.mark.slow

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the files that git knows or would add."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    wanted = ("src/", "recipes/", "params.yaml", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
    for name in tracked():
        if name.startswith(wanted):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(built), str(source)]
    subprocess.run([*PIP, *build], check=True)
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


@pytest.fixture
def program(installed: Path, tmp_path: Path) -> "Program":
    folder = tmp_path / "empty"
    folder.mkdir()
    return Program(installed, folder)


class Program:
    """The installed program, started in an empty folder of a user who has nothing else."""

    def __init__(self, installed: Path, folder: Path) -> None:
        self.folder = folder
        left_out = ("DVC_ROOT", "MLFLOW_TRACKING_URI", "PYTHONPATH", "XDG_CONFIG_HOME")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        self.environment = kept | {"PYTHONPATH": str(installed), "HOME": str(folder.parent / "home")}

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """What it said on standard output; on standard error where it is to fail."""
        return self._output([sys.executable, "-m", "datspect", *map(str, arguments)], code)

    def python(self, text: str) -> str:
        return self._output([sys.executable, "-c", text], 0)

    def _output(self, command: list[str], code: int) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout


def test_a_wheel_holds_the_package_and_what_it_reads_and_is_small(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert problems(wheel) == []
    assert wheel.name == f"datspect-{__version__}-py3-none-any.whl"


def test_a_wheel_with_tests_or_without_a_template_is_found_out(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    broken = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(broken, "w", zipfile.ZIP_DEFLATED) as other:
        for name in whole.namelist():
            if not name.endswith("card.md.j2"):
                other.writestr(name, whole.read(name))
        other.writestr("tests/test_main.py", "")
    assert problems(broken) == [
        "lacks datspect/reporting/templates/card.md.j2",
        "holds tests/test_main.py, which is not the package's",
    ]


def test_the_program_says_what_it_is_and_has_the_papers_values(program: Program, installed: Path) -> None:
    assert program.run("--version") == f"datspect {__version__}\n"
    assert "evaluate" in program.run("--help")
    found = program.python(
        "from pathlib import Path; from datspect.commands.project import params_or_defaults;"
        "from datspect.params.recipes import read_recipes; path = params_or_defaults(Path('params.yaml'));"
        "print(path, sorted(read_recipes(path)))"
    )
    recipes = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert found == f"{installed}/datspect/defaults/params.yaml {recipes}\n"
    assert "no project here" in program.run("tune", code=1)
    assert list(program.folder.iterdir()) == []


def test_its_program_starts_from_a_virtual_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    venv, folder = tmp_path / "venv", tmp_path / "empty"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [*PIP, "--python", str(venv / "bin/python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    # Packages that it needs are those of the tests; their .pth files, and so this checkout, are not read.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))

    def said(*command: str) -> str:
        environment = {"PATH": str(venv / "bin"), "HOME": str(tmp_path)}
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert said("python", "-c", "import datspect; print(datspect.__file__)") == f"{site}/datspect/__init__.py\n"
    assert said("datspect", "--version") == f"datspect {__version__}\n"
    assert "predict" in said("datspect", "--help")
    assert "--model" in said("datspect", "predict", "--help")


def test_scans_are_predicted_imported_and_evaluated_from_an_empty_folder(program: Program, tiny_cohort: Path) -> None:
    model = program.folder.parent / "model"
    model.mkdir()
    write_striatal_predictor(model)
    (answer,) = json.loads(
        program.run("predict", tiny_cohort / "volumes/S00.nii", "--model", model, "--format", "json")
    )
    assert 0 <= answer["probability"] <= 1
    table = (
        "--participants",
        tiny_cohort / "participants.tsv",
        "--subject-column",
        "subject_id",
        "--file-column",
        "path",
    )
    program.run("import", "nifti", tiny_cohort, *table, "--to", "cohort")
    assert len(read_cohort(program.folder / "cohort").scans) == 6
    found = json.loads(program.run("evaluate", "cohort", "--model", model, "--format", "json"))
    assert found["cohort"]["scans"] == {"control": 3, "pd": 3}
    assert found["shares"]["n_refused"] == 0
