"""What is said of a project: git, parameters, precision, data."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from datspect.doctor.check import Place
from datspect.doctor.project import checks, data_check, git_check, identity_check, params_check, precision_check
from datspect.params.whole import load_params

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    return tmp_path


def change(root: Path, pattern: str, by: str) -> None:
    text, n = re.subn(pattern, by, (root / "params.yaml").read_text("utf-8"), count=1)
    assert n == 1
    (root / "params.yaml").write_text(text, "utf-8")


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def place(root: Path) -> Place:
    return Place(root, is_project=True)


def test_without_a_project_that_is_said_and_is_no_problem(tmp_path: Path) -> None:
    found = checks(Place(tmp_path, is_project=False))
    assert [check.name for check in found] == ["project", "git"]
    assert {check.outcome for check in found} == {"ok"}


def test_the_commit_and_changed_files_are_counted(root: Path) -> None:
    git(root, "init", "--quiet", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    assert git_check(place(root)).finding.endswith("on main, nothing changed")
    change(root, "width: 128", "width: 96")
    assert git_check(place(root)).finding.endswith("1 changed file")


def test_a_copy_without_git_needs_dvc_to_be_told(root: Path) -> None:
    check = git_check(place(root))
    assert (check.outcome, "sh scripts/prepare-dvc" in check.remedy) == ("problem", True)
    (root / ".dvc").mkdir()
    (root / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert git_check(place(root)).outcome == "warning"


def test_who_commits_is_asked_of_git_and_not_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, str(root / "gitconfig"))
    assert "git identity" not in [check.name for check in checks(place(root))]  # there is no repository to commit to
    git(root, "init", "--quiet")
    nobody = next(check for check in checks(place(root)) if check.name == "git identity")
    assert (nobody.outcome, "user.name and user.email are not set" in nobody.finding) == ("warning", True)
    assert 'git config --global user.name "Your Name" && git config --global user.email' in nobody.remedy
    git(root, "config", "user.name", "Anna Blume")
    half = identity_check(root)
    assert half.finding.startswith("user.email is not set")
    assert half.remedy == "git config --global user.email you@example.org"
    git(root, "config", "user.email", "anna@example.org")
    known = identity_check(root)
    assert (known.outcome, known.remedy) == ("ok", "")
    assert "Anna" not in known.finding


def test_valid_parameters_are_named_by_their_recipe(root: Path) -> None:
    assert params_check(root).finding == "valid; recipe paper"
    change(root, "width: 128", "width: 96")
    assert params_check(root).finding == "valid; recipe paper, changed: 1 value differs (datspect recipe)"


def test_invalid_ones_are_a_problem_with_the_dotted_key(root: Path) -> None:
    change(root, "n_folds: 10", "n_folds: 1")
    check = params_check(root)
    assert check.outcome == "problem"
    assert "split.n_folds = 1" in check.finding
    assert "\n" not in check.finding


def test_bfloat16_needs_a_processor_that_knows_it(root: Path) -> None:
    assert precision_check(load_params(root / "params.yaml"), []).outcome == "ok"
    change(root, "precision: float32", "precision: bfloat16")
    params = load_params(root / "params.yaml")
    assert precision_check(params, ["avx2"]).outcome == "warning"
    assert "backbone.precision" in precision_check(params, ["avx2"]).remedy
    assert precision_check(params, ["avx2", "avx512_bf16"]).outcome == "ok"


def test_a_cohort_that_is_not_there_is_a_problem_unless_it_is_the_phantom(root: Path) -> None:
    assert data_check(root, load_params(root / "params.yaml")).outcome == "ok"
    change(root, "path: data/phantom/cohort", "path: data/ppmi")
    check = data_check(root, load_params(root / "params.yaml"))
    assert (check.outcome, "datspect import" in check.remedy) == ("problem", True)


def test_outputs_that_are_missing_are_counted(root: Path) -> None:
    outs = "".join(f"    - {{path: {name}, md5: '1'}}\n" for name in ("one", "two"))
    (root / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n{outs}")
    (root / "one").touch()
    check = data_check(root, load_params(root / "params.yaml"))
    assert (check.outcome, "1 of 2 outputs of dvc.lock" in check.finding) == ("warning", True)
