"""Grouped folds: whole groups and whole subjects stay together, labels are shared out, and what cannot work is said."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from datspect.errors import CohortError
from datspect.training.grouped_splitting import assign_grouped_folds

WHAT = "split.group = site"


def scans_of(n_control: int, n_pd: int) -> pd.DataFrame:
    ids = [f"{number:03d}" for number in range(n_control + n_pd)]
    labels = ["control"] * n_control + ["pd"] * n_pd
    return pd.DataFrame({"scan_id": [f"S{i}" for i in ids], "subject_id": [f"P{i}" for i in ids], "label": labels})


def dealt(scans: pd.DataFrame, sizes: list[int], seed: int) -> "pd.Series[str]":
    """Groups of these relative sizes, whatever the label."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(sizes), len(scans), p=np.array(sizes) / sum(sizes))
    return pd.Series([f"site{k:02d}" for k in drawn], index=scans.index)


def imbalance(folds: np.ndarray, scans: pd.DataFrame) -> float:
    """Sum of the squared differences between the folds' shares of each label and equal ones."""
    counts = pd.crosstab(folds, scans["label"])
    return float((((counts / counts.sum()) - 1 / len(counts)) ** 2).sum().sum())


@settings(max_examples=40, deadline=None)
@given(
    n=st.tuples(st.integers(12, 60), st.integers(12, 60)),
    n_groups=st.integers(6, 30),
    n_folds=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_group_and_no_subject_lies_in_two_folds(n, n_groups, n_folds, seed):
    scans = scans_of(*n)
    # Some subjects come twice, the second time from another site.
    again = scans.iloc[:: len(scans) // 3].assign(scan_id=lambda table: table["scan_id"] + "b")
    scans = pd.concat([scans, again], ignore_index=True)
    groups = dealt(scans, [1] * n_groups, seed)
    try:
        folds = assign_grouped_folds(scans, groups, n_folds, seed, WHAT)
    except CohortError:  # joined by those who come twice, groups may be too large
        reject()
    assert pd.Series(folds).groupby(groups).nunique().max() == 1
    assert pd.Series(folds).groupby(scans["subject_id"]).nunique().max() == 1
    assert set(folds) == set(range(1, folds.max() + 1))
    assert folds.max() <= n_folds


def test_folds_of_many_small_groups_are_stratified_to_the_subject():
    scans = scans_of(210, 449)
    folds = assign_grouped_folds(scans, dealt(scans, [1] * 60, seed=3), 10, 2019, WHAT)
    counts = pd.crosstab(folds, scans["label"])
    assert counts["control"].between(20, 22).all()
    assert counts["pd"].between(43, 47).all()


@pytest.mark.parametrize("seed", range(5))
def test_folds_of_unequal_groups_are_more_alike_than_those_that_are_only_dealt_out(seed):
    scans, sizes = scans_of(210, 449), [12, 11, 10, 9, 7, 6, 6, 5, 5, 4, 4, 4, 4, 3, 3, 3, 2, 2, 1]
    groups = dealt(scans, sizes, seed)
    ours = imbalance(assign_grouped_folds(scans, groups, 10, seed, WHAT), scans)
    theirs = np.zeros(len(scans), int)
    splitter = StratifiedGroupKFold(10, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(splitter.split(scans, scans["label"], groups), start=1):
        theirs[held_out] = number
    assert ours < imbalance(theirs, scans)


def test_the_same_scans_have_the_same_folds_in_any_order_of_rows():
    scans = scans_of(40, 80)
    groups = dealt(scans, [5, 4, 3, 2, 1, 1], seed=1)
    folds = pd.Series(assign_grouped_folds(scans, groups, 4, 7, WHAT), index=scans.index)
    order = scans.sample(frac=1, random_state=2).index
    again = assign_grouped_folds(scans.loc[order], groups.loc[order], 4, 7, WHAT)
    assert folds.loc[order].tolist() == again.tolist()


def test_fewer_groups_than_folds_give_a_fold_each():
    scans = scans_of(20, 40)
    groups = dealt(scans, [1, 1, 1], seed=0)
    folds = assign_grouped_folds(scans, groups, 10, 0, WHAT)
    assert set(folds) == {1, 2, 3}
    assert pd.crosstab(folds, groups).gt(0).sum().sum() == 3


def test_groups_that_share_a_subject_stay_together():
    scans = scans_of(12, 12)
    groups = pd.Series(["abcdef"[k % 6] for k in range(24)])
    moved = scans.iloc[[0]].assign(scan_id="S000b")  # from a to b
    folds = assign_grouped_folds(
        pd.concat([scans, moved], ignore_index=True),
        pd.concat([groups, pd.Series(["b"])], ignore_index=True),
        6,
        0,
        WHAT,
    )
    fold_of = dict(zip(groups, folds, strict=False))
    assert fold_of["a"] == fold_of["b"]
    assert len(set(folds)) == 5


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 12, r"split\.group = site: one group only"),
        (["a"] * 7 + ["b"] * 5, r"group a holds 7 of 12 subjects, more than 50 %"),
        ([""] * 2 + ["a"] * 5 + ["b"] * 5, r"unknown for 2 of 12 scans \(S000, S001\).*participants\.tsv"),
        (["a"] * 6 + ["b"] * 6, "all control and all pd subjects lie in groups of one grouped fold"),
    ],
)
def test_groups_that_cannot_be_held_out_are_refused(groups, message):
    with pytest.raises(CohortError, match=message):
        assign_grouped_folds(scans_of(6, 6), pd.Series(groups), 3, 0, WHAT)


def test_a_group_that_swallows_others_by_shared_subjects_is_said_to():
    scans = scans_of(4, 4)
    twice = pd.concat([scans, scans.assign(scan_id=scans["scan_id"] + "b")], ignore_index=True)
    groups = pd.Series(list("abcdabcd") + list("badcbadc"))
    folds = assign_grouped_folds(twice, groups, 4, 0, WHAT)  # ab, cd
    assert set(folds) == {1, 2}
    groups = pd.Series(list("abcdabcd") + list("bcdabcda"))
    with pytest.raises(CohortError, match=r"one group only \(4 before those that share a subject were joined\)"):
        assign_grouped_folds(twice, groups, 4, 0, WHAT)
