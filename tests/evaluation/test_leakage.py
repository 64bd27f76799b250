"""Each check finds its fault and passes a clean cohort."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.evaluation.baselines import Baseline, fold_parts, held_out_predictions
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.leakage import (
    chance_limit,
    check_feature_overlap,
    check_image_overlap,
    check_label_from,
    check_permuted_labels,
    check_subject_overlap,
    fit_group_share,
    permuted_labels,
)

N = 12
SCANS = [f"S{k:02d}" for k in range(N)]
SUBJECTS = [f"P{k:02d}" for k in range(N)]


@pytest.fixture
def splits() -> pd.DataFrame:
    """Folds 1, 2, 3 in turn; S00, S01, S02 to test; development folds 1 and 2 in turn."""
    return pd.DataFrame(
        {
            "scan_id": SCANS,
            "subject_id": SUBJECTS,
            "fold": [k % 3 + 1 for k in range(N)],
            "role": ["test" if k < 3 else "train" for k in range(N)],
            "dev_fold": [0 if k < 3 else k % 2 + 1 for k in range(N)],
        }
    )


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    """Return images without symmetry, and empty at the edge, like a slice above the head."""
    images = rng.random((N, 10, 8, 3)).astype(np.float32)
    images[:, 0] = 0
    return images


def test_a_clean_split_passes(splits: pd.DataFrame) -> None:
    check = check_subject_overlap(splits)
    assert check.passed
    assert check.details == ()
    assert check.figures == {"n_subjects": N, "n_folds": 3, "n_faults": 0}


def test_all_scans_of_a_subject_in_one_place_pass(splits: pd.DataFrame) -> None:
    splits.loc[9, "subject_id"] = splits.loc[3, "subject_id"]
    splits.loc[9, "dev_fold"] = splits.loc[3, "dev_fold"]
    assert check_subject_overlap(splits).passed


def test_a_subject_in_two_folds_is_named_with_its_scans(splits: pd.DataFrame) -> None:
    splits.loc[9, "subject_id"] = "P04"  # S09 in fold 1 and development fold 2, S04 in 2 and 1
    check = check_subject_overlap(splits)
    assert not check.passed
    assert check.details == (
        "subject P04 (scans S04, S09): fold 1 and 2; expected one only",
        "subject P04 (scans S04, S09): dev_fold 1 and 2; expected one only",
    )
    assert "P04" not in check.finding  # which may be published


def test_a_subject_to_train_on_and_to_test_is_named(splits: pd.DataFrame) -> None:
    splits.loc[3, "subject_id"] = "P00"
    assert any(
        "subject P00 (scans S00, S03): role test and train" in line for line in check_subject_overlap(splits).details
    )


def test_a_scan_listed_twice_with_two_folds_is_a_subject_in_two_folds(splits: pd.DataFrame) -> None:
    twice = pd.concat([splits, splits.iloc[[5]].assign(fold=1)])
    assert check_subject_overlap(twice).details == ("subject P05 (scans S05): fold 1 and 3; expected one only",)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("dev_fold", 0, "scan S07: dev_fold: expected a number from 1 for the role train"),
        ("fold", 0, "scan S07: fold: expected a number from 1"),
        ("fold", np.nan, "scan S07: fold: expected a number from 1"),
        ("role", "validation", "scan S07: role: expected train or test"),
        ("role", "test", "scan S07: dev_fold: expected 0 for the role test"),
    ],
)
def test_an_impossible_place_is_named(splits: pd.DataFrame, column: str, value: object, expected: str) -> None:
    splits[column] = splits[column].astype(object)
    splits.loc[7, column] = value
    check = check_subject_overlap(splits)
    assert not check.passed
    assert [line for line in check.details if line.startswith(expected)]


def test_images_without_a_copy_pass(images: np.ndarray, splits: pd.DataFrame) -> None:
    check = check_image_overlap(SCANS, images, splits)
    assert check.passed
    assert check.details == ()


def test_empty_slices_are_no_copies(images: np.ndarray, splits: pd.DataFrame) -> None:
    images[:, :, :, 2] = 0
    assert check_image_overlap(SCANS, images, splits).passed


def test_slices_that_repeat_within_one_scan_are_no_copies(images: np.ndarray, splits: pd.DataFrame) -> None:
    images[4, :, :, 1] = images[4, :, :, 0]
    assert check_image_overlap(SCANS, images, splits).passed


def test_a_copied_image_is_found_once_with_both_sides(images: np.ndarray, splits: pd.DataFrame) -> None:
    images[8] = images[1]
    check = check_image_overlap(SCANS, images, splits)
    assert check.details == ("scans S01, S08 hold the same image: fold 2 and 3; role test and train; dev_fold 0 and 1",)


def test_a_mirrored_copy_is_found(images: np.ndarray, splits: pd.DataFrame) -> None:
    images[8] = images[4][:, ::-1]
    check = check_image_overlap(SCANS, images, splits)
    assert check.details == ("scans S04, S08 hold the same image, one of them mirrored: fold 2 and 3",)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_single_copied_slice_is_found_in_whatever_channel(
    images: np.ndarray, splits: pd.DataFrame, mirrored: bool
) -> None:
    images[8, :, :, 2] = images[4, :, ::-1, 0] if mirrored else images[4, :, :, 0]
    check = check_image_overlap(SCANS, images, splits)
    assert not check.passed
    assert check.details == ("scans S04, S08 share a slice: fold 2 and 3",)


def test_a_change_of_one_pixel_is_another_image(images: np.ndarray, splits: pd.DataFrame) -> None:
    images[8] = images[4]
    images[8, 5, 5, :] += np.float32(1e-3)
    assert check_image_overlap(SCANS, images, splits).passed


def test_a_copy_that_shares_every_side_of_its_original_does_not_leak(images: np.ndarray, splits: pd.DataFrame) -> None:
    images[9] = images[3]
    splits.loc[9, "dev_fold"] = splits.loc[3, "dev_fold"]
    assert check_image_overlap(SCANS, images, splits).passed
    splits.loc[9, "dev_fold"] = 3 - splits.loc[3, "dev_fold"]
    assert check_image_overlap(SCANS, images, splits).details == (
        "scans S03, S09 hold the same image: dev_fold 1 and 2",
    )


def test_copied_features_of_another_subject_are_found_even_on_one_side(rng: np.random.Generator) -> None:
    clean = rng.normal(size=(N, 5)).astype(np.float16)
    assert check_feature_overlap(SCANS, SUBJECTS, clean).passed
    clean[9] = clean[3]
    check = check_feature_overlap(SCANS, SUBJECTS, clean)
    assert check.details == ("scans S03, S09 have the same features, subjects P03, P09",)
    assert check_feature_overlap(SCANS, [*SUBJECTS[:9], "P03", *SUBJECTS[10:]], clean).passed  # scans of one subject


@given(st.integers(0, 2**32 - 1))
def test_permuting_keeps_the_number_of_pd_and_the_scans_of_a_subject_together(seed: int) -> None:
    subject_ids = [f"P{k // 2}" for k in range(40)]
    labels = np.array([k // 2 % 3 > 0 for k in range(40)], np.int64)
    dealt = permuted_labels(labels, subject_ids, seed)
    assert dealt.sum() == labels.sum()
    np.testing.assert_array_equal(dealt[::2], dealt[1::2])
    np.testing.assert_array_equal(dealt, permuted_labels(labels, subject_ids, seed))


def test_permuted_labels_do_not_depend_on_the_order_of_the_subjects_and_differ_from_the_true_ones() -> None:
    labels = (np.arange(60) % 3 > 0).astype(np.int64)
    subject_ids = [f"P{k:02d}" for k in range(60)]
    dealt = permuted_labels(labels, subject_ids, 5)
    assert 0.3 < np.mean(dealt == labels) < 0.8
    np.testing.assert_array_equal(permuted_labels(labels[::-1], subject_ids[::-1], 5)[::-1], dealt)


def test_the_limit_of_chance_holds_for_out_of_fold_scores_of_a_ridge_on_permuted_labels(
    rng: np.random.Generator,
) -> None:
    n, n_trials = 120, 400
    columns = rng.normal(size=(n, 60))
    labels = (np.arange(n) % 3 > 0).astype(np.int64)
    limit = chance_limit(labels)
    kernel = columns @ columns.T
    weights = np.zeros((n, n))  # held-out scores are `weights @ labels`
    for training, held_out in fold_parts(np.arange(n) % 10):
        inverse = np.linalg.inv(kernel[np.ix_(training, training)] + 30 * np.eye(training.sum()))
        weights[np.ix_(held_out, training)] = kernel[np.ix_(held_out, training)] @ inverse
    exceeded, deviations = 0, []
    for _ in range(n_trials):
        dealt = rng.permutation(labels)
        scores = weights @ (dealt - dealt.mean())
        auc = check_permuted_labels(dealt, scores).figures["roc_auc"]
        exceeded += auc > limit
        deviations.append(auc - 0.5)
    assert exceeded <= 3  # 0.4 are expected at 0.1 %
    # The plain standard deviation of Mann and Whitney would be too small by far.
    m, k = labels.sum(), n - labels.sum()
    assert np.std(deviations) > 1.2 * np.sqrt((m + k + 1) / (12 * m * k))
    assert limit == pytest.approx(0.5 + 3.0902 * np.sqrt((m + k + 1) / (6 * m * k)), abs=1e-4)


def test_a_training_that_sees_the_labels_fails_and_one_below_chance_does_not() -> None:
    labels = (np.arange(90) % 3 > 0).astype(np.int64)
    leaked = check_permuted_labels(labels, labels + np.arange(90) / 100)
    assert not leaked.passed
    expected = f"expected ROC AUC below {chance_limit(labels):.3f} on 90 scans with labels dealt by chance, found 1.000"
    assert leaked.details == (expected,)
    assert check_permuted_labels(labels, -labels.astype(float)).passed
    scores = np.where(np.arange(90) < 80, -labels.astype(float), np.nan)  # nobody holds out the last ten
    assert check_permuted_labels(labels, scores).figures["roc_auc"] == 0.0


def _from_sites(sites: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> Predictions:
    return held_out_predictions(
        Baseline("site", sites[:, None].astype(float), fit_group_share), labels, fold_parts(folds)
    )


def test_the_share_of_a_group_is_shrunk_by_one_subject_and_unseen_groups_get_that_of_all() -> None:
    sites, labels = np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([1, 1, 1, 0])
    of_all = (3 + 1) / (4 + 2)
    said = fit_group_share(sites, labels)(np.array([[0.0], [1.0], [2.0]]))
    np.testing.assert_allclose(said.scores, [(3 + of_all) / 4, of_all / 2, of_all])


def test_a_label_that_follows_the_site_fails(rng: np.random.Generator) -> None:
    n = 200
    labels, folds = (np.arange(n) % 3 > 0).astype(np.int64), np.arange(n) // 3 % 5
    leaky = np.where(rng.random(n) < 0.8, labels * 10, 10 - labels * 10) + rng.integers(0, 5, n)
    check = check_label_from(
        "site_predicts_label", "site", labels, _from_sites(leaky, labels, folds), 0.6, ["site one: 3 control, 9 pd"]
    )
    assert not check.passed
    assert check.details == ("site one: 3 control, 9 pd",)
    assert check.finding.endswith("the lower bound is above the limit of 0.6")
    assert "checks.site_auc" in check.advice


def test_many_sites_and_few_subjects_do_not_fail_by_noise() -> None:
    labels = np.array([1] * 16 + [0] * 8)
    above = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        said = _from_sites(rng.integers(0, 19, 24), labels, rng.permutation(np.arange(24) % 3))
        check = check_label_from("site_predicts_label", "site", labels, said, 0.6, [])
        assert check.passed
        above += check.figures["roc_auc_low"] > 0.6
    assert above > 0  # the interval alone would have stopped some of them


def test_sites_that_separate_even_few_subjects_fail() -> None:
    labels = np.array([1] * 16 + [0] * 8)
    said = _from_sites(labels, labels, np.arange(24) % 3)
    assert not check_label_from("site_predicts_label", "site", labels, said, 0.6, []).passed


def test_folds_of_one_class_are_no_reason_to_stop() -> None:
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    said = _from_sites(np.arange(8) % 2, labels, labels)  # each fold trains on the other class alone
    assert check_label_from("site_predicts_label", "site", labels, said, 0.6, []).passed
