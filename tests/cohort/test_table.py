import json

import pandas as pd
import pytest

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import (
    COLUMNS,
    OTHER_LABELS,
    Cohort,
    read_cohort,
    read_truth,
    scans_digest,
    write_cohort,
    write_truth,
)
from datspect.errors import CohortError


@pytest.fixture
def scans():
    rows = [
        ("007", "P1", "pd", "male", 61.5, "NA", "BL", "volumes/007.nii", "ab" * 32),
        ("1e3", "P2", "control", "", float("nan"), "", "SC", "volumes/1e3.nii", "cd" * 32),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_a_written_cohort_comes_back(tmp_path, scans):
    write_cohort(Cohort(tmp_path / "cohort", CohortKind.REAL, scans))
    cohort = read_cohort(tmp_path / "cohort")
    assert cohort.kind == "real"
    pd.testing.assert_frame_equal(cohort.scans, scans, check_dtype=False)


def test_an_unknown_age_may_say_so(tmp_path, scans):
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans.assign(age=["n/a", "70"])))
    assert read_cohort(tmp_path).scans["age"].isna().tolist() == [True, False]


@pytest.mark.parametrize("label", OTHER_LABELS)
def test_groups_that_are_not_told_apart_may_be_there_too(tmp_path, scans, label):
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans.assign(label=["pd", label])))
    assert read_cohort(tmp_path).scans["label"].tolist() == ["pd", label]


def test_bytes_repeat(tmp_path, scans):
    for name in ("a", "b"):
        write_cohort(Cohort(tmp_path / name, CohortKind.PHANTOM, scans))
    for file in ("participants.tsv", "cohort.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scan_id": ["007", "007"]}, "scan_id repeated; each scan needs an id of its own: 007"),
        ({"scan_id": ["007", ""]}, "scan_id empty"),
        ({"subject_id": ["", "P2"]}, "subject_id empty: 007"),
        ({"label": ["PD", "SWEDD"]}, "label unknown; expected control, pd, swedd, prodromal, gencohort_pd"),
        ({"age": ["old", "60"]}, "age is no number of years: 007"),
        ({"age": ["inf", "60"]}, "age is no number of years: 007"),
        ({"path": ["../007.nii", "/scans/1e3.nii"]}, "path leaves the cohort folder: 007, 1e3"),
    ],
)
def test_a_wrong_row_is_named_by_its_scan(tmp_path, scans, changes, message):
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans.assign(**changes)))
    with pytest.raises(CohortError) as caught:
        read_cohort(tmp_path)
    assert message in str(caught.value)


def test_all_problems_are_listed_at_once(tmp_path, scans):
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans.assign(label="x", subject_id="")))
    with pytest.raises(CohortError, match=r"2 problem\(s\)\n.*subject_id empty: 007, 1e3\n.*label unknown"):
        read_cohort(tmp_path)


def test_missing_files_columns_and_rows_are_named(tmp_path, scans):
    with pytest.raises(CohortError, match=r"participants\.tsv: not found; cohort\.path must name a cohort folder"):
        read_cohort(tmp_path)
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans.iloc[:0]))
    with pytest.raises(CohortError, match="no scan in the table"):
        read_cohort(tmp_path)
    scans.drop(columns=["site", "sha256"]).to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    with pytest.raises(CohortError, match=r"column\(s\) missing: site, sha256"):
        read_cohort(tmp_path)
    (tmp_path / "participants.tsv").write_bytes(b"")
    with pytest.raises(CohortError, match="not a readable table"):
        read_cohort(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "mouse"}'])
def test_the_kind_must_be_known(tmp_path, scans, content):
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans))
    (tmp_path / "cohort.json").write_text(content)
    with pytest.raises(CohortError, match=r"cohort\.json"):
        read_cohort(tmp_path)


def test_more_in_cohort_json_is_allowed(tmp_path, scans):
    write_cohort(Cohort(tmp_path, CohortKind.REAL, scans))
    (tmp_path / "cohort.json").write_text(json.dumps({"kind": "phantom", "n": 2}))
    assert read_cohort(tmp_path).kind == "phantom"


def test_the_digest_names_what_is_used_whatever_its_order(scans):
    assert scans_digest(scans) == scans_digest(scans[::-1])
    assert scans_digest(scans) == scans_digest(scans.assign(site="elsewhere", path="moved.nii"))
    for column in ("scan_id", "subject_id", "label", "sha256"):
        assert scans_digest(scans) != scans_digest(scans.assign(**{column: ["x", "y"]}))


@pytest.mark.parametrize("rows", [[0], [0, 1, 1]])
def test_a_truth_that_has_not_one_row_a_scan_is_refused(tmp_path, scans, rows):
    write_truth(tmp_path, scans.iloc[rows].assign(true_caudate_left=1.0))
    with pytest.raises(CohortError, match=r"not one row a scan \(missing: (1e3|none)\)"):
        read_truth(Cohort(tmp_path, CohortKind.PHANTOM, scans))
