"""Stage `other_groups`: the predictor's own answers to scans that nobody trained or was tested on."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.prediction.judging import MEASURED
from datspect.prediction.predictor import Predictor, PreparedScan
from datspect.stages import other_groups

from .conftest import SHAPE, Inputs

RATIOS = [f"sbr_{part}_{side}" for part in ("caudate", "putamen") for side in ("left", "right")]
LABELS = ["swedd", "atypical", "atypical"]


@pytest.fixture(scope="module")
def done(made_up: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """With a predictor, and three scans of other groups."""
    inputs = made_up.copied(tmp_path_factory.mktemp("done"))
    with inputs.tracked():
        inputs.final("final")
    inputs.predictor("final", "predictor")
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"scan_id": ["X1", "X2", "X3"], "peak_slice": 41, "striatal_contrast": [20.5, 20.5, 400.0]})
    table = table.assign(**{name: [2.0, 0.8, 0.6] for name in RATIOS}, flags="", subject_id=["Q1", "Q2", "Q3"])
    table = table.assign(unevenness=0.15, air=0.01, grain=0.052)
    table.assign(label=LABELS).to_csv(inputs.root / "images" / "other_groups.csv", index=False)
    np.save(inputs.root / "images" / "other_groups.npy", rng.random((3, *SHAPE, 3)).astype(np.float32))
    return inputs


def run(inputs: Inputs) -> tuple[pd.DataFrame, dict[str, list[dict[str, float]]]]:
    reports = inputs.root / "other_groups"
    other_groups.main(inputs.root / "images", inputs.root / "splits.csv", inputs.root / "models/predictor", reports)
    table = pd.read_csv(reports / "predictions.csv", keep_default_na=False)
    return table, json.loads((reports / "metrics.json").read_text("utf-8"))


def test_the_answers_are_those_of_the_predictor(done: Inputs) -> None:
    table, metrics = run(done)
    images = np.load(done.root / "images" / "other_groups.npy")
    measures = pd.read_csv(done.root / "images" / "other_groups.csv")
    scans = [
        PreparedScan(None, image, {name: measures[name][k] for name in [*RATIOS, *MEASURED]}, ())
        for k, image in enumerate(images)
    ]
    for scan in scans:
        scan.measures["image_mean"] = float(scan.image.mean())
    answers = Predictor.read(done.root / "models/predictor").answers(scans)
    np.testing.assert_allclose(table["probability"], [one.probability for one in answers], atol=1e-6)
    assert table["prediction"].tolist() == [one.prediction for one in answers]
    assert table["inconclusive"].tolist() == [int(one.inconclusive) for one in answers]
    assert table["state"].tolist() == [one.state for one in answers]
    assert table["state"][2] == "withheld"
    assert table["label"].tolist() == LABELS
    assert "striatal_contrast" in table["unlike"][2]
    assert table["withheld"].tolist() == ["; ".join(one.withheld) for one in answers]
    assert "striata stand out more than in training scans" in table["withheld"][2]
    assert [(row["label"], row["n"]) for row in metrics["groups"]] == [("atypical", 2), ("swedd", 1)]
    assert metrics["groups"][0]["sbr_caudate"] == pytest.approx(0.7)


def test_beside_them_stand_the_answers_to_the_test_set(done: Inputs) -> None:
    _, metrics = run(done)
    known = pd.read_csv(done.root / "predictor" / "predictions.csv")
    for row in metrics["holdout"]:
        group = known[known["label"] == row["label"]]
        assert row["n"] == len(group)
        assert row["probability"] == pytest.approx(group["probability"].median(), abs=1e-5)
        assert row["withheld"] == pytest.approx(group["withheld"].notna().mean())
        assert row["called_inconclusive"] == pytest.approx(group["inconclusive"].mean() - row["withheld"])
        assert row["called_pd"] == ((group["prediction"] == "pd") & (group["inconclusive"] == 0)).mean()
    assert sum(row["n"] for row in metrics["holdout"]) == 6


def test_without_another_group_nothing_is_answered(done: Inputs, tmp_path: Path) -> None:
    inputs = done.copied(tmp_path)
    table = pd.read_csv(inputs.root / "images" / "other_groups.csv")
    table[:0].to_csv(inputs.root / "images" / "other_groups.csv", index=False)
    np.save(inputs.root / "images" / "other_groups.npy", np.empty((0, *SHAPE, 3), np.float32))
    (inputs.root / "models/predictor/model.keras").write_bytes(b"not even read")
    answers, metrics = run(inputs)
    assert answers.empty
    assert {"label", "prediction", "probability"} <= set(answers.columns)
    assert metrics == {"cohort_kind": "phantom", "groups": [], "holdout": []}
