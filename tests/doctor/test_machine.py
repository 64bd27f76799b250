"""What is said of Python and the machine."""

import pytest

from datspect.doctor.machine import cores_check, memory_check, platform_check, python_check

SUPPORTED = "<3.14,>=3.11"


@pytest.mark.parametrize("release", [(3, 11, 0), (3, 13, 9)])
def test_supported_releases_of_python_are_fine(release: tuple[int, ...]) -> None:
    assert python_check(release, SUPPORTED).outcome == "ok"


@pytest.mark.parametrize("release", [(3, 10, 14), (3, 14, 0), (4, 0, 0)])
def test_other_releases_are_a_problem_with_what_to_do(release: tuple[int, ...]) -> None:
    check = python_check(release, SUPPORTED)
    assert (check.outcome, ">=3.11, <3.14" in check.finding, "make PYTHON" in check.remedy) == ("problem", True, True)


def test_a_package_that_is_not_installed_supports_nobody_knows_what() -> None:
    assert python_check((3, 12, 1), "").outcome == "ok"


def test_windows_is_told_of_wsl() -> None:
    assert "WSL" in platform_check("Windows").remedy
    assert platform_check("Linux").outcome == "ok"


def test_cores_that_are_not_for_this_process_are_named() -> None:
    assert cores_check(64, 4).finding.startswith("4 of 64")


def test_memory_is_held_against_the_hungriest_stage() -> None:
    assert memory_check(16e9, 8e9).outcome == "ok"
    assert memory_check(16e9, 1e9).outcome == "warning"
    assert memory_check(1e9, 8e9).outcome == "problem"
