"""A predictor's files give back what was written, and damaged ones are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.errors import CohortError, WeightsError
from datspect.evaluation.calibration import Calibration
from datspect.evaluation.doubt import Doubt
from datspect.evaluation.normal_range import Person, fit_controls
from datspect.evaluation.regression import Regression
from datspect.evaluation.typicality import Typicality
from datspect.evaluation.withholding import Withholding
from datspect.io.records import read_json, write_json
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.prediction.files import (
    ARRAYS_NAME,
    FILES,
    MODEL_NAME,
    PARTS_NAME,
    PredictorParts,
    predictor_digest,
    read_parts,
    write_parts,
)


@pytest.fixture
def parts(rng: np.random.Generator) -> PredictorParts:
    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return PredictorParts(
        preprocess=PreprocessParams(
            slices=[40, 41, 42],
            intensity="image_max",
            input_size=[120, 100],
            smooth_fwhm_mm=None,
            z_offset_voxels=3.0,
            on_bad_scan="stop",
        ),
        prediction=PredictionParams(
            coverage=0.9, ratio_c=1.0, typical_share=0.99, withheld_share=0.01, typical_directions=3
        ),
        cohort_kind="phantom",
        n_train=527,
        n_pd=359,
        calibration=Calibration(0.51, -0.02),
        regression=Regression(rng.normal(size=8), rng.normal(size=8), 0.3),
        doubt=Doubt((0.0, -0.9), -0.7, 0.16),
        measures={"coverage": 0.9},
        ranges={"peak_slice": (39.0, 43.0)},
        typicality=Typicality(draw(6), draw(3, 6), np.abs(draw(3)), 0.03, 1.7),
        withholding=Withholding({"grain": (0.01, 0.09), "air": (None, 0.1)}, at_most=0.01),
    )


def test_what_is_read_is_what_was_written(parts: PredictorParts, tmp_path: Path) -> None:
    write_parts(tmp_path, parts)
    read = read_parts(tmp_path)
    for name in (
        *("preprocess", "prediction", "cohort_kind", "n_train", "n_pd", "prevalence"),
        *("calibration", "doubt", "measures", "ranges", "withholding"),
    ):
        assert getattr(read, name) == getattr(parts, name)
    features = np.random.default_rng(1).normal(size=(5, 6))
    np.testing.assert_array_equal(read.typicality.distances(features), parts.typicality.distances(features))
    assert read.typicality.limit == parts.typicality.limit
    ratios = np.random.default_rng(2).normal(size=(5, 8))
    np.testing.assert_array_equal(read.regression.log_odds(ratios), parts.regression.log_odds(ratios))


def test_what_controls_are_like_is_kept_and_predictors_from_before_have_none(
    parts: PredictorParts, tmp_path: Path
) -> None:
    rng, names = np.random.default_rng(4), ["sbr_putamen_left"]
    ratios = pd.DataFrame({names[0]: rng.lognormal(1, 0.2, 30)})
    people = pd.DataFrame({"age": rng.uniform(40, 80, 30), "sex": ["male", "female"] * 15})
    controls, at = fit_controls(ratios, people, names), Person(60, "male")
    assert controls is not None
    write_parts(tmp_path / "with", replace(parts, controls=controls))
    read = read_parts(tmp_path / "with").controls
    assert read is not None
    assert read.against({names[0]: 2.0}, at) == controls.against({names[0]: 2.0}, at)
    write_parts(tmp_path / "before", parts)
    assert "controls" not in read_json(tmp_path / "before" / PARTS_NAME)
    assert read_parts(tmp_path / "before").controls is None


def test_the_same_parts_give_the_same_bytes(parts: PredictorParts, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_parts(tmp_path / name, parts)
    for name in (PARTS_NAME, ARRAYS_NAME):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_predictor_of_another_format_is_refused(parts: PredictorParts, tmp_path: Path) -> None:
    write_parts(tmp_path, parts)
    path = tmp_path / PARTS_NAME
    path.write_text(path.read_text().replace('"format": 5', '"format": 2'))
    with pytest.raises(WeightsError, match=r"this release reads \(format 2, expected 5 or 6\); make it anew"):
        read_parts(tmp_path)


@pytest.mark.parametrize("earlier", [3, 4])
def test_a_predictor_that_would_answer_everything_is_refused_and_what_to_do_is_said(
    parts: PredictorParts, tmp_path: Path, earlier: int
) -> None:
    write_parts(tmp_path, parts)
    path = tmp_path / PARTS_NAME
    path.write_text(path.read_text().replace('"format": 5', f'"format": {earlier}'))
    with pytest.raises(
        WeightsError, match=rf"before scans could be withheld \(format {earlier}\).* dvc repro predictor"
    ):
        read_parts(tmp_path)


def test_a_predictor_of_the_striatum_has_a_format_of_its_own(parts: PredictorParts, tmp_path: Path) -> None:
    normal = np.random.default_rng(3).random((28, 24, 4)).astype(np.float32)
    striatal = replace(
        parts, model="striatum", spread_limit=1.65, normal=normal, doubt=Doubt((-0.9, 0.0, -1.1), -0.4, 0.1)
    )
    write_parts(tmp_path / "striatum", striatal)
    write_parts(tmp_path / "paper", parts)
    read = read_parts(tmp_path / "striatum")
    assert (read.model, read.spread_limit, read.doubt) == ("striatum", 1.65, striatal.doubt)
    np.testing.assert_array_equal(read.normal, normal)
    records = {name: read_json(tmp_path / name / PARTS_NAME) for name in ("striatum", "paper")}
    assert {name: record["format"] for name, record in records.items()} == {"striatum": 6, "paper": 5}
    assert set(records["striatum"]) - set(records["paper"]) == {"model", "spread_limit"}
    with np.load(tmp_path / "paper" / ARRAYS_NAME) as file:
        assert file.files == ["typicality_mean", "typicality_directions", "typicality_variances"]


def test_a_format_that_is_not_its_models_is_refused(parts: PredictorParts, tmp_path: Path) -> None:
    write_parts(tmp_path, replace(parts, model="striatum", spread_limit=1.0, normal=np.zeros((28, 24, 4), np.float32)))
    path = tmp_path / PARTS_NAME
    path.write_text(path.read_text().replace('"format": 6', '"format": 5'))
    with pytest.raises(WeightsError, match="not a predictor that this release reads"):
        read_parts(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no arrays"])
def test_damaged_arrays_are_refused(parts: PredictorParts, tmp_path: Path, content: bytes) -> None:
    write_parts(tmp_path, parts)
    (tmp_path / ARRAYS_NAME).write_bytes(content)
    with pytest.raises(WeightsError, match="not a predictor"):
        read_parts(tmp_path)


def test_missing_files_are_named(parts: PredictorParts, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=PARTS_NAME):
        read_parts(tmp_path)
    write_parts(tmp_path, parts)
    (tmp_path / ARRAYS_NAME).unlink()
    with pytest.raises(WeightsError, match=ARRAYS_NAME):
        read_parts(tmp_path)
    with pytest.raises(WeightsError, match=rf"{MODEL_NAME}, {ARRAYS_NAME} missing"):
        predictor_digest(tmp_path)


def test_the_digest_changes_with_every_file(tmp_path: Path) -> None:
    digests = set()
    for changed in (None, *FILES):
        for name in FILES:
            (tmp_path / name).write_text("other" if name == changed else "same")
        digests.add(predictor_digest(tmp_path))
    assert len(digests) == 1 + len(FILES)


def test_a_predictor_from_before_images_could_be_smoothed_smooths_none(parts: PredictorParts, tmp_path: Path) -> None:
    write_parts(tmp_path, parts)
    record = read_json(tmp_path / PARTS_NAME)
    del record["preprocess"]["smooth_fwhm_mm"]
    write_json(tmp_path / PARTS_NAME, record)
    assert read_parts(tmp_path).preprocess == parts.preprocess
