"""Trees and regression are judged on the same held-out subjects."""

import numpy as np
import pytest
from benchmarks.boosting import compared
from scipy.special import expit

from datspect.evaluation.baselines import logistic_regression

TREES = {"trees": {"max_iter": 30, "max_leaf_nodes": 4, "min_samples_leaf": 10}}


@pytest.mark.parametrize(("boundary", "ahead"), [("a line", "regression"), ("a checkerboard", "trees")])
def test_who_fits_the_boundary_is_ahead(boundary: str, ahead: str, rng: np.random.Generator) -> None:
    columns = rng.normal(size=(300, 2))
    product = columns[:, 0] * columns[:, 1]
    log_odds = 3 * columns[:, 0] if boundary == "a line" else 6 * np.sign(product)
    labels = (rng.random(300) < expit(log_odds)).astype(np.int64)
    found = compared(labels, np.arange(300) % 3, columns, logistic_regression(1.0), TREES)
    assert min(found, key=lambda name: found[name]["loss"]) == ahead
    difference = found["trees"]["loss"] - found["regression"]["loss"]
    assert found["trees"]["loss_difference"] == pytest.approx(difference)
