"""The simple models learn from the training part and from nothing else."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from datspect.evaluation.baselines import (
    Baseline,
    Fit,
    age_sex_columns,
    best_threshold,
    fit_threshold,
    fold_parts,
    held_out_predictions,
    linear_svm,
    logistic_regression,
    ordered_sides,
    worse_putamen_sbr,
)

N = 60
FITS: dict[str, Fit] = {
    "threshold": fit_threshold,
    "logistic regression": logistic_regression(1.0),
    "support vector machine": linear_svm(1.0),
}


@pytest.fixture
def labels() -> np.ndarray:
    return (np.arange(N) % 5 > 1).astype(np.int64)


@pytest.fixture
def columns(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return columns of different scales; the first tells the label, the others do not."""
    columns = rng.normal(size=(N, 4)) * [0.5, 1, 100, 0.01]
    columns[:, 0] += 2 - labels
    return columns


FOLDS = np.arange(N) % 3 + 1


def test_the_threshold_lies_in_the_middle_of_a_clean_gap() -> None:
    assert best_threshold(np.array([0.5, 0.8, 2.0, 2.4]), np.array([1, 1, 0, 0])) == pytest.approx(1.4)


def test_a_useless_measure_ends_in_calling_all_the_larger_class() -> None:
    threshold = best_threshold(np.array([1.0, 1.0, 1.0]), np.array([1, 1, 0]))
    assert threshold > 1.0


def test_below_the_threshold_is_pd_and_lower_binding_scores_higher() -> None:
    fitted = fit_threshold(np.array([[0.5], [0.8], [2.0], [2.4]]), np.array([1, 1, 0, 0]))
    said = fitted(np.array([[1.39], [1.41], [0.1]]))
    assert said.predictions.tolist() == [1, 0, 1]
    assert said.scores.argsort().tolist() == [1, 0, 2]
    assert said.probabilities is None


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_a_held_out_fold_is_predicted_from_the_others_alone(
    fit: Fit, columns: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> None:
    said = held_out_predictions(Baseline("any", columns, fit), labels, fold_parts(FOLDS))
    one = 7
    own_fold = np.isin(FOLDS, FOLDS[one])
    others = own_fold & (np.arange(N) != one)
    changed, turned = columns.copy(), labels.copy()
    changed[others] += rng.normal(size=(others.sum(), 4)) * 50
    turned[own_fold] = 1 - turned[own_fold]
    again = held_out_predictions(Baseline("any", changed, fit), turned, fold_parts(FOLDS))
    assert again.scores[one] == said.scores[one]
    assert again.predictions[one] == said.predictions[one]
    assert (again.predictions != said.predictions)[~own_fold].any()  # they do learn from them
    assert np.mean(said.predictions == labels) > 0.7


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_the_test_set_is_predicted_in_its_own_order(fit: Fit, columns: np.ndarray, labels: np.ndarray) -> None:
    is_test = np.arange(N) % 4 == 1
    said = held_out_predictions(Baseline("any", columns, fit), labels, [(~is_test, is_test)])
    directly = fit(columns[~is_test], labels[~is_test])(columns[is_test])
    np.testing.assert_array_equal(said.scores, directly.scores)
    np.testing.assert_array_equal(said.predictions, directly.predictions)
    assert len(said.scores) == is_test.sum()


def test_predictions_come_back_in_the_order_of_the_subjects(columns: np.ndarray, labels: np.ndarray) -> None:
    said = held_out_predictions(Baseline("sbr", columns, fit_threshold), labels, fold_parts(FOLDS))
    np.testing.assert_array_equal(said.scores, -columns[:, 0])


def test_the_logistic_regression_minimises_its_own_objective(columns: np.ndarray, labels: np.ndarray) -> None:
    c = 0.3
    said = logistic_regression(c)(columns, labels)(columns)
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)

    def objective(weights: np.ndarray) -> float:
        logits = standardised @ weights[:-1] + weights[-1]
        loss = np.logaddexp(0, -logits * (2 * labels - 1)).sum()
        return float(weights[:-1] @ weights[:-1] / 2 + c * loss)

    weights = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-5}).x
    np.testing.assert_allclose(said.scores, standardised @ weights[:-1] + weights[-1], atol=1e-3)
    assert said.probabilities is not None
    np.testing.assert_allclose(said.probabilities, 1 / (1 + np.exp(-said.scores)), rtol=1e-9)
    np.testing.assert_array_equal(said.predictions, said.probabilities >= 0.5)


def test_the_support_vector_machine_is_the_linear_one_of_scikit_learn_and_calls_pd_from_zero(
    columns: np.ndarray, labels: np.ndarray
) -> None:
    said = linear_svm(0.5)(columns, labels)(columns)
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    expected = SVC(C=0.5, kernel="linear").fit(standardised, labels).decision_function(standardised)
    np.testing.assert_allclose(said.scores, expected, atol=1e-6)
    np.testing.assert_array_equal(said.predictions, said.scores >= 0)
    assert said.probabilities is None


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_of_a_column_does_not_matter(columns: np.ndarray, labels: np.ndarray, scale: float) -> None:
    for fit in (logistic_regression(1.0), linear_svm(1.0)):
        said, scaled = fit(columns, labels)(columns), fit(columns * scale, labels)(columns * scale)
        np.testing.assert_allclose(scaled.scores, said.scores, atol=1e-4)


def test_more_columns_than_subjects_converge_in_silence(labels: np.ndarray, rng: np.random.Generator) -> None:
    columns = rng.normal(size=(N, 500)) + labels[:, None] * 0.5
    columns[:, 3] = 1.0  # a dead feature
    said = logistic_regression(1.0)(columns, labels)(columns)
    assert roc_auc_score(labels, said.scores) == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_a_training_part_of_one_class_gives_the_same_answer_to_all(label: int) -> None:
    training, held_out = np.arange(8.0).reshape(4, 2), np.arange(6.0).reshape(3, 2)
    for fit in (logistic_regression(1.0), linear_svm(1.0)):
        said = fit(training, np.full(4, label))(held_out)
        assert said.predictions.tolist() == [label] * 3
        assert len(set(said.scores)) == 1
    said = logistic_regression(1.0)(training, np.full(4, label))(held_out)
    assert said.probabilities is not None
    np.testing.assert_allclose(said.probabilities, (4 * label + 1) / 6)


def test_a_missing_age_counts_as_the_median_of_the_training_part() -> None:
    ages = [50.0, 60.0, 80.0, np.nan, 70.0, 40.0]
    labels = np.array([1, 1, 0, 0, 1, 0])
    subjects = pd.DataFrame({"sex": ["male", "female", "", "male", "", "female"], "age": ages})
    columns = age_sex_columns(subjects)
    assert columns.shape == (6, 1 + 3)
    assert columns[:, 1:].sum(axis=1).tolist() == [1.0] * 6
    assert (columns[2, 1:] == columns[4, 1:]).all()  # unknown is a category like the others
    fitted = logistic_regression(1.0)(columns, labels)
    asked = columns[[3, 3]]
    asked[1, 0] = 60.0  # the median of the five known ages
    scores = fitted(asked).scores
    assert scores[0] == pytest.approx(scores[1])


def test_a_cohort_without_any_age_is_judged_by_sex_alone() -> None:
    subjects = pd.DataFrame({"sex": ["male", "female"] * 4, "age": np.nan})
    said = logistic_regression(1.0)(age_sex_columns(subjects), np.array([1, 0, 1, 0, 1, 0, 1, 1]))(
        age_sex_columns(subjects)
    )
    assert len(set(np.round(said.scores, 9))) == 2
    assert said.scores[0] > said.scores[1]


def test_the_worse_putamen_is_the_lower_side() -> None:
    quality = pd.DataFrame({"sbr_putamen_left": [1.0, 2.0], "sbr_putamen_right": [1.5, 0.5]})
    assert worse_putamen_sbr(quality).tolist() == [1.0, 0.5]


def test_a_mirrored_subject_looks_the_same_to_the_regression_on_ordered_sides(rng: np.random.Generator) -> None:
    sides = rng.uniform(0.2, 3, (8, 2, 2))
    names = [f"sbr_{region}_{side}" for region in ("putamen", "caudate") for side in ("left", "right")]
    table = pd.DataFrame(sides.reshape(8, 4), columns=names).assign(peak_slice=41, sbr_note="")
    mirrored = pd.DataFrame(sides[:, :, ::-1].reshape(8, 4), columns=names)
    columns = ordered_sides(table, "sbr_")
    np.testing.assert_array_equal(columns, ordered_sides(mirrored, "sbr_"))
    np.testing.assert_allclose(columns[:, 2:], np.log(np.sort(sides[:, 0], axis=1)))  # caudate comes first
    assert np.isfinite(ordered_sides(-mirrored, "sbr_")).all()


def test_disease_of_either_side_is_told_by_ordered_sides_and_not_by_left_and_right(rng: np.random.Generator) -> None:
    labels = np.arange(400) % 2
    better = np.exp(rng.normal(0.7, 0.35, 400))  # people differ more than the disease of one side takes away
    worse = better * np.where(labels == 1, 0.6, 0.97) * np.exp(rng.normal(0, 0.05, 400))
    is_left = rng.random(400) < 0.5
    table = pd.DataFrame(
        {"sbr_putamen_left": np.where(is_left, worse, better), "sbr_putamen_right": np.where(is_left, better, worse)}
    )
    parts = fold_parts(np.arange(400) // 2 % 5)
    scores = [
        held_out_predictions(Baseline("any", columns, logistic_regression(1.0)), labels, parts).scores
        for columns in (ordered_sides(table, "sbr_"), np.log(table.to_numpy()))
    ]
    areas = [roc_auc_score(labels, score) for score in scores]
    assert areas[0] > 0.99
    assert areas[1] < 0.85
