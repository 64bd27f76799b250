"""Parameters are compared by value, and what only one side names is listed."""

import pytest

from datspect.release.parameters import parameter_differences, same_value


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("1", "1.0", True),
        ("1e-06", "0.000001", True),
        ("[40, 41]", "[40,41]", True),
        ("true", "1", False),
        ("null", "none", False),
        ("step", "step", True),
        ("0.5", "0.3", False),
    ],
)
def test_values_are_equal_however_they_are_written(first: str, second: str, same: bool) -> None:
    assert same_value(first, second) is same_value(second, first) is same


def test_only_keys_of_both_are_compared_and_whole_sections_of_one_are_named_once() -> None:
    first = {"training.epochs": "500", "training.seed": "1", "split.seed": "2", "features.n": "3", "features.m": "4"}
    second = {"training.epochs": "60", "split.seed": "2", "split.n_folds": "10", "parameters_from": "null"}
    differing, n_shared, only = parameter_differences(first, second)
    assert differing == {"training.epochs": ("500", "60")}
    assert n_shared == 2
    assert only == (["features.*", "training.seed"], ["parameters_from", "split.n_folds"])


def test_sections_that_no_result_depends_on_and_folders_of_this_machine_are_not_shown() -> None:
    first = {
        "tune.storage": "postgresql://ann:secret@host/db",
        "cohort.path": "/home/ann/secret/mine",
        "tracking.x": "1",
    }
    second = {"tune.storage": "sqlite:///optuna.db", "cohort.path": "data/phantom/cohort", "executor.workers": "2"}
    differing, n_shared, only = parameter_differences(first, second)
    assert (differing, n_shared, only) == ({"cohort.path": (".../mine", "data/phantom/cohort")}, 1, ([], []))
