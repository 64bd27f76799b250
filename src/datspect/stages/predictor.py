"""Stage `predictor`: calibration, when an answer is inconclusive, and the limits of the training cohort."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from datspect.arrays import BoolArray, FloatArray
from datspect.cohort.scope import Scope
from datspect.cohort.table import label_names
from datspect.errors import CohortError
from datspect.evaluation.baselines import SBR, ordered_sides
from datspect.evaluation.doubt import doubt_measures, evidence_table, is_informative, promise
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.metrics import binary_metrics
from datspect.evaluation.normal_range import Controls, fit_controls
from datspect.figures.curves import Forecast, calibration_figure
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.io.arrays import read_array
from datspect.io.png import write_figure
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.modeling.heads import FINAL_HEAD
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.params.striatum import Model
from datspect.prediction.files import MODEL_NAME, PredictorParts, copy_model, write_parts
from datspect.prediction.judging import (
    MEASURED,
    RATIOS,
    Judgements,
    TrainingRole,
    fit_parts,
    image_mean,
    judge_doubt,
    judged,
    withheld_rows,
)
from datspect.running.launch import launch
from datspect.training.data import TrainingData, TrainingInputs, in_order, read_training_data
from datspect.training.fold_files import read_own_features

log = logging.getLogger("datspect.predictor")

OwnFeatures = dict[str, NDArray[np.float32]]


class Read(Sections):
    """The sections that the stage reads."""

    model: Model
    preprocess: PreprocessParams
    prediction: PredictionParams


def main(
    images_folder: Path,
    features_folder: Path,
    splits_path: Path,
    model_folder: Path,
    final_folder: Path,
    predictor_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Fit on the training role what judges the final model's answers; then judge those of the test set."""
    params = read_params(Read, params_path)
    data = read_training_data(TrainingInputs.within(images_folder, features_folder, splits_path), memory_mapped=True)
    is_test = (data.splits["role"] == "test").to_numpy()
    own_features = read_own_features(model_folder)
    quality = _measured(images_folder, data)
    role = _training_role(data, ~is_test, quality, final_folder, own_features)
    if params.model == "striatum":
        role = replace(role, normal=_mean_control(data, ~is_test))
    with threadpool_limits(limits=1):  # the matrix products are small, and threads would wait for each other
        doubt = judge_doubt(role, params.prediction)
    scope = Scope.of(read_json(final_folder / "metrics.json"))
    fitted = fit_parts(role, doubt, data.cohort["kind"], params.preprocess, params.prediction, params.model)
    controls = _controls(images_folder, data, ~is_test, quality)
    parts = replace(fitted, recipe=scope.recipe, controls=controls)
    copy_model(model_folder / MODEL_NAME, predictor_folder)
    write_parts(predictor_folder, parts)
    holdout = _read_in_order(final_folder / "predictions.csv", data.splits[is_test])
    ratios, features = ordered_sides(quality[is_test], SBR), _clean(data, is_test, own_features)
    found = judged(parts, holdout["logit"].to_numpy(), ratios, features, spread=_spread(holdout))
    measures = quality[is_test].assign(feature_distance=found.distances)
    answered = _Answered(holdout, found, withheld_rows(parts.withholding, measures), data.targets[is_test])
    _report(parts, answered, evidence_table(role.labels, doubt), reports_folder)


@dataclass(frozen=True, eq=False)
class _Answered:
    """The holdout in one order: its predictions, how they are judged, why scans are withheld, and its labels."""

    predictions: pd.DataFrame
    found: Judgements
    withheld: list[tuple[str, ...]]
    labels: NDArray[np.int64]

    @property
    def is_withheld(self) -> BoolArray:
        return np.array([bool(reasons) for reasons in self.withheld])

    @property
    def set_aside(self) -> BoolArray:
        """Whose class is not to be relied on."""
        return np.asarray(self.found.inconclusive | self.is_withheld)


def _training_role(
    data: TrainingData,
    is_train: BoolArray,
    quality: pd.DataFrame,
    final_folder: Path,
    own_features: OwnFeatures,
) -> TrainingRole:
    splits = data.splits[is_train]
    quality = quality[is_train].reset_index(drop=True)
    development = _read_in_order(final_folder / "dev_predictions.csv", splits)
    return TrainingRole(
        labels=data.targets[is_train],
        dev_folds=splits["dev_fold"].to_numpy(),
        dev_logits=development["logit"].to_numpy(),
        ratios=ordered_sides(quality, SBR),
        features=_clean(data, is_train, own_features),
        measures=quality,
        features_by_fold={
            int(name.removeprefix("dev-")): features[is_train]
            for name, features in own_features.items()
            if name != FINAL_HEAD
        }
        or None,
        spread=_spread(development),
    )


def _measured(images_folder: Path, data: TrainingData) -> pd.DataFrame:
    """Return the quality table in the order of the scans, with the means of their images.

    Raises
    ------
    CohortError : the table is one of an earlier release.
    """
    path = images_folder / "quality.csv"
    quality, images = (
        _read_in_order(path, data.splits),
        read_array(images_folder / "images.npy", memory_mapped=True),
    )
    missing = [name for name in MEASURED if name not in quality]
    if missing:
        raise CohortError(f"{path}: no column {', '.join(missing)}; make it anew with dvc repro preprocess")
    return quality.assign(image_mean=[image_mean(image) for image in images])


def _read_in_order(path: Path, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table in the order of the scans in `splits`."""
    return in_order(read_table(path, ["scan_id"]), splits["scan_id"], path)


def _mean_control(data: TrainingData, is_train: BoolArray) -> FloatArray:
    """Return the mean of the training role's controls as the network sees them, shape (28, 24, 4)."""
    controls = is_train & (data.targets == 0)
    return np.asarray(data.bank[0, controls].mean(axis=0, dtype=np.float64).reshape(SLABS_SHAPE), np.float32)


def _controls(images_folder: Path, data: TrainingData, is_train: BoolArray, quality: pd.DataFrame) -> Controls | None:
    """Return what the binding ratios of the training role's controls are like; None if they are too few."""
    people = _read_in_order(images_folder / "subjects.csv", data.splits)
    rows = is_train & (data.targets == 0)
    controls = fit_controls(quality[rows], people[rows], RATIOS)
    if controls is None:
        log.warning("%d controls in the training role are too few for a normal range", rows.sum())
    return controls


def _spread(predictions: pd.DataFrame) -> FloatArray | None:
    """Return how far the members of an ensemble differ, shape (n,); None where a single network spoke."""
    return predictions["spread"].to_numpy() if "spread" in predictions else None


def _clean(data: TrainingData, rows: BoolArray, own_features: OwnFeatures) -> NDArray[np.float32]:
    """Return features of the clean images, shape (n, F): by the final network if it was trained, else from the bank."""
    return np.asarray(own_features.get(FINAL_HEAD, data.bank[0])[rows], np.float32)


def _report(parts: PredictorParts, answered: _Answered, evidence: list[dict[str, Any]], folder: Path) -> None:
    """Write predictions.csv (a row a test subject), metrics.json and calibration.png; all measures are of all.

    The table is for evaluation: what the network said of a withheld scan, whose `state` says so, stands there too.
    """
    holdout, found, labels = answered.predictions, answered.found, answered.labels
    table = holdout[["scan_id", "subject_id", "label", "role"]].assign(
        model_probability=holdout["probability"],
        probability=found.probabilities,
        prediction=label_names(found.predictions),
        ratio_probability=found.ratio_probabilities,
        error_risk=found.error_risks,
        state=np.select([answered.is_withheld, found.inconclusive], ["withheld", "inconclusive"], "answer"),
        inconclusive=answered.set_aside.astype(int),
        withheld=["; ".join(reasons) for reasons in answered.withheld],
        typical=found.typical.astype(int),
        **({} if parts.spread_limit is None else {"agreeing": found.agreeing.astype(int)}),
    )
    metrics: dict[str, Any] = {
        **parts.scope.record,
        "training_role": parts.measures,
        "evidence": evidence,
        "holdout": binary_metrics(labels, found.probabilities),
        "holdout_decisions": doubt_measures(labels, found.probabilities, answered.set_aside),
        "holdout_withheld": _share(answered.is_withheld),
        "holdout_typical": float(found.typical.mean()),
        **({} if parts.spread_limit is None else {"holdout_agreeing": float(found.agreeing.mean())}),
    }
    title = parts.scope.caption
    forecasts = {
        "as the network gives it": Forecast(labels, holdout["probability"].to_numpy()),
        "calibrated": Forecast(labels, found.probabilities),
    }
    write_table(folder / "predictions.csv", table)
    write_json(folder / "metrics.json", metrics)
    write_figure(folder / "calibration.png", calibration_figure(forecasts, f"test set, {title}"))
    _say(parts, answered, title)


def _share(is_so: BoolArray) -> dict[str, float]:
    n = int(is_so.sum())
    return {"n": n} | with_bounds("share", n / len(is_so), wilson_interval(n, len(is_so)))


def _say(parts: PredictorParts, answered: _Answered, title: str) -> None:
    measures = parts.measures
    log.info(
        "slope %.3f, intercept %+.3f; inconclusive by %s: out of fold %.1f %% conclusive, %s; %d of %d test subjects "
        "withheld (%s)",
        parts.calibration.slope,
        parts.calibration.intercept,
        " and ".join(parts.doubt.looks_at),
        100 * measures["coverage"],
        promise(measures) or "no promise",
        answered.is_withheld.sum(),
        len(answered.withheld),
        title,
    )
    if not is_informative(measures):
        log.warning(
            "what is called inconclusive was not shown to hold more errors than a draw by lot (%s): there are too few "
            "errors to learn from, or nothing tells them",
            title,
        )


if __name__ == "__main__":
    launch(main, "predictor_folder", "reports_folder")
