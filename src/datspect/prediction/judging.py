"""Judge a network's answer: calibrate it, leave it inconclusive or not, and say whether the scan is a usual one.

All of it is fitted on the training role, on what the development heads say of subjects that they have not seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.calibration import fit_calibration, prevalence_shift
from datspect.evaluation.doubt import FittedDoubt, Reading, Scores, doubt_measures, fit_doubt, limit_of
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.typicality import fit_typicality, held_out_distances
from datspect.evaluation.withholding import Withholding, fit_withholding
from datspect.imaging.appearance import APPEARANCE
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.params.striatum import Model
from datspect.prediction.files import PredictorParts

RANGED = ("peak_slice", "striatal_contrast", "image_mean")
"""Measures of a scan that should lie in the range of the training role: place, uptake, intensity of the image."""
WITHHOLDING: Mapping[Model, tuple[str, ...]] = {
    "paper": ("feature_distance", *RANGED, *APPEARANCE),
    "striatum": ("feature_distance", *RANGED[:2], *APPEARANCE),  # it does not see the image whose mean is the third
}
"""What a scan is withheld for; docs/decisions/0020 has how these were chosen."""
MEASURED = (*RANGED[:2], *APPEARANCE)
"""Those of the measures that stand in the quality table."""

RATIOS = ("sbr_caudate_left", "sbr_caudate_right", "sbr_putamen_left", "sbr_putamen_right")
"""Binding ratios that are held against those of controls."""

MARGIN = "registration_margin"
"""How far a registered scan keeps from the limits of the verdict, as the quality table has it."""

_TAIL: Mapping[Model, float] = {"paper": 0.998, "striatum": 0.99}
"""How far the training role reaches. The model of the striatum learns from altered scans and answers blur and noise
that the other cannot: taken from this quantile, its limits leave more room."""
_REGISTERED_TAIL = 0.99
_ONE_SIDED = frozenset({"feature_distance", "air"})
_EVEN = frozenset({"peak_slice"})
"""Few scans lie off their place, to either side."""
_REASONS: Mapping[tuple[str, bool], str] = {
    ("feature_distance", True): "unlike any training scan to the network",
    ("peak_slice", False): "upside down, out of its place or another organ",
    ("peak_slice", True): "upside down, out of its place or another organ",
    ("striatal_contrast", False): "no striata stand out",
    ("striatal_contrast", True): "striata stand out more than in training scans",
    ("image_mean", False): "a spot far brighter than the rest, or another scale of intensity",
    ("image_mean", True): "no striata stand out, or another scale of intensity",
    ("unevenness", False): "another scale of intensity",
    ("unevenness", True): "field of view cut, another organ or another tracer",
    ("air", True): "uptake outside of the head: another organ, or another scale of intensity",
    ("grain", False): "smoother than training scans, or in few grey levels",
    ("grain", True): "noisier than training scans",
    (MARGIN, False): "registered with less confidence than training scans",
}


@dataclass(frozen=True, eq=False)
class TrainingRole:
    """The N subjects of the training role in one order.

    labels, dev_folds : shape (N,); a label is 1 for PD
    dev_logits : log odds of PD, out of fold, shape (N,)
    ratios : logs of the binding ratios as `ordered_sides` gives them, shape (N, R)
    features : of the clean images, shape (N, F)
    measures : columns `RANGED` and `APPEARANCE`, one row per subject; `MARGIN` too where scans were registered
    features_by_fold : if networks were fine-tuned, the features of all N by that of each development fold
    spread : how far the members of an ensemble differ, out of fold, shape (N,); None for a single network
    normal : mean slabs of the controls, if the network sees slabs
    """

    labels: IntArray
    dev_folds: IntArray
    dev_logits: FloatArray
    ratios: FloatArray
    features: FloatArray
    measures: pd.DataFrame
    features_by_fold: Mapping[int, FloatArray] | None = None
    spread: FloatArray | None = None
    normal: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Judgements:
    """What the answers to N scans are worth; every array has shape (N,).

    prevalence : the share of PD that was asked for, or that of training
    probabilities : of PD, calibrated, at the prevalence that was asked for
    likelihood_ratios : how many times as probable the scan is in PD as in a control; the same at every prevalence
    predictions : 1 for PD if the probability is at least 0.5, else 0
    ratio_probabilities : of PD, by the regression on binding ratios, at the same prevalence
    error_risks : the chance that the prediction is wrong
    inconclusive : whether that chance is above the limit, or the features are not typical
    distances : of the features from the training role's, as `Typicality` measures them
    typical : whether the distance is within the limit
    agreeing : whether the members of an ensemble differ no more than is usual; True for a single network
    """

    prevalence: float
    probabilities: FloatArray
    likelihood_ratios: FloatArray
    predictions: IntArray
    ratio_probabilities: FloatArray
    error_risks: FloatArray
    inconclusive: BoolArray
    distances: FloatArray
    typical: BoolArray
    agreeing: BoolArray


def judge_doubt(role: TrainingRole, prediction: PredictionParams) -> FittedDoubt:
    """Fit when an answer is inconclusive, and find out fold by fold what that is worth."""
    scores = Scores(role.labels, role.dev_folds, role.dev_logits, role.ratios, role.spread)
    return fit_doubt(scores, prediction.coverage, prediction.ratio_c)


def fit_parts(
    role: TrainingRole,
    fitted: FittedDoubt,
    cohort_kind: str,
    preprocess: PreprocessParams,
    prediction: PredictionParams,
    model: Model = "paper",
) -> PredictorParts:
    """Fit calibration and limits; `fitted`: what `judge_doubt` gives for the same role."""
    tail = (1 - prediction.typical_share) / 2
    probabilities = expit(fitted.out_of_fold.network)
    n_directions = prediction.typical_directions
    distances = held_out_distances(
        role.features, role.dev_folds, n_directions=n_directions, features_by_fold=role.features_by_fold
    )
    typicality = fit_typicality(role.features, distances, n_directions=n_directions, share=prediction.typical_share)
    measures = role.measures.assign(feature_distance=distances)
    withholding = _fit_limits(measures, prediction.withheld_share, model)
    is_withheld = np.array([bool(reasons) for reasons in withheld_rows(withholding, measures)])
    unknown = is_withheld | (distances > typicality.limit)
    # Those are set aside whatever their risk, and are part of the share that is.
    limit = limit_of(np.where(unknown, 1.0, fitted.risks), prediction.coverage)
    set_aside = unknown | (fitted.risks > limit)
    return PredictorParts(
        preprocess=preprocess,
        prediction=prediction,
        cohort_kind=cohort_kind,
        n_train=len(role.labels),
        n_pd=int(role.labels.sum()),
        calibration=fit_calibration(role.labels, role.dev_logits),
        regression=fitted.regression,
        doubt=replace(fitted.doubt, limit=limit),
        measures=doubt_measures(role.labels, probabilities, set_aside),
        ranges={name: _range(role.measures[name], tail) for name in RANGED},
        typicality=typicality,
        withholding=withholding,
        model=model,
        normal=role.normal,
        spread_limit=None if role.spread is None else _limit(role.spread, prediction.typical_share),
    )


def judged(
    parts: PredictorParts,
    model_logits: FloatArray,
    ratios: FloatArray,
    features: FloatArray,
    prevalence: float | None = None,
    spread: FloatArray | None = None,
) -> Judgements:
    """Judge the final model's log odds of N scans, shape (N,), given the scans' binding ratios and features.

    `ratios`: shape (N, R), as `ordered_sides` gives them; `features`: shape (N, F); `spread`: of an ensemble's members,
    shape (N,), where the parts were fitted on one.

    At another `prevalence` than the training role's, a share of PD, probabilities, classes and what is inconclusive
    follow the shifted log odds. None is the training role's.

    The log odds are calibrated first; an answer that the binding ratios contradict is inconclusive, and so is that to
    features far from those of the training role, which are not typical:

    >>> from datspect.evaluation.calibration import Calibration
    >>> from datspect.evaluation.doubt import Doubt
    >>> from datspect.evaluation.regression import Regression
    >>> from datspect.evaluation.typicality import Typicality
    >>> from datspect.evaluation.withholding import Withholding
    >>> one = np.ones(1)
    >>> parts = PredictorParts(
    ...     preprocess=PreprocessParams(
    ...         slices=[40, 41, 42], intensity="image_max", input_size="native", smooth_fwhm_mm=None, z_offset_voxels=3,
    ...         on_bad_scan="stop",
    ...     ),
    ...     prediction=PredictionParams(
    ...         coverage=0.9, ratio_c=1.0, typical_share=0.99, withheld_share=0.01, typical_directions=1,
    ...     ),
    ...     cohort_kind="phantom",
    ...     n_train=500,
    ...     n_pd=250,
    ...     calibration=Calibration(slope=0.5, intercept=0.0),
    ...     regression=Regression(medians=0 * one, weights=-2 * one, intercept=0.0),
    ...     doubt=Doubt(weights=(-0.5, -1.0), intercept=0.0, limit=0.3),
    ...     measures={},
    ...     ranges={},
    ...     typicality=Typicality(mean=0 * one, directions=one[None], variances=one, rest_variance=1.0, limit=3.0),
    ...     withholding=Withholding({"feature_distance": (None, 5.0)}, at_most=0.01),
    ... )
    >>> found = judged(
    ...     parts,
    ...     model_logits=np.array([-4.0, 1.0, 4.0]),
    ...     ratios=np.array([[0.5], [0.5], [-0.5]]),
    ...     features=np.array([[0.0], [1.0], [9.0]]),
    ... )
    >>> found.probabilities.round(3)  # the logistic function of -2, 0.5 and 2
    array([0.119, 0.622, 0.881])
    >>> found.predictions, found.inconclusive, found.typical
    (array([0, 1, 1]), array([False,  True,  True]), array([ True,  True, False]))

    Raises
    ------
    PrevalenceError : the prevalence does not lie between 0 and 1.
    """
    shift = 0.0 if prevalence is None else prevalence_shift(parts.prevalence, prevalence)
    calibrated = parts.calibration.log_odds(model_logits)
    reading = Reading(calibrated + shift, parts.regression.log_odds(ratios) + shift, spread)
    probabilities = np.asarray(expit(reading.network))
    distances, evidence = parts.typicality.distances(features), reading.evidence
    typical = distances <= parts.typicality.limit
    return Judgements(
        prevalence=parts.prevalence if prevalence is None else prevalence,
        probabilities=probabilities,
        likelihood_ratios=np.exp(calibrated - logit(parts.prevalence)),
        predictions=predicted_labels(probabilities),
        ratio_probabilities=np.asarray(expit(reading.ratios)),
        error_risks=parts.doubt.risks(evidence),
        inconclusive=parts.doubt.is_inconclusive(evidence) | ~typical,
        distances=distances,
        typical=typical,
        agreeing=_agreeing(spread, parts.spread_limit, len(distances)),
    )


def out_of_range(ranges: Mapping[str, tuple[float, float]], measures: Mapping[str, float]) -> list[str]:
    """Return the names of a scan's measures that lie outside of the training role's range.

    >>> out_of_range({"peak_slice": (39, 43), "image_mean": (0.1, 0.3)}, {"peak_slice": 45, "image_mean": 0.2})
    ['peak_slice']
    """
    return [name for name, (low, high) in ranges.items() if not low <= measures[name] <= high]


def withheld_for(withholding: Withholding, measures: Mapping[str, float]) -> tuple[str, ...]:
    """Return in words why a scan is withheld, each reason once. Nothing if it is not.

    `measures`: those with limits; `MARGIN` is absent or missing of a scan that was not registered.

    >>> limits = Withholding({"grain": (0.02, 0.08), "air": (None, 0.1)}, at_most=0.01)
    >>> withheld_for(limits, {"grain": 0.09, "air": 0.0}), withheld_for(limits, {"grain": 0.05, "air": 0.0})
    (('noisier than training scans',), ())
    """
    if np.isnan(measures.get(MARGIN, np.nan)):
        ranges = {name: limits for name, limits in withholding.ranges.items() if name != MARGIN}
        withholding = replace(withholding, ranges=ranges)
    return tuple(dict.fromkeys(_REASONS[each] for each in withholding.beyond(measures)))


def withheld_rows(withholding: Withholding, measures: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `withheld_for` of each row of a table, which has a column for each of the limits but that of `MARGIN`."""
    known = measures if MARGIN in measures else measures.assign(**{MARGIN: np.nan})
    rows = known[[*withholding.ranges]].astype(float).to_dict("records")
    return [withheld_for(withholding, {str(name): row[name] for name in row}) for row in rows]


def _fit_limits(measures: pd.DataFrame, share: float, model: Model) -> Withholding:
    """Return the limits of a scan, and of its registration where enough of the training role was registered."""
    looked_at = measures[[*WITHHOLDING[model]]]
    margins = measures[[MARGIN]].dropna() if MARGIN in measures else measures.iloc[:0]
    is_learnt = len(margins) >= 2 / share - 1
    part = share / 2 if is_learnt else share
    limits = fit_withholding(looked_at, part, tail=_TAIL[model], one_sided=_ONE_SIDED, even=_EVEN)
    if not is_learnt:
        return limits
    # Upside down, so that there is a limit on one side alone.
    least = fit_withholding(-margins, part, tail=_REGISTERED_TAIL, one_sided=frozenset({MARGIN}))
    _, most = least.ranges[MARGIN]
    ranges = {**limits.ranges, MARGIN: (None if most is None else -most, None)}
    return Withholding(ranges, limits.at_most + least.at_most)


def image_mean(image: FloatArray) -> float:
    """Return the mean of the network's image, shape (H, W, 3), with values in [0, 1].

    >>> image_mean(np.array([[[0.0, 0.5, 1.0]]], np.float32))
    0.5
    """
    return float(image.mean(dtype=np.float64))


def _agreeing(spread: FloatArray | None, limit: float | None, n: int) -> BoolArray:
    return np.ones(n, bool) if spread is None or limit is None else np.asarray(spread <= limit)


def _limit(values: FloatArray, share: float) -> float:
    """Return the least of the values, shape (N,), that the share `share` of them does not exceed."""
    return float(np.quantile(values, share, method="higher"))


def _range(values: "pd.Series[float]", tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1 - tail], method="closest_observation")
    return float(low), float(high)
