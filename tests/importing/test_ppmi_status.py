"""Today's diagnoses are read from the study's table however it was exported, and never guessed."""

from pathlib import Path

import pytest

from datspect.errors import ImportingError
from datspect.importing.ppmi_status import DIFFERS, NO_COHORT, Status, read_status


def status(tmp_path: Path, text: str, keep: str = "agreed") -> Status:
    (tmp_path / "status3000.csv").write_text(text)
    return read_status(tmp_path / "status3000.csv", keep)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "words", "label"),
    [
        ("1", "Parkinson's Disease", "pd"),
        ("1.0", "", "pd"),
        ("2", "Healthy Control", "control"),
        ("", "Healthy Control", "control"),
        ("3", "SWEDD", "swedd"),
        ("4", "Prodromal", "prodromal"),
        ("PD", "", "pd"),
        ("1", "Healthy Control", ""),
        ("9", "Early Imaging", ""),
        ("", "", ""),
    ],
)
def test_a_cohort_is_read_from_its_code_and_its_words(tmp_path: Path, code: str, words: str, label: str) -> None:
    assert status(tmp_path, f'PATNO,COHORT,COHORT_DEFINITION\n3000,{code},"{words}"\n').cohorts == {"3000": label}


@pytest.mark.parametrize("header", ["PATNO,COHORT", "patno,cohort", "Subject ID,COHORT_DEFINITION", "PATNO;COHORT"])
def test_either_column_is_enough_and_case_and_delimiter_do_not_matter(tmp_path: Path, header: str) -> None:
    delimiter = ";" if ";" in header else ","
    assert status(tmp_path, f"{header}\n3000.0{delimiter}SWEDD\n").cohorts == {"3000": "swedd"}


def test_rows_that_contradict_each_other_give_no_cohort(tmp_path: Path) -> None:
    found = status(tmp_path, "PATNO,COHORT\n3000,1\n3000,2\n3001,2\n3001,2\n")
    assert found.cohorts == {"3000": "", "3001": "control"}


@pytest.mark.parametrize("header", ["PATNO,AGE", "COHORT,COHORT_DEFINITION", "Who3000,COHORT"])
def test_a_table_without_the_columns_is_refused_without_quoting_it(tmp_path: Path, header: str) -> None:
    with pytest.raises(ImportingError, match="PATNO and COHORT or COHORT_DEFINITION") as error:
        status(tmp_path, f"{header}\n3000,1\n")
    assert "3000" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "cohort", "agreed", "archive", "kept_status"),
    [
        ("pd", "pd", ("pd", ""), ("pd", ""), ("pd", "")),
        ("pd", "control", ("pd", DIFFERS), ("pd", ""), ("control", "")),
        ("gencohort_pd", "pd", ("gencohort_pd", ""), ("gencohort_pd", ""), ("gencohort_pd", "")),
        ("genreg_unaffected", "prodromal", ("genreg_unaffected", ""),) + (("genreg_unaffected", ""),) * 2,
        ("gencohort_unaffected", "pd", ("gencohort_unaffected", DIFFERS), ("gencohort_unaffected", ""), ("pd", "")),
        ("", "pd", ("pd", ""), ("pd", ""), ("pd", "")),
        ("pd", "", ("pd", NO_COHORT), ("pd", ""), ("pd", NO_COHORT)),
        ("pd", None, ("pd", ""), ("pd", ""), ("pd", "")),
    ],
)  # fmt: skip
def test_what_counts_where_group_and_cohort_meet(
    group: str, cohort: str | None, agreed: object, archive: object, kept_status: object
) -> None:
    cohorts = {} if cohort is None else {"3000": cohort}
    assert Status(cohorts, "agreed").decided("3000", group) == agreed
    assert Status(cohorts, "archive").decided("3000", group) == archive
    assert Status(cohorts, "status").decided("3000", group) == kept_status
