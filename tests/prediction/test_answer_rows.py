"""Rows hold all that is said of a scan, rounded, and nothing of the answer where it is withheld."""

import csv
import io
from dataclasses import replace

import pytest
from tests.prediction.test_page import ANSWER

from datspect.prediction.answer_rows import as_csv, as_table, row
from datspect.prediction.answering import Outcome
from datspect.prediction.predictor import JUDGED

WITHHELD = replace(ANSWER, withheld=("noisier than training scans",), inconclusive=True, against_controls=None)


def test_an_answer_is_rounded_and_has_its_ranges() -> None:
    found = row(Outcome("a.nii", replace(ANSWER, probability=0.97312345678, likelihood_ratio=17.0249)))
    assert (found["state"], found["probability"], found["likelihood_ratio"]) == ("answer", 0.973123, 17.02)
    assert (found["sbr_putamen_left"], found["sbr_putamen_left_z"], found["sbr_putamen_left_low"]) == (0.51, -3.4, 1.1)
    assert found["controls"] == "168 controls, for age 71 and male sex"
    assert (found["error"], found["unjudged"]) == ("", None)


def test_what_is_withheld_stands_apart_and_in_no_column_of_the_answer() -> None:
    found = row(Outcome("a.nii", WITHHELD))
    assert [found[name] for name in JUDGED] == [None] * len(JUDGED)
    assert found["unjudged"]["probability"] == 0.9731  # type: ignore[index]
    assert "unjudged" not in next(csv.DictReader(io.StringIO(as_csv([found]))))


def test_a_refused_scan_has_its_name_and_the_error_alone() -> None:
    assert row(Outcome("a.nii", None, "spoilt")) == {"scan": "a.nii", "error": "spoilt"}


def test_what_is_no_number_is_nothing() -> None:
    assert row(Outcome("a.nii", replace(ANSWER, likelihood_ratio=float("inf"))))["likelihood_ratio"] is None


def test_the_table_has_a_line_for_each_scan_with_z_in_the_order_of_the_ratios() -> None:
    outcomes = [
        Outcome("a.nii", replace(ANSWER, unlike=("features",), how="resampled"), notes=("the mean of 2 frames",)),
        Outcome("b.nii", WITHHELD),
        Outcome("c.nii", None, "spoilt"),
    ]
    head, first, second, third = as_table(outcomes).splitlines()
    assert "P(PD) at 68 % PD" in head
    assert " ".join(first.split()) == (
        "a.nii pd 0.9731 17 2.1% 0.8812 2.11 2.22 0.51 3.62 +0.1 +0.2 -3.4 +2.4 "
        "features; resampled from another MNI grid; the mean of 2 frames"
    )
    assert second.split()[:4] == ["b.nii", "-", "-", "withheld"]
    assert "WITHHELD: noisier than training scans (registered to MNI space)" in second
    assert third.split() == ["c.nii", "-", "-", "ERROR:", "spoilt"]
    assert first.index("0.9731") == head.index("P(PD)")


def test_a_number_of_the_table_is_rounded_once() -> None:
    measured = ANSWER.measures | {"sbr_caudate_left": 1.7953}  # 1.795 in CSV, which is 1.79 with two decimals
    assert "1.80 2.22" in as_table([Outcome("a.nii", replace(ANSWER, measures=measured))])


def test_a_small_chance_to_be_wrong_is_not_said_to_be_none() -> None:
    assert " <0.1% " in as_table([Outcome("a.nii", replace(ANSWER, error_risk=0.0002))])


@pytest.mark.parametrize("name", ["=1+1.nii", "plain.nii"])
def test_no_cell_of_a_csv_is_a_formula(name: str) -> None:
    (found,) = csv.DictReader(io.StringIO(as_csv([row(Outcome(name, None, "x"))])))
    assert not found["scan"].startswith("=")
