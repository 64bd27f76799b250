"""What is said of DVC, its cache and remotes, and of the disk."""

import subprocess
import sys
from pathlib import Path

import pytest

from datspect.doctor.check import Place
from datspect.doctor.dvc import Cache, cache_check, checks, disk_check, dvc_check, link_in_use, remotes_check
from datspect.running.programs import Said


def test_a_dvc_that_is_missing_or_fails_is_a_problem() -> None:
    assert dvc_check(Said(0, "DVC version: 3.67.1 (pip)\n---\n")).finding == "3.67.1 (pip)"
    assert dvc_check(Said(1, "", "/usr/bin/python: No module named dvc")).finding == "not installed"
    check = dvc_check(Said(255, "", "ERROR: failed\nyou are not inside of a git repository"))
    assert (check.outcome, "scripts/prepare-dvc" in check.remedy) == ("problem", True)


@pytest.mark.parametrize(
    ("asked", "possible", "link"),
    [
        ("reflink,copy", "reflink, hardlink, symlink", "reflink"),
        ("reflink,copy", "hardlink, symlink", "copy"),
        ("reflink,hardlink,symlink,copy", "hardlink, symlink", "hardlink"),
        ("symlink", "", "copy"),
    ],
)
def test_the_link_in_use_is_the_first_asked_for_that_the_disk_allows(asked: str, possible: str, link: str) -> None:
    assert link_in_use(asked, possible) == link


def test_links_that_a_careless_hand_would_write_through_are_warned_of() -> None:
    outcomes = {link: cache_check(Cache(Path("/c"), "ext4 on /dev/vda", link)).outcome for link in
                ("reflink", "hardlink", "symlink", "copy")}  # fmt: skip
    assert outcomes == {"reflink": "ok", "hardlink": "warning", "symlink": "warning", "copy": "ok"}


def test_remotes_are_named() -> None:
    settings = {"core.remote": "team", "remote.team.url": "s3://bucket/x", "remote.old.url": "/mnt/old"}
    assert remotes_check(settings).finding == "old (/mnt/old), team (s3://bucket/x, default)"
    assert "none" in remotes_check({"remote.team.password": "pw"}).finding
    secret = remotes_check({"remote.a.url": "https://ann:pw@host/x", "remote.a.password": "pw"}).as_record()
    assert "pw" not in str(secret)


@pytest.mark.parametrize("url", ["https://ann:p@pw@host/x", "https://ann:p/pw@host/x", "https://host/x?sig=pw"])
def test_no_login_or_signature_of_a_remote_is_shown(url: str) -> None:
    assert remotes_check({"remote.a.url": url}).finding == "a (https://host/x)"


def test_the_disk_is_held_against_what_the_graph_needs() -> None:
    assert disk_check(10e9, 4e9, 4e9).outcome == "ok"
    assert disk_check(3e9, 4e9, 0).outcome == "warning"
    assert disk_check(3e9, 4e9, 4e9).outcome == "problem"
    assert "make repro needs 4.0 GB more" in disk_check(3e9, 4e9, 4e9).finding
    assert disk_check(3e9, 0, 0).outcome == "ok"


@pytest.mark.slow
def test_dvc_itself_is_asked(tmp_path: Path) -> None:
    for command in ("git init --quiet", f"{sys.executable} -m dvc init --quiet"):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - {path: one, md5: '1', size: 3000000000}\n"
    )
    found = {check.name: check for check in checks(Place(tmp_path, is_project=True, seconds=60))}
    assert list(found) == ["DVC", "DVC cache", "remotes", "disk"]
    assert found["DVC"].outcome == "ok"
    assert str(tmp_path / ".dvc/cache") in found["DVC cache"].finding
    assert "GB more" in found["disk"].finding
