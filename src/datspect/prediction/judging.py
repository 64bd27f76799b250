"""What a network's answer is worth: calibrated, decided or left inconclusive, of a scan like those learnt from or not.

All of it is fitted on the training role: on what the development heads say of subjects that they have not seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.calibration import cross_calibrated, decision_measures, fit_calibration, inconclusive_band
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.typicality import fit_typicality
from datspect.modeling.heads import HeadWeights, logits
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.prediction.files import PredictorParts

RANGED = ("peak_slice", "striatal_contrast", "image_mean")
"""Measures of a scan that must lie in the range of the training role: place, uptake, and intensity of the image."""


@dataclass(frozen=True, eq=False)
class TrainingRole:
    """The subjects of the training role in one order, N of them.

    `labels`, `dev_folds`, `dev_logits`: shape (N,), the last out of fold; `features`: of the clean images, shape
    (N, F); `measures`: columns `RANGED`; `features_by_fold`: where networks were fine-tuned, what that of each
    development fold makes of all N.
    """

    labels: IntArray
    dev_folds: IntArray
    dev_logits: FloatArray
    features: FloatArray
    measures: pd.DataFrame
    features_by_fold: Mapping[int, FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Judgements:
    """Of N scans, every array of shape (N,).

    `probabilities`: calibrated; `predictions`: 1 is PD, of the calibrated probability; `agreement`: share of the
    development heads that say the same, NaN where there are none; `inconclusive`: within the band, or too few of them
    agree; `distances`: of the features, as `Typicality` gives them; `typical`: whether they lie within its limit.
    """

    probabilities: FloatArray
    predictions: IntArray
    agreement: FloatArray
    inconclusive: BoolArray
    distances: FloatArray
    typical: BoolArray


def fit_parts(
    role: TrainingRole,
    heads: list[HeadWeights],
    cohort_kind: str,
    preprocess: PreprocessParams,
    prediction: PredictionParams,
) -> PredictorParts:
    """Fit calibration, band and limits; `heads` are those of the development folds, none of a fine-tuned network."""
    out_of_fold = cross_calibrated(role.labels, role.dev_logits, role.dev_folds)
    band = inconclusive_band(out_of_fold, prediction.coverage)
    tail = (1 - prediction.typical_share) / 2
    return PredictorParts(
        preprocess=preprocess,
        prediction=prediction,
        cohort_kind=cohort_kind,
        n_train=len(role.labels),
        calibration=fit_calibration(role.labels, role.dev_logits),
        band=band,
        measures=decision_measures(role.labels, out_of_fold, band.holds(out_of_fold)),
        ranges={name: _range(role.measures[name], tail) for name in RANGED},
        typicality=fit_typicality(
            role.features,
            role.dev_folds,
            n_directions=prediction.typical_directions,
            share=prediction.typical_share,
            features_by_fold=role.features_by_fold,
        ),
        heads=heads,
    )


def judged(parts: PredictorParts, model_logits: FloatArray, features: FloatArray) -> Judgements:
    """Judge what the final model says, log odds of shape (N,), of scans with the given features, shape (N, F)."""
    probabilities = parts.calibration.probabilities(model_logits)
    predictions = predicted_labels(probabilities)
    agreement = np.full(len(predictions), np.nan)
    if parts.heads:
        of_heads = np.stack([parts.calibration.probabilities(logits(head, features)) for head in parts.heads])
        agreement = (predicted_labels(of_heads) == predictions).mean(axis=0)
    distances = parts.typicality.distances(features)
    return Judgements(
        probabilities=probabilities,
        predictions=predictions,
        agreement=agreement,
        inconclusive=parts.band.holds(probabilities) | (agreement < parts.prediction.min_agreement),
        distances=distances,
        typical=distances <= parts.typicality.limit,
    )


def out_of_range(ranges: Mapping[str, tuple[float, float]], measures: Mapping[str, float]) -> list[str]:
    """Which measures of a scan lie outside of the training role's range."""
    return [name for name, (low, high) in ranges.items() if not low <= measures[name] <= high]


def image_mean(image: FloatArray) -> float:
    """Mean of the network's image, shape (H, W, 3), in [0, 1]: its intensity."""
    return float(image.mean(dtype=np.float64))


def _range(values: "pd.Series[float]", tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1 - tail], method="closest_observation")
    return float(low), float(high)
