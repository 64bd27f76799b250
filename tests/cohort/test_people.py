"""Age and sex of scanned people come from a table by file name; what is no age or sex is refused with its line."""

from pathlib import Path

import pytest

from datspect.cohort.people import people_by_file, person_of
from datspect.errors import CohortError
from datspect.evaluation.normal_range import Person


def table(tmp_path: Path, *rows: str, header: str = "path\tage\tsex") -> Path:
    path = tmp_path / "participants.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_people_are_told_by_the_names_of_their_files(tmp_path: Path) -> None:
    found = people_by_file(table(tmp_path, "volumes/S01.nii\t63.2\tmale", "S02.nii\tn/a\tF", "c\\S03.nii\t40\t"))
    assert found == {"S01.nii": Person(63.2, "male"), "S02.nii": Person(None, "female"), "S03.nii": Person(40, None)}


def test_the_table_of_a_cohort_folder_is_such_a_table(tiny_cohort: Path) -> None:
    found = people_by_file(tiny_cohort / "participants.tsv")
    assert found["S04.nii"] == Person(59.5, "male")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("S01.nii\told\tmale", r"participants.tsv, line 2: expected an age from 0 to 120 years$"),
        ("S01.nii\t630\tmale", r"line 2: expected an age from 0 to 120 years$"),
        ("S01.nii\t63\tx", r"line 2: expected sex female or male; leave it empty"),
        ("S01.nii\t19610302\tM", r"line 2: expected an age from 0 to 120 years$"),  # nothing of a cell is quoted
    ],
)
def test_what_is_no_age_or_sex_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        people_by_file(table(tmp_path, row))


def test_a_table_without_the_columns_or_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"column\(s\) missing: sex; expected path, age and sex"):
        people_by_file(table(tmp_path, "S01.nii\t63", header="path\tage"))
    with pytest.raises(CohortError, match="named twice"):
        people_by_file(table(tmp_path, "a/S01.nii\t63\tm", "b/S01.nii\t60\tf"))


def test_an_age_that_is_none_is_refused_on_the_command_line_too() -> None:
    with pytest.raises(CohortError, match="--age: expected an age"):
        person_of(-1, None, "--age")
