"""A run's name says what it is: stage, experiment, and what differs from the committed parameters."""

import pytest

from datspect.params.recipes import InForce
from datspect.training.naming import EXPERIMENT_VARIABLE, run_name, short_keys
from datspect.training.settings import Settings

COMMIT = "79ceec4" + "0" * 33
VALUES = {
    "cohort": {"kind": "phantom", "path": "data/phantom/cohort"},
    "phantom": {"z_offset_voxels": 3.0},
    "preprocess": {"z_offset_voxels": 3.0, "slices": [39, 40, 41]},
    "split": {"seed": 1},
    "classifier": {"dropout": 0.3},
    "training": {"seed": 2, "learning_rate": {"drops": 6}},
}


@pytest.fixture(autouse=True)
def no_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EXPERIMENT_VARIABLE, raising=False)


def name(changed: dict[str, str], commit: str | None = COMMIT) -> str:
    return run_name("cv", Settings(VALUES, changed), commit)


def test_a_run_is_named_after_what_differs() -> None:
    assert name({"classifier.dropout": "0.3", "training.learning_rate.drops": "6"}) == "cv · dropout=0.3 · drops=6"


def test_without_a_difference_it_has_the_commit_and_without_git_nothing_but_the_stage() -> None:
    assert name({}) == "cv · 79ceec4"
    assert name({}, None) == "cv"


def test_a_dvc_experiment_comes_before_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXPERIMENT_VARIABLE, "smug-crow")
    assert name({"classifier.dropout": "0.3"}) == "cv · smug-crow · dropout=0.3"
    assert name({}) == "cv · smug-crow"


def test_keys_that_end_alike_are_written_out() -> None:
    assert name({"training.seed": "2"}) == "cv · training.seed=2"
    assert name({"preprocess.z_offset_voxels": "3.0"}) == "cv · preprocess.z_offset_voxels=3.0"
    assert short_keys(VALUES)["preprocess.slices"] == "slices"


def test_a_cohort_is_called_a_cohort() -> None:
    assert name({"cohort.path": "data/mine"}) == "cv · cohort=data/mine"


def test_the_fifth_difference_and_those_after_it_are_counted() -> None:
    changed = {f"a.b{k}": str(k) for k in range(7)}
    values = {"a": {f"b{k}": k for k in range(7)}}
    assert run_name("cv", Settings(values, changed), None) == "cv · b0=0 · b1=1 · b2=2 · b3=3 · and 3 more"
    four = dict(list(changed.items())[:4])
    assert run_name("cv", Settings(values, four), None) == "cv · b0=0 · b1=1 · b2=2 · b3=3"


def test_a_long_value_is_cut() -> None:
    assert name({"cohort.path": "x" * 300}) == f"cv · cohort={'x' * 40}..."


SMALL = {("classifier", "dropout"): 0.3, ("training", "learning_rate", "drops"): 6}


def test_a_recipe_is_named_and_its_values_are_no_differences() -> None:
    changed = {"classifier.dropout": "0.3", "training.learning_rate.drops": "6"}
    settings = Settings(VALUES, changed, InForce("striatum", SMALL))
    assert run_name("cv", settings, COMMIT) == "cv · striatum · 79ceec4"
    other_split = Settings(VALUES, changed | {"split.seed": "1"}, InForce("striatum", SMALL))
    assert run_name("cv", other_split, COMMIT) == "cv · striatum · split.seed=1"


def test_what_differs_from_a_recipe_is_told() -> None:
    changed = {"classifier.dropout": "0.5", "training.learning_rate.drops": "6"}
    recipe = InForce("striatum", SMALL, {("classifier", "dropout"): 0.5})
    assert run_name("cv", Settings(VALUES, changed, recipe), COMMIT) == "cv · striatum, changed · dropout=0.5"


def test_the_papers_recipe_is_not_named() -> None:
    recipe = InForce("paper", SMALL, {("classifier", "dropout"): 0.5})
    assert run_name("cv", Settings(VALUES, {"classifier.dropout": "0.5"}, recipe), COMMIT) == "cv · dropout=0.5"
