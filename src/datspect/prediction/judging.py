"""Judge a network's answer: calibrate it, leave it inconclusive or not, and say whether the scan is a usual one.

All of it is fitted on the training role, on what the development heads say of subjects that they have not seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.calibration import (
    cross_calibrated,
    decision_measures,
    fit_calibration,
    inconclusive_band,
    prevalence_shift,
)
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.typicality import fit_typicality
from datspect.modeling.heads import HeadWeights, logits
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.prediction.files import PredictorParts

RANGED = ("peak_slice", "striatal_contrast", "image_mean")
"""Measures of a scan that should lie in the range of the training role: place, uptake, intensity of the image."""


@dataclass(frozen=True, eq=False)
class TrainingRole:
    """The N subjects of the training role in one order.

    labels, dev_folds : shape (N,); a label is 1 for PD
    dev_logits : log odds of PD, out of fold, shape (N,)
    features : of the clean images, shape (N, F)
    measures : columns `RANGED`, one row per subject
    features_by_fold : if networks were fine-tuned, the features of all N by that of each development fold
    """

    labels: IntArray
    dev_folds: IntArray
    dev_logits: FloatArray
    features: FloatArray
    measures: pd.DataFrame
    features_by_fold: Mapping[int, FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Judgements:
    """What the answers to N scans are worth; every array has shape (N,).

    probabilities : of PD, calibrated, at the prevalence that was asked for
    likelihood_ratios : how many times as probable the scan is in PD as in a control; the same at every prevalence
    predictions : 1 for PD if the probability is at least 0.5, else 0
    agreement : share of the development heads that predict the same; NaN without heads
    inconclusive : whether the probability lies within the band, or too few heads agree
    distances : of the features from the training role's, as `Typicality` measures them
    typical : whether the distance is within the limit
    """

    probabilities: FloatArray
    likelihood_ratios: FloatArray
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
    """Fit calibration, band and limits; `heads`: those of the development folds, none of fine-tuned networks."""
    out_of_fold = cross_calibrated(role.labels, role.dev_logits, role.dev_folds)
    band = inconclusive_band(out_of_fold, prediction.coverage)
    tail = (1 - prediction.typical_share) / 2
    return PredictorParts(
        preprocess=preprocess,
        prediction=prediction,
        cohort_kind=cohort_kind,
        n_train=len(role.labels),
        n_pd=int(role.labels.sum()),
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


def judged(
    parts: PredictorParts, model_logits: FloatArray, features: FloatArray, prevalence: float | None = None
) -> Judgements:
    """Judge the final model's log odds of N scans, shape (N,), given the scans' features, shape (N, F).

    At another `prevalence` than the training role's, a share of PD, probabilities, classes and what is inconclusive
    follow the shifted log odds. None is the training role's.

    The log odds are calibrated first; an answer near 0.5 is inconclusive, and features far from those of the training
    role are not typical:

    >>> from datspect.evaluation.calibration import Band, Calibration
    >>> from datspect.evaluation.typicality import Typicality
    >>> one = np.ones(1)
    >>> parts = PredictorParts(
    ...     preprocess=PreprocessParams(
    ...         slices=[40, 41, 42], intensity="image_max", input_size="native", z_offset_voxels=3, on_bad_scan="stop"
    ...     ),
    ...     prediction=PredictionParams(coverage=0.9, min_agreement=0.8, typical_share=0.99, typical_directions=1),
    ...     cohort_kind="phantom",
    ...     n_train=500,
    ...     n_pd=250,
    ...     calibration=Calibration(slope=0.5, intercept=0.0),
    ...     band=Band(half_width=0.2),
    ...     measures={},
    ...     ranges={},
    ...     typicality=Typicality(mean=0 * one, directions=one[None], variances=one, rest_variance=1.0, limit=3.0),
    ...     heads=[],
    ... )
    >>> found = judged(parts, model_logits=np.array([-4.0, 1.0, 4.0]), features=np.array([[0.0], [1.0], [9.0]]))
    >>> found.probabilities.round(3)  # the logistic function of -2, 0.5 and 2
    array([0.119, 0.622, 0.881])
    >>> found.predictions, found.inconclusive, found.typical
    (array([0, 1, 1]), array([False,  True, False]), array([ True,  True, False]))

    Raises
    ------
    PrevalenceError : the prevalence does not lie between 0 and 1.
    """
    shift = 0.0 if prevalence is None else prevalence_shift(parts.prevalence, prevalence)
    calibrated = parts.calibration.log_odds(model_logits)
    probabilities = expit(calibrated + shift)
    predictions = predicted_labels(probabilities)
    agreement = np.full(len(predictions), np.nan)
    if parts.heads:
        of_heads = np.stack([parts.calibration.log_odds(logits(head, features)) for head in parts.heads])
        agreement = (predicted_labels(expit(of_heads + shift)) == predictions).mean(axis=0)
    distances = parts.typicality.distances(features)
    return Judgements(
        probabilities=probabilities,
        likelihood_ratios=np.exp(calibrated - logit(parts.prevalence)),
        predictions=predictions,
        agreement=agreement,
        inconclusive=parts.band.holds(probabilities) | (agreement < parts.prediction.min_agreement),
        distances=distances,
        typical=distances <= parts.typicality.limit,
    )


def out_of_range(ranges: Mapping[str, tuple[float, float]], measures: Mapping[str, float]) -> list[str]:
    """Return the names of a scan's measures that lie outside of the training role's range.

    >>> out_of_range({"peak_slice": (39, 43), "image_mean": (0.1, 0.3)}, {"peak_slice": 45, "image_mean": 0.2})
    ['peak_slice']
    """
    return [name for name, (low, high) in ranges.items() if not low <= measures[name] <= high]


def image_mean(image: FloatArray) -> float:
    """Return the mean of the network's image, shape (H, W, 3), with values in [0, 1].

    >>> image_mean(np.array([[[0.0, 0.5, 1.0]]], np.float32))
    0.5
    """
    return float(image.mean(dtype=np.float64))


def _range(values: "pd.Series[float]", tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1 - tail], method="closest_observation")
    return float(low), float(high)
