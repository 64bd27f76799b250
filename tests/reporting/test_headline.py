"""The few measures that experiments are compared by."""

import json
import math
from pathlib import Path

import pytest
from tests.reporting.results import Results, write_results

from datspect.io.records import read_json, write_json
from datspect.params.base import read_params
from datspect.reporting.headline import headline_measures
from datspect.reporting.inputs import ReportParams
from datspect.reporting.paper_tables import CEILING, READER, STACK
from datspect.stages.report import read_inputs

PARAMS = Path(__file__).parents[2] / "params.yaml"
MOST = 25


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Reports with development folds, measured as cross-validation is, and impossible figures of the holdout."""
    results = write_results(tmp_path)
    cv = read_json(results.reports / "cv/metrics.json")
    for stage in ("final", "baselines", "predictor"):
        path = results.reports / stage / "metrics.json"
        write_json(path, impossible_holdout(read_json(path)))
    change(results, "final", dev_out_of_fold=cv["out_of_fold"])
    return results


def impossible_holdout(record: dict[str, object]) -> dict[str, object]:
    def marked(value: object) -> object:
        return {name: marked(inner) for name, inner in value.items()} if isinstance(value, dict) else 77.0

    return {name: marked(value) if name.startswith("holdout") else value for name, value in record.items()}


def change(results: Results, stage: str, **values: object) -> None:
    path = results.reports / stage / "metrics.json"
    write_json(path, read_json(path) | values)


def headline(results: Results) -> dict[str, object]:
    return headline_measures(read_inputs(*results.paths, read_params(ReportParams, PARAMS)))


@pytest.mark.parametrize("recipe", [None, "striatum"])
def test_a_whole_graph_has_at_most_25_flat_values_and_none_is_of_the_test_set(
    results: Results, recipe: str | None
) -> None:
    for path in results.reports.glob("*/metrics.json") if recipe else ():
        change(results, path.parent.name, recipe=recipe)
    measures = headline(results)
    assert 20 < len(measures) <= MOST
    assert measures.pop("cohort") == "phantom"
    assert measures.pop("recipe", None) == recipe
    assert all(isinstance(value, float) for value in measures.values())
    assert 77.0 not in measures.values()
    assert {name.split(".")[0] for name in measures} == {"cv", "dev", "baseline", f"cv_minus_{READER}"}
    assert len([name for name in measures if name.endswith("_low")]) == 3


def test_each_value_is_the_one_its_stage_measured(results: Results) -> None:
    measures = headline(results)
    cv = read_json(results.reports / "cv/metrics.json")["out_of_fold"]
    baselines = read_json(results.reports / "baselines/metrics.json")["out_of_fold"]
    for ours, theirs in (("accuracy_high", "accuracy_high"), ("roc_auc_low", "roc_auc_low"), ("log_loss", "loss")):
        assert measures[f"cv.{ours}"] == cv[theirs]
    assert measures["dev.log_loss"] == cv["loss"]
    assert measures["cv.calibration_slope"] == cv["calibration_slope"]
    for name in (READER, STACK, CEILING):
        assert measures[f"baseline.{name}.roc_auc"] == baselines[name]["roc_auc"]
    for end in ("", "_low", "_high"):
        lead = baselines[READER]["network_minus_this"][f"loss_difference{end}"]
        assert measures[f"cv_minus_{READER}.log_loss{end}"] == lead


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_a_run_does_not_have_is_left_out(results: Results, value: float | None) -> None:
    """A set of one class has no ROC AUC, a fine-tuned run may lack development heads, other baselines may be chosen."""
    path = results.reports / "cv/metrics.json"
    record = read_json(path)
    record["out_of_fold"]["roc_auc"] = value
    path.write_text(json.dumps(record), encoding="utf-8")
    baselines = read_json(results.reports / "baselines/metrics.json")["out_of_fold"]
    change(results, "baselines", out_of_fold={"age_sex": baselines["age_sex"]})
    final = read_json(results.reports / "final/metrics.json")
    del final["dev_out_of_fold"]
    write_json(results.reports / "final/metrics.json", final)
    measures = headline(results)
    assert "cv.accuracy" in measures
    assert "cv.roc_auc" not in measures
    assert {name.split(".")[0] for name in measures} == {"cohort", "cv"}
    json.dumps(measures, allow_nan=False)
