"""dvc.lock against what is on disk and in git; DVC itself says what is right."""

import sys
from pathlib import Path

import pytest
from tests.release.repositories import commit, commit_lock, run

from datspect.errors import PromotionError
from datspect.release.dvc_lock import (
    commit_named,
    commit_of,
    content_md5,
    differing_outputs,
    experiments_named,
    locked_outputs,
    recipe_digest,
    remark_on,
)
from datspect.tracking.provenance import committed_text

STAGES = """
stages:
  make:
    cmd: >-
      python -c "import pathlib; p = pathlib.Path('out/sub'); p.mkdir(parents=True, exist_ok=True);
      (p / 'b.txt').write_text('b'); pathlib.Path('out/ä.txt').write_text('a');
      pathlib.Path('file.txt').write_text('c')"
    outs: [out, file.txt]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that DVC has run."""
    folder = tmp_path_factory.mktemp("dvc")
    run(folder, "git", "init", "--quiet")
    run(folder, sys.executable, "-m", "dvc", "init", "-q")
    (folder / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    run(folder, sys.executable, "-m", "dvc", "repro", "-q")
    return folder


@pytest.mark.slow
def test_hashes_are_those_of_dvc_and_a_change_is_seen(project: Path) -> None:
    locked = locked_outputs(project)
    assert set(locked) == {"out", "file.txt"}
    assert {path: content_md5(project / path) for path in locked} == locked
    assert differing_outputs(project, ["out", "file.txt"]) == []
    changed = project / "out/sub/b.txt"
    changed.chmod(0o644)
    changed.write_text("other")
    assert differing_outputs(project, ["out", "file.txt"]) == ["out"]
    changed.write_text("b")


@pytest.mark.slow
def test_the_commit_whose_lock_has_the_results_is_found_on_any_branch(project: Path) -> None:
    locked = locked_outputs(project)
    assert commit_of(project, locked) is None  # not committed yet
    first = commit(project, "results")
    run(project, "git", "checkout", "-q", "-b", "other")
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
    commit(project, "no results")
    assert commit_of(project, locked) == first
    assert commit_of(project, {**locked, "out": "0" * 32}) is None
    run(project, "git", "checkout", "-q", first)


def test_a_missing_or_broken_lock_is_said(tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match=r"dvc.lock: not found; run dvc repro"):
        locked_outputs(tmp_path)
    for text in ("stages: [", "nothing: here", "- a", ""):
        (tmp_path / "dvc.lock").write_text(text, encoding="utf-8")
        with pytest.raises(PromotionError, match="not a lock file"):
            locked_outputs(tmp_path)
    with pytest.raises(PromotionError, match="not found"):
        content_md5(tmp_path / "gone")


def test_without_git_no_commit_has_anything(tmp_path: Path) -> None:
    assert commit_of(tmp_path, {"out": "0" * 32}) is None


def test_commits_and_their_files_are_found_by_any_name_of_git(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "ä.txt").write_text("one", encoding="utf-8")
    first = commit(tmp_path, "first")
    (tmp_path / "ä.txt").write_text("two", encoding="utf-8")
    commit(tmp_path, "second")
    assert [commit_named(tmp_path, name) for name in ("main~1", first[:8], "nobody", "-h")] == [
        first,
        first,
        None,
        None,
    ]
    assert committed_text(tmp_path, first, "ä.txt") == "one"
    assert committed_text(tmp_path, first, "b.txt") is None
    run(tmp_path, "git", "update-ref", f"refs/exps/{first[:2]}/{first[2:]}/try", "main")
    run(tmp_path, "git", "update-ref", "refs/exps/exec/EXEC_HEAD", "main")
    assert experiments_named(tmp_path, "try") == {first: commit_named(tmp_path, "main")}
    assert experiments_named(tmp_path, "EXEC_HEAD") == {}
    assert commit_named(tmp_path / "elsewhere", "main") is None


LOCK = """
stages:
  first: {cmd: one, deps: [{path: src/a.py, md5: "1"}], params: {params.yaml: {x: 1}}, outs: [{path: data, md5: "2"}]}
  second: {cmd: two, deps: [{path: data, md5: "2"}, {path: src/b.py, md5: "3"}], outs: [{path: model, md5: "4"}]}
  third: {cmd: three, deps: [{path: data/sub/table.csv, md5: "8"}, {path: database, md5: "9"}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('{path: model, md5: "4"}', '{path: model, md5: "5"}', True),
        ('{path: data, md5: "2"}', '{path: data, md5: "6"}', True),  # made by one stage and read by the other
        ('md5: "8"', 'md5: "7"', True),  # in a folder that a stage makes
        ('md5: "9"', 'md5: "7"', False),
        ('md5: "1"', 'md5: "7"', False),
        ('md5: "3"', 'md5: "7"', False),
        ("x: 1", "x: 2", False),
        ("cmd: two", "cmd: four", False),
        ("second:", "another:", False),
    ],
)
def test_a_recipe_is_all_but_what_the_stages_made(old: str, new: str, same: bool) -> None:
    assert old in LOCK
    assert (recipe_digest(LOCK.replace(old, new)) == recipe_digest(LOCK)) is same


def test_results_that_the_lock_does_not_name_are_told_in_one_line(tmp_path: Path) -> None:
    names = ("reports/cv/table1.csv", "reports/cv/metrics.json")
    paths = [tmp_path / name for name in names]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.write_text("as it was made")
    assert remark_on(tmp_path, paths).startswith("there is no dvc.lock")
    (tmp_path / "dvc.lock").write_text("")
    commit_lock(tmp_path, {name: content_md5(tmp_path / name) for name in names})
    assert remark_on(tmp_path, paths) == ""
    paths[1].write_text("of another start")
    said = remark_on(tmp_path, [*paths, tmp_path / "not there"])
    assert said.startswith("NOT what dvc.lock names: reports/cv/metrics.json; another start wrote there")
    assert "dvc checkout" in said
    assert "\n" not in said
    assert remark_on(tmp_path, [tmp_path / "not there"]) == ""


def test_a_file_in_a_folder_that_is_an_output_is_compared_with_that_folder(tmp_path: Path) -> None:
    file = tmp_path / "reports/grouped/metrics.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    commit_lock(tmp_path, {"reports/grouped": content_md5(file.parent)})
    assert remark_on(tmp_path, [file]) == ""
    file.write_text("of another start")
    assert "reports/grouped/metrics.json" in remark_on(tmp_path, [file])


def test_results_are_compared_wherever_the_command_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text("{}")
    commit_lock(tmp_path, {"reports/metrics.json": content_md5(tmp_path / "reports/metrics.json")})
    monkeypatch.chdir(tmp_path / "reports")
    assert remark_on(tmp_path, [Path("metrics.json")]) == ""
