"""The putamen-SBR threshold."""

import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.baselines import best_threshold, threshold_predictions, worse_putamen_sbr


def test_the_threshold_lies_in_the_middle_of_a_clean_gap() -> None:
    assert best_threshold(np.array([0.5, 0.8, 2.0, 2.4]), np.array([1, 1, 0, 0])) == pytest.approx(1.4)


def test_a_useless_measure_ends_in_calling_all_the_larger_class() -> None:
    threshold = best_threshold(np.array([1.0, 1.0, 1.0]), np.array([1, 1, 0]))
    assert threshold > 1.0


def test_predictions_do_not_depend_on_the_fold_that_they_are_for(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 2, 60)
    sbr = rng.normal(2 - labels, 0.5)
    folds = np.arange(60) % 3
    predictions = threshold_predictions(sbr, labels, folds)
    turned = np.where(folds == 1, 1 - labels, labels)
    np.testing.assert_array_equal(predictions[folds == 1], threshold_predictions(sbr, turned, folds)[folds == 1])
    assert np.mean(predictions == labels) > 0.7


def test_the_worse_putamen_is_the_lower_side() -> None:
    quality = pd.DataFrame({"sbr_putamen_left": [1.0, 2.0], "sbr_putamen_right": [1.5, 0.5]})
    assert worse_putamen_sbr(quality).tolist() == [1.0, 0.5]
