"""The result id follows code, parameters and data, and nothing else."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import datspect
from datspect.params.network import ClassifierParams
from datspect.tracking import provenance as provenance_module
from datspect.tracking.provenance import GitState, git_state, machine, provenance, releases

SECTIONS = {"classifier": ClassifierParams(width=8, dropout=0.5)}


def test_the_id_repeats_and_changes_with_each_ingredient(tmp_path: Path) -> None:
    data = tmp_path / "bank.npy"
    data.write_bytes(b"abc")
    first = provenance("cv", SECTIONS, [data])
    assert provenance("cv", SECTIONS, [data]) == first
    assert provenance("final", SECTIONS, [data]).result_id != first.result_id
    changed = {"classifier": ClassifierParams(width=8, dropout=0.4)}
    assert provenance("cv", changed, [data]).result_id != first.result_id
    data.write_bytes(b"abd")
    assert provenance("cv", SECTIONS, [data]).result_id != first.result_id


def test_the_place_of_the_data_does_not_matter(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bank.npy").write_bytes(b"abc")
    here, there = (provenance("cv", SECTIONS, [tmp_path / name / "bank.npy"]) for name in ("a", "b"))
    assert here.result_id == there.result_id


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of this package."""
    source = Path(datspect.__file__).parent
    return Path(shutil.copytree(source, tmp_path / "datspect", ignore=shutil.ignore_patterns("__pycache__")))


def code_digest(package: Path) -> str:
    """Of stage `cv`, in a process that has the copy."""
    program = (
        "from pathlib import Path; from datspect.tracking.provenance import provenance;"
        "print(provenance('cv', {}, []).result_id)"
    )
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    ).stdout


def test_the_id_follows_the_code_that_the_stage_runs_and_no_other(package: Path) -> None:
    first = code_digest(package)
    for elsewhere in ("commands/tables.py", "stages/report.py", "release/rules.py"):
        with (package / elsewhere).open("a") as file:
            file.write("# a comment\n")
    assert code_digest(package) == first
    with (package / "modeling/stack.py").open("a") as file:
        file.write("# a comment\n")
    assert code_digest(package) != first


def test_what_lies_beside_an_installed_package_does_not_matter(package: Path) -> None:
    first = code_digest(package)
    (package.parent / "keras").mkdir()  # without files, so that Python goes on to the real one
    (package.parent / "tqdm").mkdir()
    assert code_digest(package) == first


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, as the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.lock", "params.yaml", "reports/cv/metrics.json", "data/phantom/dvc.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first")
    git("init", "--quiet")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "first")
    return tmp_path


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_named_and_clean(repository: Path) -> None:
    assert git_state() == GitState(git("rev-parse", "HEAD"))


def test_another_folder_has_the_commit_of_its_own_repository(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git("rev-parse", "HEAD")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert git_state(repository / "reports") == GitState(commit)
    assert git_state() == GitState(None)


@pytest.mark.parametrize("name", ["dvc.lock", "data/phantom/dvc.lock", "reports/cv/metrics.json"])
def test_what_dvc_writes_while_it_runs_makes_nothing_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("second")
    assert not git_state().dirty
    (repository / name).unlink()
    assert not git_state().dirty


def test_a_changed_tracked_file_is_dirty_from_any_folder_and_a_new_one_is_not(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "notes.txt").write_text("not tracked")
    assert not git_state().dirty
    (repository / "params.yaml").write_text("second")
    assert git_state().dirty
    monkeypatch.chdir(repository / "reports")
    assert git_state().dirty


def test_changed_files_are_named_renamed_ones_by_both_names(repository: Path) -> None:
    (repository / "a file.txt").write_text("one")
    (repository / "other.txt").write_text("two" * 99)
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "second")
    (repository / "a file.txt").write_text("changed")
    git("mv", "other.txt", "renamed.txt")
    state = git_state()
    assert set(state.changed) == {"a file.txt", "other.txt", "renamed.txt"}
    assert GitState.from_dict(state.as_dict()) == state


def test_a_record_of_an_earlier_release_says_that_something_unknown_had_changed() -> None:
    assert GitState.from_dict({"commit": "c", "dirty": True}).changed == ("unknown",)
    assert GitState.from_dict({"commit": "c", "dirty": False}).changed == ()


def test_without_a_repository_a_commit_or_git_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_state() == GitState(None)
    git("init", "--quiet")
    assert git_state() == GitState(None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == GitState(None)


def test_releases_are_those_installed() -> None:
    found = releases()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"] == version("numpy")
    assert found["keras"] == version("keras")


def test_the_machine_is_told_by_its_first_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = "processor\t: {}\nvendor_id\t: {}\nmodel name\t: {}\nflags\t\t: fpu avx2 amx_bf16 fma sse2\n\n"
    path = tmp_path / "cpuinfo"
    path.write_text(core.format(0, "GenuineIntel", "Xeon: 8481C") + core.format(1, "other", "other"), encoding="utf-8")
    monkeypatch.setattr(provenance_module, "_CPU_INFO", path)
    found = machine()
    assert (found["processor"], found["instructions"]) == ("Xeon: 8481C", ["amx_bf16", "avx2", "fma"])


def test_a_machine_without_a_list_of_its_processor_is_told_as_far_as_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance_module, "_CPU_INFO", tmp_path / "none")
    found = machine()
    assert found["instructions"] == []
    assert found["processor"]
