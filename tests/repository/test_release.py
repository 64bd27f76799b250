"""`make release` finds every reason not to release, and changes nothing but dist/ unless it is to tag."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.repository.files import ROOT

from datspect import __version__

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-31\n\n- A line.\n"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that can be released as 1.2.3; building it writes a wheel's name and nothing more."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    for folder in ("scripts", "src/datspect", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts/release", tmp_path / "scripts")
    (tmp_path / "src/datspect/__init__.py").write_text('"""A package."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / ".gitignore").write_text("/.venv/\n/dist/\n")
    for name, body in (
        ("uv", "mkdir -p dist && echo wheel > dist/datspect-1.2.3-py3-none-any.whl"),
        ("python", "true"),
    ):
        (tmp_path / ".venv/bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / ".venv/bin" / name).chmod(0o755)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def release(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "scripts/release", *options], cwd=project, check=False, capture_output=True, text=True)


def test_a_dry_run_builds_and_says_what_it_would_tag_and_tags_nothing(project: Path) -> None:
    done = release(project)
    assert done.returncode == 0, done.stderr
    assert f"would tag {git(project, 'rev-parse', '--short', 'HEAD')} as v1.2.3" in done.stdout
    assert ".ci/run" in done.stdout
    assert "datspect-1.2.3-py3-none-any.whl" in done.stdout
    assert git(project, "tag") == ""
    assert git(project, "status", "--porcelain") == ""


def test_with_tag_the_commit_is_tagged_and_nothing_is_pushed(project: Path) -> None:
    done = release(project, "--tag")
    assert done.returncode == 0, done.stderr
    assert git(project, "rev-parse", "v1.2.3^{commit}") == git(project, "rev-parse", "HEAD")
    assert "next: git push origin v1.2.3" in done.stdout


def test_all_that_is_missing_is_said_at_once_and_nothing_is_built(project: Path) -> None:
    git(project, "tag", "v1.2.3")
    (project / "CHANGELOG.md").write_text(CHANGELOG.replace("[1.2.3]", "[1x2x3]"))
    done = release(project, "--tag")
    assert done.returncode == 1
    for problem in (
        "the tree has changes",
        "CHANGELOG.md has no heading '## [1.2.3] - YYYY-MM-DD'",
        "tag v1.2.3 is there",
    ):
        assert problem in done.stderr
    assert not (project / "dist").exists()


@pytest.mark.parametrize("version", ["1.2", "1.2.3.dev0", "v1.2.3"])
def test_a_version_that_is_none_is_refused(project: Path, version: str) -> None:
    (project / "src/datspect/__init__.py").write_text(f'__version__ = "{version}"\n')
    git(project, "commit", "--quiet", "-am", "another version")
    done = release(project)
    assert done.returncode == 1
    assert f"is '{version}'; expected one such as 1.2.3" in done.stderr


def test_the_version_stands_in_one_place_and_the_changelog_has_a_part_for_what_comes() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'dynamic = ["version"]' in text
    assert 'version = { attr = "datspect.__version__" }' in text
    assert __version__ not in text
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_a_citation_names_no_other_version() -> None:
    path = ROOT / "CITATION.cff"
    if path.is_file():
        assert YAML(typ="safe", pure=True).load(path.read_text("utf-8")).get("version", __version__) == __version__
