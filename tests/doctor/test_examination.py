"""All checks are run side by side, and one that fails is a finding."""

import subprocess
import sys
import threading
from pathlib import Path

from datspect.doctor.check import Check, Place
from datspect.doctor.examination import examine

PLACE = Place(Path(), is_project=False)


def test_checks_run_side_by_side_and_are_listed_in_their_order() -> None:
    both = threading.Barrier(2, timeout=20)

    def first(place: Place) -> list[Check]:
        both.wait()
        return [Check("first", "ok", "")]

    def second(place: Place) -> list[Check]:
        both.wait()
        return [Check("second", "ok", ""), Check("third", "ok", "")]

    assert [check.name for check in examine(PLACE, (first, second))] == ["first", "second", "third"]


def test_a_check_that_fails_is_a_problem_of_its_own() -> None:
    def broken(place: Place) -> list[Check]:
        raise ZeroDivisionError("of something")

    found = examine(PLACE, (broken, lambda place: [Check("other", "ok", "")]))
    assert [check.outcome for check in found] == ["problem", "ok"]
    assert "ZeroDivisionError: of something" in found[0].finding


def test_neither_doctor_nor_status_loads_anything_heavy_itself() -> None:
    code = (
        "import sys, datspect.doctor.examination, datspect.status.whole, datspect.status.text\n"
        "print({'keras', 'tensorflow', 'jax', 'mlflow', 'optuna', 'dvc'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
