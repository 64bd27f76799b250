"""A regression that is kept says what scikit-learn's pipeline says, and knows what to do without a value or a class."""

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datspect.evaluation.regression import fit_regression


def test_it_says_what_a_pipeline_of_scikit_learn_says(rng: np.random.Generator) -> None:
    columns = rng.normal(size=(80, 4)) * [1, 10, 0.1, 0] + [0, 50, 2, 0.1]  # the last never varies
    labels = (columns[:, 0] + columns[:, 1] / 10 + rng.normal(size=80) > 5).astype(np.int64)
    columns[rng.random(columns.shape) < 0.1] = np.nan
    logistic = LogisticRegression(C=1.0, tol=1e-6, max_iter=10_000)
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), logistic)
    expected = pipeline.fit(columns, labels).decision_function(columns)
    np.testing.assert_allclose(fit_regression(columns, labels, 1.0).log_odds(columns), expected, atol=1e-9)


def test_a_missing_value_counts_as_the_median(rng: np.random.Generator) -> None:
    columns = rng.normal(size=(41, 2))
    found = fit_regression(columns, (columns[:, 0] > 0).astype(np.int64), 1.0)
    asked = np.array([[np.nan, 1.0], [np.median(columns[:, 0]), 1.0]])
    assert len(set(found.log_odds(asked).round(12))) == 1


def test_one_class_gives_everyone_its_share() -> None:
    found = fit_regression(np.ones((6, 2)), np.ones(6, np.int64), 1.0)
    assert found.log_odds(np.array([[3.0, -9.0]])) == pytest.approx(np.log(7))


def test_rounding_of_a_column_that_never_varies_tells_nothing() -> None:
    columns = np.column_stack([np.full(100, 0.1), np.arange(100)]).astype(np.float32)
    found = fit_regression(columns, np.arange(100) >= 50, 1.0)
    assert abs(found.weights[0]) < 1e-6


def test_columns_without_a_value_or_without_a_spread_tell_nothing() -> None:
    columns = np.column_stack([np.full(10, np.nan), np.full(10, 4.0), np.arange(10.0)])
    found = fit_regression(columns, np.arange(10) >= 5, 1.0)
    assert np.isfinite(found.medians).all()
    assert found.log_odds(np.array([[7.0, 4.0, 9.0]]))[0] > 0 > found.log_odds(np.array([[np.nan, 4.0, 0.0]]))[0]
