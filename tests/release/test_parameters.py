"""Parameters are compared by value, and what only one side names is listed."""

from datspect.release.parameters import parameter_differences


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
