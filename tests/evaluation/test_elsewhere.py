"""A finished model on a labelled cohort: measures are over scans with a class, shares over all."""

import numpy as np
import pytest

from datspect.evaluation.elsewhere import STATES, cohort_measures

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0])
RIGHT = np.array([0.9, 0.8, 0.9, 0.7, 0.1, 0.2, 0.1, 0.3])


def test_shares_of_all_states_sum_to_one_and_have_wilsons_bounds() -> None:
    states = np.array(["answer"] * 4 + ["inconclusive", "inconclusive", "withheld", "refused"])
    shares = cohort_measures(LABELS, states, RIGHT, RIGHT)["shares"]
    assert sum(shares[state] for state in STATES) == 1
    assert [shares[f"n_{state}"] for state in STATES] == [4, 2, 1, 1]
    assert (shares["refused_low"], shares["refused_high"]) == pytest.approx((0.0224, 0.4709), abs=1e-4)


def test_scans_without_a_class_are_in_no_measure_whatever_their_numbers_are() -> None:
    states = np.array(["answer"] * 6 + ["withheld", "refused"])
    wrong = RIGHT.copy()
    wrong[6], wrong[7] = 1.0, np.nan
    found = cohort_measures(LABELS, states, wrong, wrong)
    assert found["measures"]["n"] == found["ratios"]["n"] == 6
    assert found["measures"]["accuracy"] == found["measures"]["roc_auc"] == 1.0
    assert np.isfinite(found["measures"]["loss"])


def test_firm_answers_are_also_judged_on_their_own() -> None:
    states = np.array(["answer"] * 7 + ["inconclusive"])
    off = RIGHT.copy()
    off[7] = 0.6  # the one that is not to be relied on is wrong
    found = cohort_measures(LABELS, states, off, RIGHT)
    assert found["measures"]["accuracy"] == 7 / 8
    assert found["decisions"]["conclusive_accuracy"] == 1.0


def test_a_cohort_without_any_class_has_shares_alone() -> None:
    found = cohort_measures(LABELS, np.full(8, "refused"), np.full(8, np.nan), np.full(8, np.nan))
    assert found["shares"]["refused"] == 1.0
    assert found["measures"] == found["decisions"] == found["ratios"] == {}


@pytest.mark.parametrize("rows", [[0], [0, 1], [0, 4]])
def test_one_scan_and_one_class_have_the_measures_that_they_can_have(rows: list[int]) -> None:
    found = cohort_measures(LABELS[rows], np.full(len(rows), "answer"), RIGHT[rows], RIGHT[rows])
    assert found["measures"]["accuracy"] == 1.0
    assert ("roc_auc" in found["measures"]) == (len(set(LABELS[rows])) == 2)
