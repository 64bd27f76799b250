"""Hold binding ratios against those of controls: z-scores and 95 % ranges, by age and sex where both are known.

The logarithm of each ratio is regressed on age and sex over the controls. A new person's ratio then follows Student's t
around what is expected of a control, with the scatter of the residuals and what is unsure of the fit in its width, so
that 95 of 100 new controls lie within the range, however few it was fitted on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr, stdtrit  # scipy.stats would take a server 40 MB

from datspect.arrays import FloatArray
from datspect.evaluation.baselines import LEAST_BINDING

COVERAGE = 0.95
LEAST_CONTROLS = 10
"""Of fewer controls no range is given."""
_AGE_UNIT_YEARS = 10.0

Sex = Literal["female", "male"]


@dataclass(frozen=True)
class Person:
    """What is known of whoever was scanned; age in years."""

    age: float | None = None
    sex: Sex | None = None


NOBODY = Person()
"""Of whom nothing is known."""


@dataclass(frozen=True)
class Compared:
    """One ratio against controls: `z` is below -1.96 or above 1.96 just if the ratio is out of the range."""

    z: float
    low: float
    high: float


@dataclass(frozen=True)
class AgainstControls:
    """The ratios of a scan against controls, by measure, and in words against whom."""

    ratios: Mapping[str, Compared]
    whom: str


@dataclass(frozen=True, eq=False)
class Regression:
    """Regressions of the logarithms of M ratios on the same p columns over n controls.

    coefficients : shape (M, p)
    sds : of the residuals, with n - p degrees of freedom, shape (M,)
    spread : inverse of the product of the columns with each other, shape (p, p)
    """

    n: int
    coefficients: FloatArray
    sds: FloatArray
    spread: FloatArray

    def against(self, row: FloatArray, logs: FloatArray) -> list[Compared]:
        """Return the logarithms of ratios, shape (M,), of a person with the columns `row`, shape (p,), against these.

        A ratio is as far out as Student's t says; z is the normal deviate with the same probability beyond it.
        """
        n_free = self.n - len(row)
        expected = self.coefficients @ row
        widths = self.sds * np.sqrt(1 + row @ self.spread @ row)
        deviates = (logs - expected) / widths
        z = np.sign(deviates) * -ndtri(stdtr(n_free, -np.abs(deviates)))
        reach = stdtrit(n_free, (1 + COVERAGE) / 2) * widths
        lows, highs = np.exp(expected - reach), np.exp(expected + reach)
        return [Compared(*map(float, found)) for found in zip(z, lows, highs, strict=True)]

    @property
    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        arrays = {"coefficients": self.coefficients, "sds": self.sds, "spread": self.spread}
        return {"n": self.n} | {name: each.tolist() for name, each in arrays.items()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return what `record` gave."""
        return cls(int(record["n"]), *(np.array(record[name], float) for name in ("coefficients", "sds", "spread")))


@dataclass(frozen=True, eq=False)
class Controls:
    """What the ratios of controls are like.

    measures : the M ratios
    everyone : over all controls, with one column of ones
    by_age_sex : over those of known age and sex: columns of ones, decades from `ages`' middle, and 1 for men; None if
        there are too few, or none of one sex
    ages : lowest and highest age of these, years
    """

    measures: tuple[str, ...]
    everyone: Regression
    by_age_sex: Regression | None
    ages: tuple[float, float]

    def against(self, measures: Mapping[str, float], person: Person) -> AgainstControls:
        """Return a scan's ratios against controls of the person's age and sex, or against all if one is unknown."""
        logs = _logs(np.array([measures[name] for name in self.measures]))
        if person.age is None or person.sex is None or self.by_age_sex is None:
            found = self.everyone.against(np.ones(1), logs)
            return AgainstControls(dict(zip(self.measures, found, strict=True)), self._all_in_words(person))
        row = _columns(np.array([person.age]), np.array([person.sex]), self.ages)[0]
        found = self.by_age_sex.against(row, logs)
        low, high = self.ages
        beyond = "" if low <= person.age <= high else f", whose ages are {low:.0f} to {high:.0f}: extrapolated"
        whom = f"{self.by_age_sex.n} controls, for age {person.age:.0f} and {person.sex} sex{beyond}"
        return AgainstControls(dict(zip(self.measures, found, strict=True)), whom)

    def _all_in_words(self, person: Person) -> str:
        if self.by_age_sex is None:
            return f"all {self.everyone.n} controls, whatever age and sex: too few of both sexes to tell"
        unknown = [name for name, value in (("age", person.age), ("sex", person.sex)) if value is None]
        return f"all {self.everyone.n} controls: {' and '.join(unknown)} of this person unknown"

    @property
    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "measures": list(self.measures),
            "everyone": self.everyone.record,
            "by_age_sex": None if self.by_age_sex is None else self.by_age_sex.record,
            "ages": list(self.ages),
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return what `record` gave."""
        by_age_sex = None if record["by_age_sex"] is None else Regression.of(record["by_age_sex"])
        low, high = record["ages"]
        everyone = Regression.of(record["everyone"])
        return cls(tuple(record["measures"]), everyone, by_age_sex, (float(low), float(high)))


def fit_controls(ratios: pd.DataFrame, people: pd.DataFrame, measures: Sequence[str]) -> Controls | None:
    """Fit what the ratios of n controls are like; None if there are fewer than `LEAST_CONTROLS`.

    `ratios`: has columns `measures`; `people`: columns age (years, NaN if unknown) and sex, in the same order.
    """
    logs = _logs(ratios[[*measures]].to_numpy(np.float64))
    if len(logs) < LEAST_CONTROLS:
        return None
    ages, sexes = people["age"].to_numpy(np.float64), people["sex"].to_numpy(str)
    known = np.isfinite(ages) & np.isin(sexes, ("female", "male"))
    is_enough = known.sum() >= LEAST_CONTROLS
    span = (float(ages[known].min()), float(ages[known].max())) if is_enough else (np.nan, np.nan)
    columns = _columns(ages[known], sexes[known], span)
    can_tell = is_enough and np.linalg.matrix_rank(columns) == columns.shape[1]
    return Controls(
        measures=tuple(measures),
        everyone=_fitted(np.ones((len(logs), 1)), logs),
        by_age_sex=_fitted(columns, logs[known]) if can_tell else None,
        ages=span if can_tell else (0.0, 0.0),
    )


def _columns(ages: FloatArray, sexes: Any, span: tuple[float, float]) -> FloatArray:
    """Return the columns of people, shape (n, 3)."""
    decades = (ages - sum(span) / 2) / _AGE_UNIT_YEARS
    return np.column_stack([np.ones(len(ages)), decades, (sexes == "male").astype(float)])


def _fitted(columns: FloatArray, logs: FloatArray) -> Regression:
    coefficients, *_ = np.linalg.lstsq(columns, logs, rcond=None)
    residuals = logs - columns @ coefficients
    sds = np.sqrt(np.square(residuals).sum(axis=0) / (len(columns) - columns.shape[1]))
    return Regression(len(columns), coefficients.T, sds, np.linalg.inv(columns.T @ columns))


def _logs(ratios: FloatArray) -> FloatArray:
    """Return logarithms; ratios below `LEAST_BINDING` are noise around 0 and count as this."""
    return np.asarray(np.log(np.maximum(ratios, LEAST_BINDING)))
