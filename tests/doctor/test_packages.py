"""Installed packages are held against the locked ones."""

from pathlib import Path

import pytest

from datspect.doctor.check import Place
from datspect.doctor.packages import asked_check, checks, locked_check

ROOT = Path(__file__).parents[2]
LOCKED = """\
absl-py==2.5.1 \\
    --hash=sha256:00
    # via keras
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
jax==0.10.2 ; python_full_version < '3.12' \\
jax==0.12.0.1 ; python_full_version >= '3.12' \\
psycopg[binary]==3.2.1 \\
"""
INSTALLED = {"absl-py": "2.5.1", "jax": "0.12.0.1", "psycopg": "3.2.1", "pytest": "9"}


def test_packages_as_locked_are_fine_and_those_of_other_platforms_may_be_missing() -> None:
    check = locked_check(INSTALLED, LOCKED, "cpu")
    assert (check.outcome, check.finding) == ("ok", "all 3 as requirements/cpu.txt locks them")


def test_another_release_is_a_warning_that_names_both() -> None:
    check = locked_check({**INSTALLED, "absl-py": "1.0"}, LOCKED, "cpu")
    assert check.outcome == "warning"
    assert check.finding == "1 of 3 differ from requirements/cpu.txt: absl-py 1.0 (locked: 2.5.1)"
    assert "make setup GROUP=cpu" in check.remedy


def test_a_missing_package_is_a_problem() -> None:
    check = locked_check({"jax": "0.10.2", "psycopg": "3.2.1"}, LOCKED, "jax")
    assert (check.outcome, "absl-py missing" in check.finding) == ("problem", True)


def test_of_many_that_differ_some_are_named() -> None:
    lock = "".join(f"package-{k}==1.0\n" for k in range(10))
    check = locked_check({f"package-{k}": "2.0" for k in range(10)}, lock, "cpu")
    assert "10 of 10 differ" in check.finding
    assert check.finding.endswith("and 4 more")


def test_outside_a_project_the_packages_own_wishes_count(tmp_path: Path) -> None:
    (check,) = checks(Place(tmp_path, is_project=False))
    assert (check.name, check.outcome) == ("packages", "ok")
    assert asked_check({}).outcome == "problem"
    assert "numpy" in asked_check({}).finding


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_the_locks_of_this_project_are_understood(path: Path) -> None:
    text = path.read_text("utf-8")
    pins = (line.split()[0] for line in text.splitlines() if "==" in line and not line.startswith((" ", "#")))
    installed = {name.partition("[")[0]: release for name, _, release in (pin.partition("==") for pin in pins)}
    check = locked_check(installed, text, path.stem)
    assert (check.outcome, check.finding.split()[1]) == ("ok", str(len(installed)))
