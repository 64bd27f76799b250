import math

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datspect.errors import CohortError, ParamsError
from datspect.params.data import SplitParams
from datspect.params.data import TestPerClass as SizePerClass  # pytest would take the name for a test's
from datspect.training.splitting import NO_FOLD, assign_splits


def _subjects(n_control, n_pd):
    n = n_control + n_pd
    ids = pd.Series([f"{number:04d}" for number in range(n)])
    labels = ["control"] * n_control + ["pd"] * n_pd
    return pd.DataFrame({"scan_id": "S" + ids, "subject_id": "P" + ids[::-1].to_numpy(), "label": labels})


def _params(**changes):
    paper = {
        "n_folds": 10,
        "test_fraction": 0.2,
        "test_per_class": None,
        "n_dev_folds": 10,
        "group": "none",
        "seed": 2019,
    }
    return SplitParams(**{**paper, **changes})


def _counts(splits, column):
    return pd.crosstab(splits[column], splits["label"])


def test_the_papers_cohort_gives_the_papers_folds_and_a_stratified_test_set():
    splits = assign_splits(_subjects(210, 449), _params())
    assert sorted(map(tuple, _counts(splits, "fold").to_numpy().tolist())) == [(21, 44)] + [(21, 45)] * 9
    assert _counts(splits, "role").loc["test"].to_dict() == {"control": 42, "pd": 90}
    assert _counts(splits, "role").loc["train"].to_dict() == {"control": 168, "pd": 359}


def test_the_papers_own_test_set_can_be_asked_for():
    splits = assign_splits(_subjects(210, 449), _params(test_per_class=SizePerClass(control=43, pd=89)))
    assert _counts(splits, "role").loc["test"].to_dict() == {"control": 43, "pd": 89}


@st.composite
def cohorts_and_params(draw):
    n_control, n_pd = draw(st.integers(4, 120)), draw(st.integers(4, 120))
    smaller = min(n_control, n_pd)
    if draw(st.booleans()):
        n_test = SizePerClass(control=draw(st.integers(1, n_control - 3)), pd=draw(st.integers(1, n_pd - 3)))
        fraction, left = 0.5, min(n_control - n_test.control, n_pd - n_test.pd)
    else:
        n_test, fraction = None, draw(st.floats(0.05, 0.6))
        left = smaller - math.ceil(fraction * smaller) - 1
        assume(fraction * smaller >= 1)
        assume(left >= 2)
    return _subjects(n_control, n_pd), _params(
        n_folds=draw(st.integers(2, smaller)),
        n_dev_folds=draw(st.integers(2, left)),
        test_fraction=fraction,
        test_per_class=n_test,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@given(cohorts_and_params(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_any_cohort_is_split_evenly_and_independent_of_its_row_order(case, random):
    subjects, params = case
    splits = assign_splits(subjects, params)
    assert splits["scan_id"].tolist() == sorted(subjects["scan_id"])
    merged = splits.merge(subjects, on=["scan_id", "subject_id", "label"])
    assert len(merged) == len(subjects)

    assert set(splits["fold"]) == set(range(1, params.n_folds + 1))
    assert _spread(_counts(splits, "fold")) <= 1

    test, train = splits[splits["role"] == "test"], splits[splits["role"] == "train"]
    assert len(test) + len(train) == len(splits)
    assert set(test["dev_fold"]) == {NO_FOLD}
    assert set(train["dev_fold"]) == set(range(1, params.n_dev_folds + 1))
    assert _spread(_counts(train, "dev_fold")) <= 1
    if params.test_per_class is None:
        assert len(test) == math.ceil(params.test_fraction * len(splits))
        shares = test["label"].value_counts() / subjects["label"].value_counts()
        assert (abs(shares - len(test) / len(splits)) * subjects["label"].value_counts() < 1).all()
    else:
        assert test["label"].value_counts().to_dict() == params.test_per_class.model_dump()

    order = list(range(len(subjects)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(assign_splits(subjects.iloc[order], params), splits)


def _spread(counts):
    return max((counts.max() - counts.min()).max(), counts.sum(axis=1).max() - counts.sum(axis=1).min())


def test_the_seed_changes_the_split_and_nothing_else_does():
    subjects = _subjects(30, 60)
    splits = assign_splits(subjects, _params())
    assert splits.equals(assign_splits(subjects.assign(site="x", age=1.0), _params()))
    other = assign_splits(subjects, _params(seed=1))
    for column in ("fold", "role", "dev_fold"):
        assert (splits[column] != other[column]).any()


def test_all_scans_of_a_subject_share_one_place():
    subjects = _subjects(30, 60)
    second = subjects.assign(scan_id="T" + subjects["scan_id"])
    splits = assign_splits(pd.concat([subjects, second]), _params())
    assert len(splits) == 180
    assert len(splits[["subject_id", "fold", "role", "dev_fold"]].drop_duplicates()) == 90


def test_a_subject_with_two_labels_is_refused():
    subjects = _subjects(20, 20)
    changed = subjects.assign(scan_id="T" + subjects["scan_id"], label="pd")
    with pytest.raises(CohortError, match="two labels: P0020, P0021"):
        assign_splits(pd.concat([subjects, changed]), _params())


def test_a_cohort_of_one_label_is_refused():
    with pytest.raises(CohortError, match="only label pd"):
        assign_splits(_subjects(0, 20), _params())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_folds": 13}, r"split\.n_folds = 13: at most 12, the number of control subjects"),
        (
            {"n_dev_folds": 10},
            r"split\.n_dev_folds = 10: at most 9, the number of control subjects in the training role",
        ),
        ({"test_fraction": 0.01}, r"split\.test_fraction = 0\.01: each class needs .* 12 control \+ 40 pd"),
        ({"test_fraction": 0.99}, r"split\.test_fraction = 0\.99: each class needs"),
        ({"test_per_class": SizePerClass(control=12, pd=9)}, r"split\.test_per_class\.control = 12: at most 11"),
        ({"test_per_class": SizePerClass(control=9, pd=9), "n_dev_folds": 4}, r"split\.n_dev_folds = 4: at most 3"),
    ],
)
def test_an_impossible_split_names_the_key_the_value_and_what_is_allowed(changes, message):
    with pytest.raises(ParamsError, match=message):
        assign_splits(_subjects(12, 40), _params(**{"n_dev_folds": 2, **changes}))
