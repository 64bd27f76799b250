"""Stages `features` and `cv` with the model of the whole striatum: what they leave, and what survives a crash."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from datspect.cohort.screening import network_slabs
from datspect.errors import CohortError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.regions import structure, structure_fractions
from datspect.imaging.slabs import SLABS_SHAPE, slabs
from datspect.imaging.striatal_box import BOX_SHAPE, box_affine
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.io.arrays import write_array
from datspect.io.volumes import read_volume
from datspect.params.data import PreprocessParams
from datspect.prediction.attribution import IntegratedGradients
from datspect.prediction.predictor import Predictor, PreparedScan
from datspect.stages import features, preprocess
from datspect.training import fitting
from datspect.training.bank import read_bank
from datspect.training.fitting import UNFINISHED
from datspect.training.fold_files import read_fold, read_own_features

from .conftest import Inputs, N, WriteParams

FOLDS = [f"fold-{k:02d}" for k in range(1, 5)]


def set_model(inputs: Inputs, model: str) -> None:
    values = YAML(typ="safe", pure=True).load(inputs.params.read_text("utf-8"))
    values["model"] = model
    YAML().dump(values, inputs.params)


def make_features(inputs: Inputs) -> Path:
    features.main(inputs.root / "images", inputs.root / "backbone", inputs.root / "features", inputs.params)
    return inputs.root / "features"


@pytest.fixture
def striatal(inputs: Inputs) -> Inputs:
    """Boxes whose putamina bind less in pd, and a small ensemble."""
    set_model(inputs, "striatum")
    alter = YAML(typ="safe", pure=True).load(inputs.params.read_text("utf-8"))["striatum"]["alter"] | {"draws": 2}
    inputs.change(
        striatum={"maps": 2, "members": 2, "alter": alter},
        classifier={"width": 4, "dropout": 0.0},
        training={
            "epochs": 6,
            "batch_size": 8,
            "learning_rate": {"initial": 1e-2, "final": 1e-4, "schedule": "one_cycle", "drops": 1},
        },
    )
    labels = pd.read_csv(inputs.root / "images" / "subjects.csv")["label"]
    putamina = sum(
        structure_fractions(structure("putamen", side), BOX_SHAPE, box_affine()) for side in ("left", "right")
    )
    noise = np.random.default_rng(3).normal(0, 0.05, (N, *BOX_SHAPE))
    binding = np.where(labels == "pd", 1.0, 3.0)[:, None, None, None]
    write_array(inputs.root / "images" / "striatal_box.npy", (1 + binding * putamina + noise).astype(np.float16))
    return inputs


def test_the_bank_holds_slabs_unaltered_and_altered(striatal: Inputs) -> None:
    folder = make_features(striatal)
    bank, lowered = read_bank(folder / "bank.npy"), np.load(folder / "lowered.npy")
    boxes = np.load(striatal.root / "images" / "striatal_box.npy")
    is_pd = (pd.read_csv(striatal.root / "images" / "subjects.csv")["label"] == "pd").to_numpy()
    assert bank.shape == (3, N, int(np.prod(SLABS_SHAPE)))
    np.testing.assert_allclose(bank[0], slabs(boxes).reshape(N, -1), rtol=2e-3)
    assert (bank[1] != bank[2]).any(axis=1).all()
    assert lowered.shape == (2, N)
    assert not lowered[:, is_pd].any()
    record = json.loads((folder / "features.json").read_text("utf-8"))
    assert (record["architecture"], record["draws"], record["n_subjects"]) == ("striatum", 2, N)


def test_every_subject_is_judged_by_an_ensemble_that_has_not_seen_it(striatal: Inputs) -> None:
    make_features(striatal)
    reports = striatal.cv("cv")
    predictions = pd.read_csv(reports / "predictions.csv")
    assert (predictions["prediction"] == predictions["label"]).mean() > 0.8
    for number, name in enumerate(FOLDS, start=1):
        fitted = read_fold(striatal.root / "models" / "cv" / f"{name}.npz")
        assert sorted(fitted.layers) == ["member1", "member2"]
        assert (predictions["fold"] == number).sum() == 6
    record = json.loads((reports / "run.json").read_text("utf-8"))
    assert record["tags"]["datspect.model"] == record["settings"]["model"] == "striatum"
    assert record["params"]["striatum"]["members"] == 2
    history = pd.read_csv(reports / "history.csv")
    assert len(history) == 4 * 6
    assert np.isfinite(history["validation_loss"]).all()


def test_whole_sites_are_held_out_of_ensembles_too(striatal: Inputs) -> None:
    make_features(striatal)
    predictions = striatal.grouped_beside_made_up_folds()
    assert (predictions["prediction"] == predictions["label"]).mean() > 0.8
    metrics = json.loads((striatal.root / "grouped/metrics.json").read_text("utf-8"))
    assert metrics["recipe"].startswith("striatum")
    assert (metrics["group"], len(metrics["folds"])) == ("site", 5)
    assert metrics["grouped_minus_random"]["loss_difference"] < 0  # the made-up folds know nothing: ln 2
    for number in range(1, 6):
        fitted = read_fold(striatal.root / "models" / "grouped" / f"grouped-{number:02d}.npz")
        assert sorted(fitted.layers) == ["member1", "member2"]


def test_the_final_ensemble_is_one_model_that_says_what_its_features_do(striatal: Inputs) -> None:
    make_features(striatal)
    reports = striatal.final("final")
    metrics = json.loads((reports / "metrics.json").read_text("utf-8"))
    assert metrics["bank_difference_max"] < 1e-4
    assert metrics["holdout"]["n"] == 6
    models = striatal.root / "models" / "final"
    assert sorted(path.name for path in models.iterdir()) == ["features.npz", "model.keras"]
    own = read_own_features(models)
    assert {name: each.shape for name, each in own.items()} == dict.fromkeys(["final", "dev-01", "dev-02"], (N, 16))
    record = json.loads((reports / "run.json").read_text("utf-8"))
    assert record["models"][0]["input_shape"] == list(SLABS_SHAPE)


def test_the_predictor_gives_the_tables_answers_and_explains_them(striatal: Inputs) -> None:
    bank = read_bank(make_features(striatal) / "bank.npy")
    striatal.final("final")
    reports = striatal.predictor("final", "predictor")
    table = pd.read_csv(reports / "predictions.csv")
    predictor = Predictor.read(striatal.root / "models" / "predictor")
    assert predictor.parts.model == "striatum"
    images = np.load(striatal.root / "images" / "images.npy")
    quality = pd.read_csv(striatal.root / "images" / "quality.csv")
    scans = [
        PreparedScan(
            volume=Volume(np.zeros(MNI_SHAPE), mni_ras_affine()),
            image=images[k],
            measures={**quality.iloc[k, 1:].astype(float).to_dict(), "image_mean": float(images[k].mean())},
            flags=(),
            slabs=bank[0, k].astype(np.float32).reshape(SLABS_SHAPE),
        )
        for k in range(6)
    ]
    answers = predictor.answers(scans)
    np.testing.assert_allclose([one.model_probability for one in answers], table["model_probability"], atol=1e-5)
    np.testing.assert_allclose([one.probability for one in answers], table["probability"], atol=1e-4)
    said = pd.read_csv(striatal.root / "final" / "predictions.csv")
    np.testing.assert_allclose([one.measures["spread"] for one in answers], said["spread"], atol=1e-4)
    np.testing.assert_array_equal(table["agreeing"] == 1, said["spread"] <= predictor.parts.spread_limit)
    development = pd.read_csv(striatal.root / "final" / "dev_predictions.csv")
    assert predictor.parts.spread_limit == development["spread"].astype(np.float32).max()  # 99 % of 18 are all
    controls = (pd.read_csv(striatal.root / "images" / "subjects.csv")["label"] == "control").to_numpy()[6:]
    expected = bank[0, 6:][controls].astype(np.float64).mean(axis=0).reshape(SLABS_SHAPE)
    assert predictor.parts.normal is not None
    np.testing.assert_allclose(predictor.parts.normal, expected, rtol=1e-5)
    found = IntegratedGradients(predictor.network).attribute(scans[0].seen, predictor.parts.normal)
    assert found.values.shape == SLABS_SHAPE
    assert found.values.sum() == pytest.approx(found.difference, rel=0.01)


def test_a_prepared_scan_has_the_slabs_of_the_bank(
    tiny_cohort: Path, tmp_path: Path, write_params: WriteParams
) -> None:
    params = write_params()
    values = YAML(typ="safe", pure=True).load(params.read_text("utf-8"))
    YAML().dump(values | {"model": "striatum"}, params)
    preprocess.main(tiny_cohort, tmp_path / "images", params)
    features.main(tmp_path / "images", tmp_path / "backbone", tmp_path / "features", params)
    clean = read_bank(tmp_path / "features" / "bank.npy")[0]
    section = PreprocessParams.model_validate(values["preprocess"], strict=False)
    for row in range(3):
        volume = reorient(read_volume(tiny_cohort / "volumes" / f"S{row:02d}.nii"))
        np.testing.assert_array_equal(network_slabs(volume, section).ravel(), clean[row].astype(np.float32))


def test_a_fold_that_was_finished_before_a_crash_is_not_trained_again(
    striatal: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_features(striatal)
    whole = striatal.cv("whole")
    trained: list[str] = []
    fit = fitting.fit_ensemble

    def crashing(head: Any, *rest: Any) -> Any:
        trained.append(head.name)
        if len(trained) == 3:
            raise RuntimeError("the machine went down")
        return fit(head, *rest)

    monkeypatch.setattr(fitting, "fit_ensemble", crashing)
    with pytest.raises(RuntimeError, match="went down"):
        striatal.cv("cv")
    reports = striatal.cv("cv")
    assert trained == [*FOLDS[:3], *FOLDS[2:]]
    assert not (striatal.root / "models" / UNFINISHED / "cv").exists()
    for name in ("predictions.csv", "history.csv", "table1.csv"):
        assert (reports / name).read_bytes() == (whole / name).read_bytes(), name


def test_features_of_an_imagenet_network_are_no_slabs(striatal: Inputs) -> None:
    with pytest.raises(CohortError, match="the bank holds no slabs; run stage features with model: striatum"):
        striatal.cv("cv")


def test_boxes_of_another_cohort_are_refused(striatal: Inputs) -> None:
    path = striatal.root / "images" / "striatal_box.npy"
    write_array(path, np.load(path)[:-1])
    with pytest.raises(CohortError, match=f"{N - 1} striatal boxes of {N} subjects"):
        make_features(striatal)
