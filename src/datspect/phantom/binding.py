"""Draw the simulated subjects and how much tracer their striata bind, by laws fitted to published values.

Binding ratios here are those that a scan would measure, partial volume included.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datspect.arrays import FloatArray
from datspect.cohort.table import CONTROL, PD

OTHER_GROUPS = SWEDD, ATYPICAL, VASCULAR = ("swedd", "atypical", "vascular")
"""Patients without PD who can be simulated: normal scans despite symptoms, late or atypical disease, an infarct."""

Side = Literal["left", "right"]
Course = Literal["typical", "discordant", "borderline"]
"""Whose binding a subject has: its class's own, the other class's, or that of an early and mostly one-sided disease."""

MEASURED = tuple(
    f"{nucleus}_{side}"
    for nucleus in ("caudate", "putamen_anterior", "putamen_posterior")
    for side in ("left", "right")
)
"""Order of the regional values in arrays of shape (6,)."""


@dataclass(frozen=True)
class Demographics:
    """Age (years) and share of men of a group; an age is drawn anew until it lies in the range."""

    mean_age: float
    sd_age: float
    age_range: tuple[float, float]
    men: float


@dataclass(frozen=True)
class BindingLaw:
    """The log-normal law of (caudate on the better-putamen side, caudate on the worse side, better, worse putamen).

    log_means, log_sds : shape (4,)
    correlations : of the logarithms, the pairs (0,1), (0,2), (0,3), (1,2), (1,3), (2,3)
    per_decade, for_men : change of the binding ratio of (caudate, putamen), included in the sds above
    """

    log_means: tuple[float, ...]
    log_sds: tuple[float, ...]
    correlations: tuple[float, ...]
    per_decade: tuple[float, float]
    for_men: tuple[float, float]
    left_is_worse: float
    demographics: Demographics


# Fitted to the published regional values of PPMI; age and sex effects from the same cohort.
LAWS: dict[str, BindingLaw] = {
    CONTROL: BindingLaw(
        log_means=(1.068, 1.080, 0.782, 0.663),
        log_sds=(0.213, 0.212, 0.274, 0.300),
        correlations=(0.89, 0.83, 0.83, 0.82, 0.79, 0.95),
        per_decade=(-0.157, -0.143),
        for_men=(-0.189, -0.159),
        left_is_worse=0.5,
        demographics=Demographics(60.8, 11.3, (31, 84), 0.65),
    ),
    PD: BindingLaw(
        log_means=(0.710, 0.561, -0.077, -0.453),
        log_sds=(0.318, 0.331, 0.386, 0.401),
        correlations=(0.84, 0.75, 0.67, 0.66, 0.75, 0.77),
        per_decade=(-0.094, -0.038),
        for_men=(-0.069, -0.041),
        left_is_worse=0.54,
        demographics=Demographics(61.6, 9.8, (33, 85), 0.64),
    ),
}
_OTHER = {CONTROL: PD, PD: CONTROL}
_LEFT_BY_ATYPICAL = (0.2, 0.5)
"""Late and atypical disease leaves a share of normal binding within these, the same everywhere. [assumed]"""

# Anatomy, registration, reference and cameras add scatter and asymmetry of their own to what is drawn here; with these
# factors the measured values have the published spread and asymmetry (benchmarks/phantom.py).
SPREAD = {"caudate": 0.52, "putamen": 0.68}
"""Factors on the sds that age and sex leave unexplained."""
SIDE_DIFFERENCE = 0.86
"""Factor on the difference between the logarithms of the two sides."""

_WORSE_SIDE_LOSS, _BETTER_SIDE_LOSS = (0.15, 0.45), (0.0, 0.2)
"""What an early disease has taken from the putamina of a borderline subject. [assumed]"""
_CAUDATE_SHARE_OF_LOSS = 0.4
"""The caudate of that side has lost this share of what its putamen has. [assumed]"""
_TRIFLING_LOSS = 0.06
"""Standard deviation of the share that the healthy have lost of their former binding. [assumed]"""

# Ratio of posterior to anterior putamen: a sigmoid of that putamen's own binding ratio, one law for everyone,
# from about 0.4 where little is left to about 0.75 in full health. [assumed]
_RATIO_LOWEST, _RATIO_RISE = 0.38, 0.37
_RATIO_MIDDLE, _RATIO_WIDTH = 1.1, 0.35
_RATIO_LIMITS = (0.1, 1.3)
ANTERIOR_SHARE = 0.6
"""Share of the putamen's voxels that lie in its anterior half (imaging/regions.py)."""


@dataclass(frozen=True)
class Person:
    """A simulated subject, before any image.

    binding : shape (6,), ratios that an average scan of this person would measure, in the order of `MEASURED`
    losses : shape (2, 2), share of the former binding that is lost, of (caudate, putamen) by (left, right); without
        what an atypical disease has taken alike from everywhere, which leaves no pattern
    """

    label: str
    age: float
    is_man: bool
    course: Course
    worse_side: Side
    binding: FloatArray
    losses: FloatArray


def draw_person(label: str, course: Course, ratio_scatter: float, rng: np.random.Generator) -> Person:
    """Draw a subject of class `label`, or of one of `OTHER_GROUPS`, from its own generator.

    `ratio_scatter`: standard deviation of the posterior/anterior ratio around its law.
    """
    law = LAWS[CONTROL if label in OTHER_GROUPS else _OTHER[label] if course == "discordant" else label]
    age, is_man = _draw_age_and_sex(LAWS[PD if label in OTHER_GROUPS else label].demographics, rng)
    values, losses = _draw_course(law, course, age, is_man, rng)
    better_caudate, worse_caudate, better, worse = values
    worse_side: Side = "left" if rng.random() < law.left_is_worse else "right"
    halves = [_split_putamen(whole, posterior_ratio(whole, ratio_scatter, rng)) for whole in (better, worse)]
    sides = np.array([(better_caudate, *halves[0]), (worse_caudate, *halves[1])])
    lost = np.reshape(losses, (2, 2))  # (caudate, putamen) by (better, worse)
    if worse_side == "left":
        sides, lost = sides[::-1], lost[:, ::-1]
    left = rng.uniform(*_LEFT_BY_ATYPICAL) if label == ATYPICAL else 1.0
    return Person(label, age, is_man, course, worse_side, left * sides.T.ravel(), lost)


def residual_covariance(law: BindingLaw) -> FloatArray:
    """Return the covariance, shape (4, 4), of the log values that age and sex leave unexplained."""
    return _total_covariance(law) - _explained_covariance(law)


def posterior_ratio(putamen: float, scatter: float, rng: np.random.Generator) -> float:
    """Draw the posterior over anterior binding ratio of a putamen whose binding ratio as a whole is `putamen`."""
    expected = _RATIO_LOWEST + _RATIO_RISE / (1 + np.exp((_RATIO_MIDDLE - putamen) / _RATIO_WIDTH))
    return float(np.clip(expected + scatter * rng.standard_normal(), *_RATIO_LIMITS))


def _split_putamen(whole: float, ratio: float) -> tuple[float, float]:
    """Return anterior and posterior binding ratio with mean `whole` over the voxels and the given ratio."""
    anterior = whole / (ANTERIOR_SHARE + (1 - ANTERIOR_SHARE) * ratio)
    return anterior, ratio * anterior


def _draw_age_and_sex(demographics: Demographics, rng: np.random.Generator) -> tuple[float, bool]:
    youngest, oldest = demographics.age_range
    while not youngest <= (age := rng.normal(demographics.mean_age, demographics.sd_age)) <= oldest:
        pass
    return round(float(age), 1), bool(rng.random() < demographics.men)


def _draw_course(
    law: BindingLaw, course: Course, age: float, is_man: bool, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw binding and losses of (better-side caudate, worse-side caudate, better putamen, worse putamen)."""
    healthy = LAWS[CONTROL]
    if course == "borderline":
        worse, better = rng.uniform(*_WORSE_SIDE_LOSS), rng.uniform(*_BETTER_SIDE_LOSS)
        losses = np.array([_CAUDATE_SHARE_OF_LOSS * better, _CAUDATE_SHARE_OF_LOSS * worse, better, worse])
        return _worse_last(_draw_binding(healthy, age, is_man, rng) * (1 - losses)), losses
    binding = _draw_binding(law, age, is_man, rng)
    trifling = np.minimum(np.abs(_TRIFLING_LOSS * rng.standard_normal(4)), 0.5)
    if law is healthy:
        return binding, trifling
    former = _draw_binding(healthy, age, is_man, rng)
    # Nobody has gained: who binds much today was at least there before.
    return binding, np.maximum(1 - binding / former, trifling)


def _draw_binding(law: BindingLaw, age: float, is_man: bool, rng: np.random.Generator) -> FloatArray:
    """Draw (better-side caudate, worse-side caudate, better putamen, worse putamen)."""
    covariance = residual_covariance(law)
    spread = np.repeat([SPREAD["caudate"], SPREAD["putamen"]], 2)
    noise = spread * (np.linalg.cholesky(covariance) @ rng.standard_normal(4))
    # A narrower log-normal law of the same mean has a higher median.
    recentred = np.asarray(law.log_means) + (1 - spread**2) * np.diag(covariance) / 2
    per_decade, for_men = _log_effects(law)
    explained = per_decade * (age - law.demographics.mean_age) / 10 + for_men * (is_man - law.demographics.men)
    logs = recentred + explained + noise
    side_means = (logs + logs[[1, 0, 3, 2]]) / 2
    return _worse_last(np.exp(side_means + SIDE_DIFFERENCE * (logs - side_means)))


def _worse_last(values: FloatArray) -> FloatArray:
    """Return the four values with the sides exchanged where the other side has the better putamen."""
    return values if values[2] >= values[3] else values[[1, 0, 3, 2]]


def _log_effects(law: BindingLaw) -> tuple[FloatArray, FloatArray]:
    """Return the change of the log values, shape (4,), per decade and for men: the change in units, over the mean."""
    means = np.exp(np.asarray(law.log_means) + np.square(law.log_sds) / 2)
    spread_out = [0, 0, 1, 1]  # caudate, caudate, putamen, putamen
    return np.asarray(law.per_decade)[spread_out] / means, np.asarray(law.for_men)[spread_out] / means


def _explained_covariance(law: BindingLaw) -> FloatArray:
    people = law.demographics
    per_decade, for_men = _log_effects(law)
    by_age = (people.sd_age / 10) ** 2 * np.outer(per_decade, per_decade)
    return np.asarray(by_age + people.men * (1 - people.men) * np.outer(for_men, for_men))


def _total_covariance(law: BindingLaw) -> FloatArray:
    correlation = np.eye(4)
    correlation[np.triu_indices(4, 1)] = law.correlations
    correlation = np.maximum(correlation, correlation.T)
    return np.asarray(correlation * np.outer(law.log_sds, law.log_sds))
