"""The reference in git belongs to the measures and the parameters that are in git beside it."""

import re
from pathlib import Path
from typing import Any

import pytest

from datspect.cohort.table import targets
from datspect.evaluation.metrics import binary_metrics
from datspect.io.records import read_json
from datspect.params.whole import load_params
from datspect.release.reference import HOLDOUT, OUT_OF_FOLD, reference_on_disk
from datspect.tracking.labels import flat_params

ROOT = Path(__file__).parents[2]


def measures_of(where: str) -> dict[str, Any]:
    reference = reference_on_disk(ROOT)
    assert reference is not None
    rows = reference.answers[reference.answers["where"] == where]
    return binary_metrics(targets(rows["label"]), rows["probability"].to_numpy())


def test_its_answers_out_of_fold_give_the_committed_measures() -> None:
    found = measures_of(OUT_OF_FOLD)
    committed = read_json(ROOT / "reports/metrics.json")
    for key, name in {"accuracy": "accuracy", "roc_auc": "roc_auc", "loss": "log_loss"}.items():
        assert found[key] == pytest.approx(committed[f"cv.{name}"], abs=1e-6), key


def test_its_answers_on_the_holdout_give_the_table_of_the_results() -> None:
    found = measures_of(HOLDOUT)
    table = (ROOT / "docs/results.md").read_text("utf-8").partition("Table 2:")[2]
    shown = dict(re.findall(r"^\| ([\w ]+?) +\| +([\d.]+)", table, flags=re.MULTILINE))
    names = {"n": "n", "true positive": "true_positive", "false positive": "false_positive", "accuracy": "accuracy"}
    for name, key in (names | {"ROC AUC": "roc_auc", "loss": "loss"}).items():
        assert float(shown[name]) == pytest.approx(found[key], abs=5.1e-5), name


def test_its_parameters_are_those_of_params_yaml() -> None:
    reference = reference_on_disk(ROOT)
    assert reference is not None
    whole = flat_params(load_params(ROOT / "params.yaml").model_dump(mode="json"))
    told = reference.about["parameters"]
    assert {name: whole[name] for name in told if name in whole} == {
        name: value for name, value in told.items() if name in whole
    }
    assert {"phantom.seed", "preprocess.slices", "split.seed", "augment.draws", "training.epochs"} < set(told)
