"""Deleted outputs that DVC's cache still has are restored, and nothing is run for them: as DVC itself does it."""

import subprocess
import sys
from pathlib import Path

import pytest

from datspect.status.graph import graph_status
from datspect.status.restored import unchanged_but_for_outputs
from datspect.status.text import status_text

PIPELINE = """
stages:
  first:
    cmd: mkdir -p folder && cp source folder/a && cp source file
    deps: [source]
    outs: [folder, file]
  second:
    cmd: sed s/^/second/ file > copy && cp file metrics.json
    deps: [file]
    params: [wanted]
    outs: [copy]
    metrics: [metrics.json: {cache: false}]
  third:
    cmd: cp copy last
    deps: [copy]
    outs: [last]
"""


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text("wanted: 1\n")
    (tmp_path / "source").write_text("1")
    dvc(tmp_path, "init", "--quiet", "--no-scm")
    dvc(tmp_path, "repro")
    return tmp_path


def ran(root: Path) -> list[str]:
    """Reproduce, and return the stages that ran."""
    return [line.split("'")[1] for line in dvc(root, "repro").splitlines() if line.startswith("Running stage")]


def graph_lines(graph: dict[str, object]) -> list[str]:
    status = {
        "cohort": {"kind": None, "path": "x"}, "recipe": {"title": "paper", "differing": {}},
        "study": {"parameters_from": None, "studies": []}, "versions": {"unknown": "x"},
        "model": {"digest": None, "model": "paper"}, "results": {"headline": "none"}, "graph": graph,
    }  # fmt: skip
    text = status_text(status)
    return [line.strip() for line in text[text.index("dvc repro ") + len("dvc repro ") :].strip().splitlines()]


@pytest.mark.slow
def test_deleted_outputs_are_restored_and_what_reads_them_is_not_run(project: Path) -> None:
    for path in ("folder/a", "file", "copy", "metrics.json"):
        (project / path).unlink()
    found = graph_status(project, 60)
    assert (found["up_to_date"], found["stages"], found["then"]) == (False, {}, [])
    assert found["restored"] == {
        "first": ["folder modified", "file deleted"],
        "second": ["copy deleted", "metrics.json deleted"],
    }
    assert graph_lines(found)[:2] == ["would run nothing", "would restore 2 stages from DVC's cache:"]
    assert ran(project) == []
    assert graph_status(project, 60)["up_to_date"] is True


@pytest.mark.slow
def test_what_the_cache_has_lost_is_made_anew_and_what_follows_is_said(project: Path) -> None:
    (project / "folder" / "a").unlink()
    (project / "last").unlink()
    (project / "source").write_text("2")
    found = graph_status(project, 60)
    assert (list(found["stages"]), found["then"]) == (["first"], ["second", "third"])
    assert list(found["restored"]) == ["third"]
    assert "first" in ran(project)
    (project / "copy").unlink()
    for cached in (project / ".dvc" / "cache" / "files" / "md5").rglob("*"):
        if cached.is_file() and cached.read_text() == "second2":
            cached.chmod(0o600)
            cached.unlink()
    found = graph_status(project, 60)
    assert (list(found["stages"]), found["restored"]) == (["second", "third"], {})
    assert "second" in ran(project)


LOCK = """
schema: '2.0'
stages:
  first: {cmd: x, outs: [{path: a, md5: '1122'}]}
  second: {cmd: x, deps: [{path: a, md5: '1122'}], outs: [{path: b, md5: '1122'}]}
"""


@pytest.mark.parametrize(
    ("change", "is_restored"),
    [
        ({"changed outs": {"b": "deleted"}}, True),
        ({"changed outs": {"b": "modified"}}, True),
        ({"changed outs": {"b": "not in cache"}}, False),
        ({"changed deps": {"a": "deleted"}}, False),
        ({"changed deps": {"params.yaml": {"x": "modified"}}}, False),
        ({"changed deps": {"src/a.py": "modified"}}, False),
        ("changed command", False),
    ],
)
def test_only_outputs_may_have_changed(change: object, is_restored: bool, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    cached = tmp_path / ".dvc/cache/files/md5/11/22"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert unchanged_but_for_outputs(tmp_path, {"second": [change]}) == (["second"] if is_restored else [])


def test_a_stage_that_reads_nothing_runs_whatever_the_cache_has(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert unchanged_but_for_outputs(tmp_path, {"first": [{"changed outs": {"a": "deleted"}}]}) == []
