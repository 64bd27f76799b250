"""Only fair pairs are compared, and they differ by what theory says."""

import numpy as np
import pytest
from tests.release.made_up_judgements import N, contender, judged, judgements

from datspect.cohort.kind import CohortKind
from datspect.evaluation.comparison import mcnemar_p
from datspect.release.comparing import UnpairedError, compare, differences, paired
from datspect.release.stage_results import DEVELOPMENT, HOLDOUT, JUDGED_SETS, OUT_OF_FOLD, ComparisonError, JudgedSet

MEASURES = ("accuracy", "sensitivity", "specificity", "roc_auc", "loss")


@pytest.mark.parametrize("judged_set", JUDGED_SETS)
def test_identical_predictions_differ_by_exactly_nothing(judged_set: JudgedSet) -> None:
    one = judged(judgements(judged_set))
    pairs = paired(judged_set, one, one)
    found = differences(judged_set, pairs)
    assert [found[f"{name}_difference"] for name in MEASURES] == [0.0] * 5
    if judged_set.out_of_fold:
        assert [found[f"{name}_difference_{end}"] for name in MEASURES for end in ("low", "high")] == [0.0] * 10
    assert pairs.notes == ("A and B say exactly the same of every subject.",)


@pytest.mark.parametrize("judged_set", JUDGED_SETS)
def test_exchanged_sides_give_the_negative(judged_set: JudgedSet) -> None:
    one, other = judged(judgements(judged_set, strength=3)), judged(judgements(judged_set, noise=2))
    there = differences(judged_set, paired(judged_set, one, other))
    back = differences(judged_set, paired(judged_set, other, one))
    for name in MEASURES:
        key = f"{name}_difference"
        turned = (-back[key], -back[f"{key}_high"], -back[f"{key}_low"])
        assert (there[key], there[f"{key}_low"], there[f"{key}_high"]) == pytest.approx(turned)
    if not judged_set.out_of_fold:
        assert (there["n_only_a_right"], there["n_only_b_right"]) == (back["n_only_b_right"], back["n_only_a_right"])


@pytest.mark.parametrize("judged_set", JUDGED_SETS)
def test_known_errors_give_known_differences(judged_set: JudgedSet) -> None:
    """A is always right; B is wrong of 12 of the 200 with PD and of 5 of the 100 without."""
    right = judgements(judged_set, strength=50)
    wrong = right.copy()
    for label, n in (("pd", 12), ("control", 5)):
        rows = wrong.index[wrong["label"] == label][:n]
        wrong.loc[rows, "probability"] = 1 - wrong.loc[rows, "probability"]
    found = differences(judged_set, paired(judged_set, judged(right), judged(wrong)))
    expected = {"accuracy": 17 / 300, "sensitivity": 12 / 200, "specificity": 5 / 100}
    assert {name: found[f"{name}_difference"] for name in expected} == pytest.approx(expected)
    assert all(found[f"{name}_difference_low"] > 0 for name in expected)
    if judged_set is HOLDOUT:
        assert (found["n_only_a_right"], found["n_only_b_right"]) == (17, 0)
        assert found["mcnemar_p"] == mcnemar_p(17, 0)


def test_differences_are_those_of_the_measures_side_by_side() -> None:
    first, second = contender(), contender({each: judged(judgements(each, noise=2)) for each in JUDGED_SETS})
    comparison, pairs = compare(first, second, holdout=True)
    assert list(pairs) == list(JUDGED_SETS)
    for compared in comparison.sets:
        assert compared.differences is not None
        for name in MEASURES:
            ours, theirs = (side[name] for side in compared.measures)
            assert compared.differences[f"{name}_difference"] == pytest.approx(ours - theirs, abs=1e-12)


def test_subjects_that_one_side_has_not_judged_are_left_out_and_counted() -> None:
    whole = judgements(noise=1)
    one, other = whole.iloc[10:], judgements(noise=2).iloc[:-31].sample(frac=1, random_state=0)
    comparison, _ = compare(
        contender({OUT_OF_FOLD: judged(one)}), contender({OUT_OF_FOLD: judged(other)}), holdout=False
    )
    (compared,) = comparison.sets
    assert (compared.n, compared.n_paired) == ((N - 10, N - 31), N - 41)
    common = slice(10, N - 31)
    same = paired(OUT_OF_FOLD, judged(whole.iloc[common]), judged(judgements(noise=2).iloc[common]))
    assert compared.differences == differences(OUT_OF_FOLD, same)
    assert "The split differs" in compared.notes[0]  # who is missing here was trained on there


def test_another_cohort_is_no_pair() -> None:
    one, other = judged(judgements()), judged(judgements(), cohort="another")
    with pytest.raises(UnpairedError, match=r"the cohorts differ .* run both on one cohort"):
        paired(OUT_OF_FOLD, one, other)
    comparison, pairs = compare(contender({OUT_OF_FOLD: one}), contender({OUT_OF_FOLD: other}), holdout=False)
    assert not pairs
    assert comparison.sets[0].differences is None
    assert comparison.sets[0].measures[1] == other.measures  # side by side they may stand


def test_training_sets_of_another_size_are_no_pair_but_nearly_equal_ones_are() -> None:
    one = judged(judgements(), n_train=270.0)
    paired(OUT_OF_FOLD, one, judged(judgements(n_folds=9), n_train=8 / 9 * 300))
    with pytest.raises(UnpairedError, match=r"A was trained on 270 subjects, one of B on 240 .* same section split"):
        paired(OUT_OF_FOLD, one, judged(judgements(n_folds=5), n_train=240.0))


def test_other_folds_of_the_same_size_are_paired_and_said() -> None:
    table = judgements()
    dealt_anew = table.assign(fold=np.roll(table["fold"], 1))
    renamed = table.assign(fold=11 - table["fold"])
    notes = [paired(OUT_OF_FOLD, judged(table), judged(other)).notes for other in (table, renamed, dealt_anew)]
    assert [any("luck of the split" in note for note in each) for each in notes] == [False, False, True]


def test_on_the_holdout_only_those_count_whom_both_have_tested() -> None:
    """A's test subjects whom B has trained on are in no table of B."""
    one, other = judgements(HOLDOUT), judgements(HOLDOUT, noise=2)
    pairs = paired(HOLDOUT, judged(one.iloc[:200]), judged(other.iloc[100:]))
    assert len(pairs.labels) == 100
    assert "The split differs" in pairs.notes[0]
    with pytest.raises(UnpairedError, match=r"only 0 subjects \(0 PD\) were judged by both, of 150 and 150"):
        paired(HOLDOUT, judged(one.iloc[:150]), judged(other.iloc[150:]))


def test_too_few_of_a_class_are_no_pair() -> None:
    table = judgements()
    with pytest.raises(UnpairedError, match=r"only 201 subjects \(200 PD\)"):
        paired(OUT_OF_FOLD, judged(table), judged(table[(table["label"] == "pd") | (table.index == 0)]))


def test_rows_that_stay_on_another_machine_leave_the_measures_side_by_side() -> None:
    withheld = judged(None, missing="they stay there", measures={"n": 300.0, "accuracy": 0.9})
    comparison, pairs = compare(
        contender({OUT_OF_FOLD: judged(judgements())}), contender({OUT_OF_FOLD: withheld}), holdout=False
    )
    assert not pairs
    assert comparison.sets[0].refusal == "B has no predictions.csv here: they stay there"
    assert comparison.sets[0].n == (300, 300)
    assert comparison.sets[0].measures[1]["accuracy"] == 0.9


def test_a_phantom_is_not_compared_with_real_scans() -> None:
    real = contender({OUT_OF_FOLD: judged(judgements(), kind=CohortKind.REAL)})
    for sides in ((contender(), real), (real, contender())):
        with pytest.raises(ComparisonError, match=r"A comes from .*, B from .*: a phantom says nothing of real scans"):
            compare(*sides, holdout=False)
    assert compare(real, real, holdout=False)[0].kind is CohortKind.REAL


def test_the_holdout_is_shown_on_request_only_and_its_absence_is_said() -> None:
    unasked, pairs = compare(contender(), contender(), holdout=False)
    assert HOLDOUT not in pairs
    assert [compared.name for compared in unasked.sets] == ["out_of_fold", "dev_out_of_fold"]
    assert "The holdout is not shown" in unasked.remarks[-1]
    asked, _ = compare(contender(), contender(), holdout=True)
    assert asked.sets[-1].name == "holdout"
    assert not any("The holdout is not shown" in remark for remark in asked.remarks)


def test_results_of_different_stages_have_nothing_in_common() -> None:
    cv = contender({OUT_OF_FOLD: judged(judgements())}, name="first", absent={"final": "it was not run"})
    final = contender({each: judged(judgements(each)) for each in (DEVELOPMENT, HOLDOUT)}, name="second")
    with pytest.raises(
        ComparisonError, match=r"A \(first\) has results of stage cv, B \(second\) of stage final"
    ) as found:
        compare(cv, final, holdout=False)
    assert "first: it was not run" in str(found.value)


def test_what_else_differs_and_a_tuned_side_are_said() -> None:
    other = judged(
        judgements(), sources={"code": "other", "split": "s", "weights of the backbone": "w"}, note="a study chose"
    )
    comparison, pairs = compare(
        contender({OUT_OF_FOLD: judged(judgements())}), contender({OUT_OF_FOLD: other}), holdout=False
    )
    assert comparison.also_differing == ["code"]
    assert "B: a study chose" in pairs[OUT_OF_FOLD].notes
