"""The reference in git belongs to the metrics and the parameters that are in git beside it."""

from pathlib import Path

import pytest

from datspect.cohort.table import targets
from datspect.evaluation.metrics import binary_metrics
from datspect.io.records import read_json
from datspect.params.whole import load_params
from datspect.release.reference import HOLDOUT, OUT_OF_FOLD, reference_on_disk
from datspect.tracking.labels import flat_params

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("where", "stage", "name"), [(OUT_OF_FOLD, "cv", "out_of_fold"), (HOLDOUT, "final", "holdout")]
)
def test_its_answers_give_the_committed_metrics(where: str, stage: str, name: str) -> None:
    reference = reference_on_disk(ROOT)
    assert reference is not None
    rows = reference.answers[reference.answers["where"] == where]
    found = binary_metrics(targets(rows["label"]), rows["probability"].to_numpy())
    committed = read_json(ROOT / "reports" / stage / "metrics.json")[name]
    assert {key: found[key] for key in ("n", "true_positive", "false_positive")} == {
        key: committed[key] for key in ("n", "true_positive", "false_positive")
    }
    for key in ("accuracy", "roc_auc", "loss"):
        assert found[key] == pytest.approx(committed[key], abs=1e-6), key


def test_its_parameters_are_those_of_params_yaml() -> None:
    reference = reference_on_disk(ROOT)
    assert reference is not None
    whole = flat_params(load_params(ROOT / "params.yaml").model_dump(mode="json"))
    told = reference.about["parameters"]
    assert {name: whole[name] for name in told if name in whole} == {
        name: value for name, value in told.items() if name in whole
    }
    assert {"phantom.seed", "preprocess.slices", "split.seed", "augment.draws", "training.epochs"} < set(told)
