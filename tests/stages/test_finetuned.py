"""Stages `cv`, `final` and `predictor` with a fine-tuned network: what they leave, and what survives a crash."""

import json
import os
from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from datspect.errors import ParamsError
from datspect.evaluation.baselines import SBR, ordered_sides
from datspect.evaluation.calibration import log_odds
from datspect.modeling.model_files import read_model
from datspect.params.whole import load_params
from datspect.prediction.files import read_parts
from datspect.prediction.judging import judged
from datspect.prediction.predictor import Predictor
from datspect.training import fitting
from datspect.training.fitting import UNFINISHED, Sources, WholeModels
from datspect.training.fold_files import OWN_FEATURES, read_fold
from datspect.training.to_mlflow import read_whole_record

from .conftest import Inputs, N

TOP = "Conv_1"
FOLDS = [f"fold-{k:02d}" for k in range(1, 5)]
COMPARED = ("metrics.json", "predictions.csv", "history.csv", "table1.csv")


@pytest.fixture
def tuned(inputs: Inputs) -> Inputs:
    """The made-up inputs with the last convolution trained too."""
    inputs.change(backbone={"trainable": TOP}, finetuning={"precision": "float32"}, executor={"workers": 1})
    return inputs


def runs_of(stage: str) -> list[Any]:
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("datspect")
    assert experiment is not None
    return [
        run
        for run in client.search_runs([experiment.experiment_id], f"tags.`datspect.stage` = '{stage}'")
        if "mlflow.parentRunId" not in run.data.tags
    ]


@pytest.mark.slow
def test_each_fold_leaves_what_training_changed_and_it_gives_the_predictions(tuned: Inputs) -> None:
    reports = tuned.cv("cv")
    models = tuned.root / "models" / "cv"
    assert sorted(path.name for path in models.iterdir()) == [f"{name}.npz" for name in FOLDS]
    predictions = pd.read_csv(reports / "predictions.csv")
    images = np.load(tuned.root / "images" / "images.npy")
    whole = WholeModels(
        Sources(tuned.root / "images" / "images.npy", tuned.root / "backbone"), load_params(tuned.params)
    )
    for number, name in enumerate(FOLDS, start=1):
        fold = read_fold(models / f"{name}.npz")
        assert set(fold.layers) == {TOP, "Conv_1_bn"}
        rows = predictions.index[predictions["fold"] == number]
        expected = np.asarray(whole.build(fold)(images[rows], training=False))[:, 0]
        np.testing.assert_allclose(predictions.loc[rows, "probability"], expected, atol=1e-5)
    record = read_whole_record(reports, models)
    assert record["params"]["backbone"]["trainable"] == TOP
    (parent,) = runs_of("cv")
    assert parent.data.tags["datspect.trainable"] == TOP
    assert parent.data.tags["datspect.precision"] == "float32"
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert sorted(child.info.run_name for child in children) == FOLDS
    for child in children:
        (artifact,) = client.list_artifacts(child.info.run_id, "model")
        assert artifact.path == f"model/{child.info.run_name}.npz"


@pytest.mark.slow
def test_whole_models_are_kept_and_logged_on_demand(tuned: Inputs) -> None:
    tuned.change(tracking={"log_fold_models": "all"})
    reports = tuned.cv("cv")
    predictions = pd.read_csv(reports / "predictions.csv")
    images = np.load(tuned.root / "images" / "images.npy")
    for number, name in enumerate(FOLDS, start=1):
        model = read_model(tuned.root / "models" / "cv" / f"{name}.keras")
        rows = predictions.index[predictions["fold"] == number]
        expected = np.asarray(model(images[rows], training=False))[:, 0]
        np.testing.assert_allclose(predictions.loc[rows, "probability"], expected, atol=1e-5)
    record = read_whole_record(reports, tuned.root / "models" / "cv")
    assert {tuple(model["input_shape"]) for model in record["models"]} == {images.shape[1:]}


@pytest.mark.slow
def test_whole_sites_are_held_out_of_fine_tuned_networks_too(tuned: Inputs) -> None:
    predictions = tuned.grouped_beside_made_up_folds()
    models = tuned.root / "models" / "grouped"
    assert sorted(path.name for path in models.iterdir()) == [f"grouped-{k:02d}.npz" for k in range(1, 6)]
    images = np.load(tuned.root / "images" / "images.npy")
    whole = WholeModels(
        Sources(tuned.root / "images" / "images.npy", tuned.root / "backbone"), load_params(tuned.params)
    )
    rows = predictions.index[predictions["grouped_fold"] == 2]
    expected = np.asarray(whole.build(read_fold(models / "grouped-02.npz"))(images[rows], training=False))[:, 0]
    np.testing.assert_allclose(predictions.loc[rows, "probability"], expected, atol=1e-5)


class _PowerCut(BaseException):
    pass


def cut_after(n: int, counted: list[str]) -> Callable[..., Any]:
    """`fit_fold`, which ends for good after `n` folds."""
    real = fitting.fit_fold

    def fit(head: Any, *arguments: Any, **options: Any) -> Any:
        if len(counted) == n:
            raise _PowerCut
        counted.append(head.name)
        return real(head, *arguments, **options)

    return fit


def test_a_start_after_a_crash_does_the_unfinished_folds_only(tuned: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tuned.cv("whole")
    first: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit_fold", cut_after(2, first))
        with pytest.raises(_PowerCut):
            tuned.cv("cut")
    kept = tuned.root / "models" / UNFINISHED / "cut"
    assert sorted(path.stem for path in kept.glob("*/*.npz")) == FOLDS[:2]
    second: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit_fold", cut_after(9, second))
        resumed = tuned.cv("cut")
    assert (first, second) == (FOLDS[:2], FOLDS[2:])
    assert not kept.exists()
    for name in COMPARED:
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    runs = runs_of("cv")
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    parent = json.loads((resumed / "run.json").read_text("utf-8"))["mlflow"]["run_id"]
    children = client.search_runs([runs[0].info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert [child.info.status for child in children] == ["FINISHED"] * 4
    for child in children:
        steps = [point.step for point in client.get_metric_history(child.info.run_id, "epoch/train_loss")]
        assert steps == [1, 2, 3]


@pytest.mark.slow
def test_folds_of_other_parameters_are_not_taken(tuned: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit_fold", cut_after(2, []))
        with pytest.raises(_PowerCut):
            tuned.cv("cut")
    tuned.change(augment={"brightness": 0.2})
    done: list[str] = []
    monkeypatch.setattr(fitting, "fit_fold", cut_after(9, done))
    tuned.cv("cut")
    assert done == FOLDS


@pytest.mark.slow
@pytest.mark.own_process
@pytest.mark.long
def test_folds_side_by_side_give_the_same(tuned: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "release_convolutions", lambda: None)  # what made the inputs has used oneDNN
    one = tuned.cv("one")
    tuned.change(executor={"workers": 2})
    two = tuned.cv("two")
    for name in COMPARED:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_an_unknown_layer_stops_the_stage_before_any_training(inputs: Inputs) -> None:
    inputs.change(backbone={"trainable": "mixed7"})
    with pytest.raises(ParamsError, match=r"backbone\.trainable = 'mixed7'"):
        inputs.cv("cv")


@pytest.mark.slow
def test_final_and_predictor_do_without_development_heads(tuned: Inputs) -> None:
    reports = tuned.final("final")
    models = tuned.root / "models" / "final"
    assert sorted(path.name for path in models.iterdir()) == [OWN_FEATURES, "model.keras"]
    images = np.load(tuned.root / "images" / "images.npy")
    predictions = pd.read_csv(reports / "predictions.csv")
    expected = read_model(models / "model.keras").predict(images[:6], verbose=0)[:, 0]
    np.testing.assert_allclose(predictions["probability"], expected, atol=1e-6)
    with np.load(models / OWN_FEATURES) as file:
        assert sorted(file.files) == ["dev-01", "dev-02", "final"]
        assert file["dev-01"].shape[0] == N
        assert not np.allclose(file["dev-01"], file["final"])
    judged_reports = tuned.predictor("final", "predictor")
    parts = read_parts(tuned.root / "models" / "predictor")
    table = pd.read_csv(judged_reports / "predictions.csv")
    predictor = Predictor.read(tuned.root / "models" / "predictor")
    features, found, _ = predictor.network.outputs(images[:6])
    quality = pd.read_csv(tuned.root / "images" / "quality.csv")[:6]
    again = judged(parts, log_odds(found), ordered_sides(quality, SBR), features)
    np.testing.assert_allclose(again.probabilities, table["probability"], atol=1e-5)
    with np.load(models / OWN_FEATURES) as file:
        np.testing.assert_allclose(again.distances, parts.typicality.distances(file["final"][:6]), rtol=0.02)


@pytest.mark.slow
def test_the_typical_limit_is_of_networks_that_have_not_seen_the_subject(
    tuned: Inputs, rng: np.random.Generator
) -> None:
    """Each development network's own features count: other ones give another limit."""
    tuned.final("final")
    before = read_limit(tuned, "before")
    path = tuned.root / "models" / "final" / OWN_FEATURES
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name in ("dev-01", "dev-02"):
        arrays[name] = arrays[name] + rng.normal(0, 5, arrays[name].shape).astype(np.float32)
    np.savez(path, **arrays)
    assert read_limit(tuned, "after") != pytest.approx(before, rel=1e-3)


def read_limit(inputs: Inputs, name: str) -> float:
    inputs.predictor("final", name)
    return read_parts(inputs.root / "models" / name).typicality.limit
