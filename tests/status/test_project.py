"""Cohort, recipe, study and results of a project."""

from pathlib import Path
from typing import Any

import pytest
from tests.status.made_up_projects import write_project
from tests.tracking.made_up_results import write_cv, write_final

from datspect.io.digests import file_digest
from datspect.io.records import write_json
from datspect.params.network import ParametersFrom
from datspect.params.whole import Params, load_params
from datspect.release.reference import results_on_disk, write_reference
from datspect.status.project import as_numbers, cohort_status, recipe_status, results_status, study_status


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_project(tmp_path)
    return tmp_path


@pytest.fixture
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


def summary(**changes: Any) -> dict[str, Any]:
    best = {"trial": 7, "score": 0.2, "values": {"width": 64}, "measures": {"log_loss_low": 0.1, "log_loss_high": 0.3}}
    record = {"study": "mine", "cohort_kind": "phantom", "objective": "log_loss", "n_trials": {"complete": 9}}
    return {**record, "best": best, **changes}


def test_a_cohort_is_known_once_it_was_read(root: Path, params: Params) -> None:
    before = cohort_status(root, params)
    assert (before["path"], before["kind"], before["phantom"], before["n"]) == ("data/phantom/cohort", None, None, None)
    write_json(root / "data/images/cohort.json", {"kind": "phantom", "n": 659, "n_excluded": 0, "digest": "7" * 64})
    after = cohort_status(root, params)
    assert (after["kind"], after["phantom"], after["n"], after["digest"]) == ("phantom", True, 659, "7" * 64)


def test_what_differs_from_the_recipe_is_listed(root: Path) -> None:
    assert recipe_status(root) == {"name": "paper", "title": "paper", "differing": {}}
    text = (root / "params.yaml").read_text("utf-8")
    (root / "params.yaml").write_text(text.replace("width: 128 ", "width: 96 "), "utf-8")
    assert recipe_status(root)["differing"] == {"classifier.width": {"value": 96, "recipe": 128}}


def test_without_a_study_there_is_none(root: Path, params: Params) -> None:
    assert study_status(root, params) == {"parameters_from": None, "same_split": None, "studies": []}


def test_a_study_says_its_best_trial_and_one_without_says_so(root: Path, params: Params) -> None:
    write_json(root / "reports/tune/mine/study.json", summary())
    write_json(root / "reports/tune/new/study.json", summary(study="new", best=None))
    mine, new = study_status(root, params)["studies"]
    assert mine["best"] == {"trial": 7, "score": 0.2, "low": 0.1, "high": 0.3, "values": {"width": 64}}
    assert new["best"] is None


def test_parameters_of_a_study_on_another_split_are_told_apart(root: Path, params: Params) -> None:
    splits = root / "data/splits.csv"
    splits.parent.mkdir(exist_ok=True)
    splits.write_text("scan_id,role\n")
    origin = ParametersFrom(study="mine", trial=7, split=file_digest(splits)[:12])
    tuned = params.model_copy(update={"parameters_from": origin})
    assert study_status(root, tuned)["same_split"] is True
    splits.write_text("scan_id,role\nS1,train\n")
    assert study_status(root, tuned)["same_split"] is False


def test_results_are_held_against_the_committed_ones(root: Path) -> None:
    assert results_status(root)["verdict"] == "no results"
    write_cv(root)
    write_final(root)
    assert results_status(root)["verdict"] == "no verdict"
    write_reference(root, results_on_disk(root))
    assert results_status(root)["verdict"] == "reproduced"


@pytest.mark.parametrize("text", ["", "0.9", "0.9 (0.8)", "nan (nan to nan)"])
def test_what_is_no_figure_with_bounds_is_none(text: str) -> None:
    assert as_numbers(text) is None
