"""Stages `cv` and `final` on a made-up bank: what they leave, that it repeats, and what they refuse."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from sklearn.metrics import roc_auc_score

from datspect.errors import CohortError
from datspect.io.digests import file_digest
from datspect.io.tables import write_table
from datspect.modeling.model_files import read_model
from datspect.training.to_mlflow import read_whole_record

from .conftest import Inputs, N


def take_from_study(inputs: Inputs) -> None:
    """Parameters of a study that saw the splits as they are now."""
    values = YAML(typ="safe", pure=True).load(inputs.params.read_text("utf-8"))
    origin = {"study": "wide", "trial": 7, "split": file_digest(inputs.root / "splits.csv")[:12]}
    YAML().dump(values | {"parameters_from": origin}, inputs.params)


def exchange_a_test_subject(inputs: Inputs) -> None:
    """One subject of the test set against one of the training role: another split of the same cohort."""
    path = inputs.root / "splits.csv"
    splits = pd.read_csv(path).set_index("scan_id", drop=False)
    columns = ["role", "dev_fold"]
    splits.loc[["S00", "S09"], columns] = splits.loc[["S09", "S00"], columns].to_numpy()
    write_table(path, splits)


def assert_recorded_as_written(run: dict[str, Any], reports: Path, models: Path) -> None:
    """MLflow's complete run of it exists, and run.json names all files, as they are."""
    recorded = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_run(run["mlflow"]["run_id"])
    assert recorded.info.status == "FINISHED"
    assert recorded.data.tags["datspect.result_id"] == run["result_id"]
    assert read_whole_record(reports, models) == run


def test_cv_repeats_byte_for_byte_and_its_heads_give_its_predictions(inputs: Inputs) -> None:
    first, second = inputs.cv("first"), inputs.cv("second")
    for name in ("metrics.json", "predictions.csv", "history.csv", "table1.csv", "roc.csv", "training.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    predictions = pd.read_csv(first / "predictions.csv")
    bank = np.load(inputs.root / "features" / "bank.npy")
    for fold in range(1, 5):
        head = read_model(inputs.root / "models" / "first" / f"fold-{fold:02d}.keras")
        rows = predictions.index[predictions["fold"] == fold]
        expected = head.predict(bank[0, rows].astype(np.float32), verbose=0)[:, 0]
        np.testing.assert_allclose(predictions.loc[rows, "probability"], expected, atol=1e-5)
    metrics = json.loads((first / "metrics.json").read_text("utf-8"))
    areas = [roc_auc_score(fold["label"] == "pd", fold["probability"]) for _, fold in predictions.groupby("fold")]
    assert metrics["cv"]["roc_auc_fold_mean"] == pytest.approx(np.mean(areas))
    assert predictions["scan_id"].tolist() == [f"S{k:02d}" for k in range(N)]
    run, again = (json.loads((folder / "run.json").read_text("utf-8")) for folder in (first, second))
    assert run["result_id"] == again["result_id"]
    assert run["mlflow"]["run_id"] != again["mlflow"]["run_id"]
    assert_recorded_as_written(run, first, inputs.root / "models" / "first")
    assert [head["n_train"] for head in run["heads"]] == pd.read_csv(first / "table1.csv")["n_train"].tolist()
    assert {tuple(model["input_shape"]) for model in run["models"]} == {bank.shape[2:]}


def test_final_predicts_the_test_set_with_the_saved_model(inputs: Inputs) -> None:
    reports = inputs.final("final")
    predictions = pd.read_csv(reports / "predictions.csv")
    assert predictions["scan_id"].tolist() == [f"S{k:02d}" for k in range(6)]
    model = read_model(inputs.root / "models" / "final" / "model.keras")
    images = np.load(inputs.root / "images" / "images.npy")[:6]
    np.testing.assert_allclose(predictions["probability"], model.predict(images, verbose=0)[:, 0], atol=1e-6)
    assert all(layer.__module__.startswith("keras.") for layer in model.layers)  # nothing of ours to load or unpickle
    assert isinstance(model.get_layer("head"), keras.Sequential)
    metrics = json.loads((reports / "metrics.json").read_text("utf-8"))
    assert metrics["bank_difference_max"] < 5e-3
    wrong = (predictions["probability"] >= 0.5) != (predictions["label"] == "pd")
    assert metrics["holdout"]["accuracy"] == pytest.approx(1 - wrong.mean())
    development = pd.read_csv(reports / "dev_predictions.csv")
    assert development["scan_id"].tolist() == [f"S{k:02d}" for k in range(6, N)]
    assert metrics["dev_out_of_fold"]["n"] == N - 6
    assert sorted(path.name for path in (inputs.root / "models" / "final").iterdir()) == [
        "dev-01.keras",
        "dev-02.keras",
        "model.keras",
    ]
    run = json.loads((reports / "run.json").read_text("utf-8"))
    assert_recorded_as_written(run, reports, inputs.root / "models" / "final")
    assert run["models"][0]["input_shape"] == list(images.shape[1:])
    assert [head["name"] for head in run["heads"]] == ["final", "dev-01", "dev-02"]


def test_parameters_of_no_study_are_not_mentioned_in_the_metrics(inputs: Inputs) -> None:
    metrics = json.loads((inputs.cv("own") / "metrics.json").read_text("utf-8"))
    assert set(metrics) == {"cohort_kind", "cv", "out_of_fold"}


@pytest.mark.slow
def test_cv_says_that_parameters_of_a_study_make_it_optimistic_and_gives_the_same_figures(
    inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    own = inputs.cv("own")
    take_from_study(inputs)
    caplog.set_level(logging.INFO, "datspect")
    tuned = inputs.cv("tuned")
    before, after = (json.loads((folder / "metrics.json").read_text("utf-8")) for folder in (own, tuned))
    origin = after.pop("parameters_from")
    assert after == before
    assert (origin["study"], origin["trial"]) == ("wide", 7)
    assert "75 % of these subjects (18 of 24) took part in the tuning" in origin["note"]
    assert origin["note"] in caplog.messages
    first, second = (json.loads((folder / "run.json").read_text("utf-8")) for folder in (own, tuned))
    assert first["result_id"] != second["result_id"]
    assert second["parameters_from"] == origin
    run = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_run(second["mlflow"]["run_id"])
    assert run.data.tags["datspect.parameters_from"] == "study wide, trial 7"
    assert origin["note"] in run.data.tags["mlflow.note.content"]


@pytest.mark.slow
def test_final_says_of_which_study_its_parameters_are(inputs: Inputs) -> None:
    take_from_study(inputs)
    reports = inputs.final("tuned")
    origin = json.loads((reports / "metrics.json").read_text("utf-8"))["parameters_from"]
    assert (origin["study"], origin["trial"]) == ("wide", 7)
    assert "the 6 test subjects took no part" in origin["note"]
    run = json.loads((reports / "run.json").read_text("utf-8"))
    assert run["parameters_from"] == origin
    recorded = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_run(run["mlflow"]["run_id"])
    assert recorded.data.tags["datspect.parameters_from"] == "study wide, trial 7"


@pytest.mark.slow
def test_after_a_change_of_the_split_no_stage_claims_who_took_part_in_the_tuning(
    inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    take_from_study(inputs)
    exchange_a_test_subject(inputs)
    caplog.set_level(logging.INFO, "datspect")
    reports = [inputs.cv("cv"), inputs.final("final")]
    origins = [json.loads((folder / "metrics.json").read_text("utf-8"))["parameters_from"] for folder in reports]
    assert origins[0] == origins[1]
    assert origins[0]["same_split"] is False
    assert "not known which of these subjects took part" in origins[0]["note"]
    assert caplog.messages.count(origins[0]["note"]) == 2
    for folder in reports:
        run_id = json.loads((folder / "run.json").read_text("utf-8"))["mlflow"]["run_id"]
        recorded = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_run(run_id)
        assert origins[0]["note"] in recorded.data.tags["mlflow.note.content"]


def test_splits_of_another_cohort_are_refused(inputs: Inputs) -> None:
    splits = pd.read_csv(inputs.root / "splits.csv")
    splits.iloc[0, splits.columns.get_loc("scan_id")] = "S99"
    write_table(inputs.root / "splits.csv", splits)
    with pytest.raises(CohortError, match="not of one cohort"):
        inputs.cv("refused")
