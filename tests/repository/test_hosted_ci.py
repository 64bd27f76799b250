"""The files of hosted CI: valid, they call what there is, hold no secret, and trust no fork."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.repository.files import ROOT, problems_of_line

CHECKS, COMMENT, GITLAB = ".github/workflows/checks.yml", ".github/workflows/comment.yml", ".gitlab-ci.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
UNTRUSTED = re.compile(r"github\.(event|head_ref)")
"""What whoever opens a pull request writes; in a script it could be a command."""


def read(name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load((ROOT / name).read_text("utf-8")))


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in read(name)["jobs"].values() for step in job["steps"]]


def scripts(name: str) -> list[str]:
    """All lines of shell that a file runs."""
    if name != GITLAB:
        return [step["run"] for step in steps(name) if "run" in step]
    jobs = [job for job in read(name).values() if isinstance(job, dict)]
    return [line for job in jobs for key in ("before_script", "script") for line in job.get(key, [])]


@pytest.mark.parametrize("name", [CHECKS, COMMENT, GITLAB])
def test_every_target_and_script_that_is_named_is_there(name: str) -> None:
    assert scripts(name)
    assert [problem for line in scripts(name) for problem in problems_of_line(line)] == []


@pytest.mark.parametrize("name", [CHECKS, COMMENT, GITLAB])
def test_every_script_is_one_that_a_shell_can_parse(name: str) -> None:
    for line in scripts(name):
        subprocess.run(["sh", "-n", "-c", line], check=True)


@pytest.mark.parametrize("name", [CHECKS, GITLAB])
def test_lint_tests_and_results_are_what_a_person_would_run(name: str) -> None:
    lines = scripts(name)
    assert {"make check", ".ci/run", "make repro"} <= set(lines)
    assert any(line.startswith("sh scripts/results-comment") for line in lines)
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize("name", [CHECKS, COMMENT, GITLAB])
def test_no_secret_stands_in_a_file_or_on_a_command_line(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "secrets." not in text
    assert not re.search(r"(glpat|ghp|github_pat)[-_]\w+", text)
    for line in scripts(name):
        assert not re.search(r"(?i)(--header|-H)[ =]\S*token", line)


def test_code_of_a_pull_request_runs_with_a_token_that_reads_alone_and_is_not_kept() -> None:
    workflow = read(CHECKS)
    assert set(workflow["on"]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    assert not [job for job in workflow["jobs"].values() if "permissions" in job]
    checkouts = [step for step in steps(CHECKS) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(workflow["jobs"])


def test_what_may_write_comments_takes_no_code_from_a_pull_request() -> None:
    workflow = read(COMMENT)
    assert workflow["on"] == {"workflow_run": {"workflows": [read(CHECKS)["name"]], "types": ["completed"]}}
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["post"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert [step for step in steps(COMMENT) if "uses" in step] == []
    (script,) = scripts(COMMENT)
    assert not re.search(r"git (clone|fetch|checkout)|make |python|sh ", script)


@pytest.mark.parametrize("name", [CHECKS, COMMENT])
def test_no_script_holds_text_that_a_stranger_writes(name: str) -> None:
    found = [expression for line in scripts(name) for expression in EXPRESSION.findall(line)]
    assert [expression for expression in found if UNTRUSTED.match(expression)] == []


def test_only_actions_of_the_forge_itself_are_used_at_a_fixed_major_version() -> None:
    used = [step["uses"] for step in steps(CHECKS) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", each) for each in used)


def test_every_job_ends_by_itself() -> None:
    jobs = [job for name in (CHECKS, COMMENT) for job in read(name)["jobs"].values()]
    assert all(job["timeout-minutes"] <= 120 for job in jobs)


def test_a_merge_request_of_a_fork_is_not_given_the_token() -> None:
    job = read(GITLAB)["comment"]
    assert job["environment"]["name"] == "comment"
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in job["rules"][0]["if"]
    assert job["variables"]["GIT_STRATEGY"] == "none"
    others = {key: value for key, value in read(GITLAB).items() if key != "comment"}
    assert "TOKEN" not in str(others)


REPORT = """# PHANTOM cohort, simulated: DaTscan SPECT

## Summary

- 659 scans were classified, once more for a holdout of 132.
- Out of fold it is 0.9165; on the holdout they are 0.8939 (0.8 to 0.9) and 0.9561 (0.9 to 1). The paper states 0.9645.

### How to read the figures

- Not this.
"""


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """A project with a report, and a dvc that answers with what changed."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    script = tmp_path / "scripts/results-comment"
    script.write_text((ROOT / "scripts/results-comment").read_text("utf-8"))
    (tmp_path / "reports/report.md").write_text(REPORT)
    dvc = tmp_path / ".venv/bin/dvc"
    dvc.write_text(
        '#!/bin/sh\nprintf "| Path | Metric |\\n|---|---|\\n"\n[ "$7" = same ] || echo "| m | cv.accuracy |"\n'
    )
    dvc.chmod(dvc.stat().st_mode | stat.S_IXUSR)
    return script


def comment(script: Path, base: str) -> str:
    return subprocess.run(["sh", str(script), base], check=True, capture_output=True, text=True).stdout


def test_a_comment_has_what_changed_and_the_summary_but_nothing_of_the_holdout(compared: Path) -> None:
    said = comment(compared, "abc")
    assert said.startswith("### PHANTOM cohort, simulated")
    assert "| m | cv.accuracy |" in said
    assert "- Out of fold it is 0.9165. The paper states 0.9645." in said
    assert "once more for a holdout of 132" in said
    assert "0.8939" not in said
    assert "Not this" not in said


def test_a_comment_says_that_no_measure_changed(compared: Path) -> None:
    assert "No measure changed." in comment(compared, "same")


def test_a_comment_without_a_report_says_what_to_do(compared: Path) -> None:
    (compared.parents[1] / "reports/report.md").unlink()
    done = subprocess.run(["sh", str(compared), "abc"], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "run dvc repro first" in done.stderr
