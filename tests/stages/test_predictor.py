"""Stage `predictor`: fitted on the training role alone, and the same answers as the stages' tables."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.prediction.files import predictor_digest, read_parts
from datspect.prediction.judging import WITHHOLDING
from datspect.prediction.predictor import Predictor, PreparedScan

from .conftest import Inputs, N


@pytest.fixture(scope="module")
def done(made_up: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """With a final model and its predictor."""
    inputs = made_up.copied(tmp_path_factory.mktemp("done"))
    with inputs.tracked():
        inputs.final("final")
    inputs.predictor("final", "predictor")
    return inputs


def test_it_repeats_and_no_test_subject_has_a_say_in_it(done: Inputs, tmp_path: Path) -> None:
    inputs = done.copied(tmp_path)
    # Test subjects with other labels, features, images and measures: nothing that is kept changes.
    bank = np.load(inputs.root / "features" / "bank.npy")
    bank[:, :6] *= 2
    np.save(inputs.root / "features" / "bank.npy", bank)
    images = np.load(inputs.root / "images" / "images.npy")
    images[:6] = 0.5
    np.save(inputs.root / "images" / "images.npy", images)
    quality = pd.read_csv(inputs.root / "images" / "quality.csv")
    measured = ["peak_slice", "striatal_contrast", "sbr_putamen_left", "unevenness", "air", "grain"]
    quality[measured] = quality[measured].astype(float)
    quality.loc[:5, measured] = -9
    quality.to_csv(inputs.root / "images" / "quality.csv", index=False)
    predictions = pd.read_csv(inputs.root / "final" / "predictions.csv")
    predictions.assign(logit=-predictions["logit"]).to_csv(inputs.root / "final" / "predictions.csv", index=False)
    second = inputs.predictor("final", "second")
    assert predictor_digest(inputs.root / "models/second") == predictor_digest(done.root / "models/predictor")
    assert (done.root / "predictor/predictions.csv").read_bytes() != (second / "predictions.csv").read_bytes()


def test_the_predictor_gives_the_tables_answers(done: Inputs) -> None:
    reports = done.root / "predictor"
    table = pd.read_csv(reports / "predictions.csv")
    assert table["scan_id"].tolist() == [f"S{k:02d}" for k in range(6)]
    predictor = Predictor.read(done.root / "models" / "predictor")
    images = np.load(done.root / "images" / "images.npy")
    quality = pd.read_csv(done.root / "images" / "quality.csv")
    scans = [
        PreparedScan(None, images[k], {**quality.iloc[k, 1:].to_dict(), "image_mean": images[k].mean()}, ())  # type: ignore[arg-type]
        for k in range(6)
    ]
    answers = predictor.answers(scans)
    np.testing.assert_allclose([one.model_probability for one in answers], table["model_probability"], atol=1e-5)
    np.testing.assert_allclose([one.probability for one in answers], table["probability"], atol=1e-5)
    np.testing.assert_allclose([one.ratio_probability for one in answers], table["ratio_probability"], atol=1e-9)
    np.testing.assert_allclose([one.error_risk for one in answers], table["error_risk"], atol=1e-5)
    assert [one.prediction for one in answers] == table["prediction"].tolist()
    assert [one.state for one in answers] == table["state"].tolist()
    assert [one.inconclusive for one in answers] == table["inconclusive"].astype(bool).tolist()
    assert ["; ".join(one.withheld) for one in answers] == table["withheld"].fillna("").tolist()
    metrics = json.loads((reports / "metrics.json").read_text("utf-8"))
    assert metrics["holdout"]["n"] == 6
    assert metrics["holdout_decisions"]["coverage"] == pytest.approx(1 - table["inconclusive"].mean())
    assert metrics["holdout_withheld"]["n"] == table["withheld"].notna().sum()
    assert read_parts(done.root / "models" / "predictor").n_train == N - 6
    assert predictor.answers([]) == []


def test_many_scans_get_the_answers_that_few_get(done: Inputs) -> None:
    predictor = Predictor.read(done.root / "models" / "predictor")
    images = np.load(done.root / "images" / "images.npy")
    ratios = (f"sbr_{part}_{side}" for part in ("caudate", "putamen") for side in ("left", "right"))
    measures = dict.fromkeys((*WITHHOLDING["paper"], *ratios), 41.0)
    scans = [PreparedScan(None, image, measures, ()) for image in images]  # type: ignore[arg-type]
    many = predictor.answers(scans)
    few = predictor.answers(scans[:3])
    np.testing.assert_allclose([one.probability for one in many[:3]], [one.probability for one in few], atol=1e-5)


def test_the_copied_model_is_the_final_one(done: Inputs, tmp_path: Path) -> None:
    models = done.copied(tmp_path).root / "models"
    assert (models / "predictor/model.keras").read_bytes() == (models / "final/model.keras").read_bytes()
    shutil.rmtree(models / "final")
    assert Predictor.read(models / "predictor").parts.cohort_kind == "phantom"
