"""Every participant of a NIfTI folder gets their own file or none, never somebody else's."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.errors import ImportingError
from datspect.importing.labels import parse_labels
from datspect.importing.nifti_folder import NO_ID_FITS, Columns, plan_nifti
from datspect.importing.nifti_matching import LOST_DIGITS, SEVERAL_ZEROS
from datspect.importing.plan import Plan
from datspect.importing.pseudonyms import Pseudonyms
from datspect.io.delimited import read_delimited
from datspect.io.several_files import with_pairs
from datspect.io.sources import Source, UnusableSource, find_sources

NAMES = Pseudonyms(bytes(range(32)))


def sources(*names: str) -> list[Source]:
    return [Source(Path("/download") / name, None, name, 7) for name in names]


def table(*rows: tuple[str, ...], header: tuple[str, ...] = ("participant_id", "group")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(header), index=pd.RangeIndex(2, len(rows) + 2, name="row"), dtype=str)


def planned(files: list[Source], rows: pd.DataFrame, **options: object) -> Plan:
    return plan_nifti((files, []), rows, NAMES, **options)  # type: ignore[arg-type]


def files_of(plan: Plan) -> dict[str, list[str | None]]:
    """Return original names of the files of each subject, by pseudonym."""
    return {
        who.subject_id: [each.source.name if each.source else None for each in who.candidates] for who in plan.subjects
    }


def reasons(plan: Plan) -> dict[str, str]:
    return {out.what: out.reason for out in plan.exclusions}


@pytest.mark.parametrize(
    "names",
    [
        ("sub-01/spect/sub-01_dat.nii.gz", "sub-02/spect/sub-02_dat.nii.gz"),
        ("sub-01/ses-02/a.nii", "sub-02/ses-01/a.nii"),
        ("01.nii", "02.NII.GZ"),
        ("scan_01.nii", "scan-02.nii"),
        ("01/scan.nii", "02/scan.nii"),
        ("part2.zip/01/scan.nii", "part2.zip/02/scan.nii"),
    ],
)
def test_bids_and_flat_folders_are_matched_by_the_id(names: tuple[str, str]) -> None:
    plan = planned(sources(*names), table(("01", "PD"), ("sub-02", "Control")))
    assert files_of(plan) == {NAMES.subject("01"): [names[0]], NAMES.subject("02"): [names[1]]}
    assert [who.label for who in plan.subjects] == ["pd", "control"]
    assert plan.exclusions == ()


def test_an_id_within_a_longer_one_is_no_match() -> None:
    plan = planned(sources("sub-1001.nii", "x1000.nii", "10.nii"), table(("100", "PD"), ("1001", "PD")))
    assert files_of(plan) == {NAMES.subject("100"): [None], NAMES.subject("1001"): ["sub-1001.nii"]}


def test_a_session_is_not_taken_for_a_subject() -> None:
    plan = planned(sources("sub-01/ses-02/sub-01_ses-02.nii"), table(("01", "PD"), ("02", "PD")))
    assert files_of(plan) == {NAMES.subject("01"): ["sub-01/ses-02/sub-01_ses-02.nii"], NAMES.subject("02"): [None]}


def test_ids_with_dashes_and_underscores_match_as_a_whole() -> None:
    plan = planned(
        sources("HC_001.nii", "sub-HC-002/a.nii", "PD_001_rescan.nii"),
        table(("HC_001", "HC"), ("HC-002", "HC"), ("PD_001", "PD")),
    )
    assert [files[0] for files in files_of(plan).values()] == ["HC_001.nii", "sub-HC-002/a.nii", "PD_001_rescan.nii"]


@given(st.lists(st.text("abc019_-", min_size=1, max_size=5).filter(lambda t: t.strip("_-") == t), unique=True))
def test_no_file_is_ever_given_to_two_subjects_and_every_file_is_accounted_for(ids: list[str]) -> None:
    files = sources(*(f"x_{name}.nii" for name in ids), "sub-zz/other.nii")
    plan = planned(files, table(*((name, "PD") for name in ids), ("last", "PD")))
    given_away = [name for names in files_of(plan).values() for name in names if name]
    assert len(given_away) == len(set(given_away))
    excluded = {out.what for out in plan.exclusions}
    listed = {NAMES.subject(name.removeprefix("sub-")) for name in (*ids, "last")}
    assert listed == {who.subject_id for who in plan.subjects} | (excluded & listed)
    assert NAMES.file("sub-zz/other.nii") in excluded


def test_several_files_of_one_participant_are_a_reason_and_not_a_choice() -> None:
    files = sources("sub-01/anat/sub-01_T1w.nii", "sub-01/spect/sub-01_dat.nii")
    plan = planned(files, table(("01", "PD")))
    assert plan.subjects == ()
    assert "2 files match it; narrow them with --pattern" in reasons(plan)[NAMES.subject("01")]
    assert len(plan.exclusions) == 1, "the files are somebody's, though nobody knows which"
    chosen = planned(files, table(("01", "PD")), pattern="*/spect/*")
    assert files_of(chosen) == {NAMES.subject("01"): ["sub-01/spect/sub-01_dat.nii"]}


@pytest.mark.parametrize(
    "written", ["deep/a.nii", "./deep/a.nii", "a.nii", "/data/mine/deep/a.nii", "deep\\a.nii", "/deep/a.nii"]
)
def test_a_file_column_names_the_file_however_it_is_written(written: str) -> None:
    rows = table(("01", "PD", written), header=("participant_id", "group", "scan"))
    plan = planned(sources("deep/a.nii", "deep/b.nii", "aa.nii"), rows, columns=Columns(file=("scan",)))
    assert files_of(plan) == {NAMES.subject("01"): ["deep/a.nii"]}


def test_a_file_that_two_rows_name_is_nobodys() -> None:
    rows = table(("01", "PD", "a.nii"), ("02", "PD", "a.nii"), header=("participant_id", "group", "file"))
    plan = planned(sources("a.nii"), rows, columns=Columns(file=("file",)))
    assert plan.subjects == ()
    assert set(reasons(plan).values()) == {"its file belongs to another row too"}


def test_rows_of_one_subject_are_visits_in_their_order() -> None:
    header = ("participant_id", "session_id", "group", "age")
    rows = table(("01", "ses-V06", "PD", "64"), ("01", "ses-SC", "PD", "61"), header=header)
    files = sources("sub-01/ses-SC/a.nii", "sub-01/ses-V06/a.nii")
    [who] = planned(files, rows).subjects
    assert [(each.visit, each.age) for each in who.candidates] == [("SC", 61.0), ("V06", 64.0)]
    assert [each.source and each.source.name for each in who.candidates] == [source.name for source in files]
    assert len({each.scan_id for each in who.candidates}) == 2


def test_dated_visits_are_ordered_and_their_dates_are_not_kept() -> None:
    rows = table(("01", "2014-02-01", "PD"), ("01", "2012-08-14", "PD"), header=("participant_id", "visit", "group"))
    [who] = planned(sources("01/2012-08-14/a.nii", "01/2014-02-01/a.nii"), rows).subjects
    assert [each.visit for each in who.candidates] == ["visit1", "visit2"]
    assert [each.source and each.source.name for each in who.candidates] == [
        "01/2012-08-14/a.nii",
        "01/2014-02-01/a.nii",
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("01", "SC", "PD"), ("01", "V04", "HC")], "its rows have different labels"),
        ([("01", "SC", "PD"), ("01", "SC", "PD")], "two of its rows have the same visit"),
        ([("01", "", "PD"), ("01", "", "PD")], "two of its rows have the same visit"),
        ([("01", "first", "PD"), ("01", "second", "PD")], "the order of its visits cannot be told"),
        ([("01", "SC", "")], "its label is none that is known"),
        ([("01", "SC", "PSP")], "its label is none that is known"),
    ],
)
def test_rows_that_contradict_each_other_exclude_their_subject_alone(rows: list[tuple[str, ...]], reason: str) -> None:
    plan = planned(
        sources("01.nii", "02.nii"), table(*rows, ("02", "", "HC"), header=("participant_id", "visit", "group"))
    )
    assert reason in reasons(plan)[NAMES.subject("01")]
    assert files_of(plan) == {NAMES.subject("02"): ["02.nii"]}


def test_files_of_nobody_and_unusable_ones_are_named_by_pseudonym_with_their_reason() -> None:
    files = sources("01.nii", "JANE_DOE.nii", "readme.txt")
    plan = plan_nifti((files, [UnusableSource("evil.zip", "a zip that cannot be read")]), table(("01", "PD")), NAMES)
    assert reasons(plan) == {
        NAMES.file("JANE_DOE.nii"): "no row of the table matches this file",
        NAMES.file("evil.zip"): "a zip that cannot be read",
    }
    assert plan.counts["files found"] == 4
    assert plan.counts["NIfTI files among them"] == 2


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("61", 61.0),
        ("61.9", 61.0),
        ("61,9", 61.0),
        ("063Y", 63.0),
        ("89.99", 89.0),
        ("90", 90.0),
        ("102", 90.0),
        ("90+", 90.0),
        *((unreadable, None) for unreadable in ("n/a", "", "old", "-5", "999", "1947-03-16")),
    ],
)
def test_ages_are_whole_years_and_ninety_at_most(text: str, years: float | None) -> None:
    rows = table(("01", "PD", text), header=("participant_id", "group", "age"))
    plan = planned(sources("01.nii"), rows)
    assert plan.subjects[0].candidates[0].age == years
    assert plan.counts["ages unknown or unreadable"] == (years is None)


@pytest.mark.parametrize(("text", "sex"), [("F", "female"), ("male", "male"), ("MALE", "male"), ("1", ""), ("n/a", "")])
def test_a_sex_is_female_or_male_or_unknown(text: str, sex: str) -> None:
    rows = table(("01", "PD", text), header=("participant_id", "group", "sex"))
    assert planned(sources("01.nii"), rows).subjects[0].sex == sex


def test_a_site_is_kept_under_a_pseudonym() -> None:
    rows = table(("01", "PD", "St Elsewhere"), ("02", "PD", ""), header=("participant_id", "group", "site"))
    plan = planned(sources("01.nii", "02.nii"), rows)
    assert [who.site for who in plan.subjects] == [NAMES.site("St Elsewhere"), ""]


def test_columns_can_be_named_and_are_found_whatever_their_case() -> None:
    rows = table(("01", "Case"), header=("Patient", "Dx"))
    plan = planned(
        sources("01.nii"), rows, columns=Columns(subject=("patient",), label=("dx",)), labels=parse_labels("case=pd")
    )
    assert plan.subjects[0].label == "pd"


@pytest.mark.parametrize(
    ("columns", "said"),
    [(Columns(age=("years",)), "age.*--age-column"), (Columns(label=("dx",)), "label.*--label-column")],
)
def test_a_column_that_was_named_and_is_missing_is_said_without_quoting_the_table(columns: Columns, said: str) -> None:
    with pytest.raises(ImportingError, match=said) as refused:
        planned(sources("01.nii"), table(("01", "PD", "3"), header=("participant_id", "group", "DOE")), columns=columns)
    assert "DOE" not in str(refused.value)


def test_a_row_without_an_id_is_left_out_and_named_by_its_number() -> None:
    plan = planned(sources("01.nii"), table(("01", "PD"), ("n/a", "PD")))
    assert reasons(plan) == {"row 3": "its row names no subject; complete it"}
    assert files_of(plan) == {NAMES.subject("01"): ["01.nii"]}
    assert plan.counts["rows in the table"] == 2


def test_a_table_without_rows_or_a_folder_without_nifti_is_refused() -> None:
    with pytest.raises(ImportingError, match="no subject in any row"):
        planned(sources("01.nii"), table())
    with pytest.raises(ImportingError, match="no NIfTI file"):
        planned(sources("01.dcm"), table(("01", "PD")))


def test_labels_that_are_all_unknown_are_refused_with_the_way_to_map_them() -> None:
    with pytest.raises(ImportingError, match="--labels"):
        planned(sources("01.nii"), table(("01", "1"), ("02", "0")))
    plan = planned(sources("01.nii", "02.nii"), table(("01", "1"), ("02", "0")), labels=parse_labels("1=pd, 0=control"))
    assert [who.label for who in plan.subjects] == ["pd", "control"]


@pytest.mark.parametrize("text", ["pd", "PD=parkinson", "=pd", "PD=", "PD:pd"])
def test_a_mapping_of_labels_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ImportingError, match="PD=pd,HC=control"):
        parse_labels(text)


def test_a_spelling_may_hold_an_equals_sign() -> None:
    assert parse_labels("group=1=pd") == {"group=1": "pd"}


def test_a_folder_and_a_table_on_disk_are_planned_with_ids_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "scans" / "sub-007").mkdir(parents=True)
    (tmp_path / "scans" / "sub-007" / "sub-007_dat.nii.gz").write_bytes(b"x")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tdiagnosis\nsub-007\t61.5\tPD\n")
    participants = read_delimited(tmp_path / "participants.tsv")
    plan = plan_nifti(find_sources([tmp_path / "scans"]), participants, NAMES)
    assert files_of(plan) == {NAMES.subject("007"): ["sub-007/sub-007_dat.nii.gz"]}


@pytest.mark.parametrize(
    ("files", "ids", "matched"),
    [
        (("0007.nii", "0012.nii", "1234.nii"), ("7", "12", "1234"), {"0007": "0007.nii", "0012": "0012.nii"}),
        (("sub-007/a.nii",), ("7",), {"007": "sub-007/a.nii"}),
        (("scan_007.nii",), ("sub-7",), {"007": "scan_007.nii"}),
        (("007.nii",), ("7.0",), {"007": "007.nii"}),
        (("7.nii",), ("7.0",), {"7": "7.nii"}),
        (("07.nii",), ("007",), {"07": "07.nii"}),
        (("000.nii",), ("0",), {"000": "000.nii"}),
    ],
)
def test_ids_that_lost_their_zeros_are_matched_and_get_the_pseudonym_of_the_whole_id(
    files: tuple[str, ...], ids: tuple[str, ...], matched: dict[str, str]
) -> None:
    plan = planned(sources(*files), table(*((name, "PD") for name in ids)))
    found = files_of(plan)
    assert {name: found[NAMES.subject(name)] for name in matched} == {name: [file] for name, file in matched.items()}
    assert plan.counts["rows whose id had lost its zeros"] == len(matched)
    assert all(file for names in found.values() for file in names)
    assert plan.exclusions == ()


def test_ids_that_fit_only_with_zeros_of_different_numbers_are_named_and_not_matched() -> None:
    plan = planned(sources("007.nii", "0008.nii", "3.nii"), table(("7", "PD"), ("8", "PD"), ("3", "HC")))
    assert files_of(plan) == {NAMES.subject("3"): ["3.nii"]}
    assert reasons(plan)[NAMES.subject("7")] == reasons(plan)[NAMES.subject("8")] == SEVERAL_ZEROS


def test_two_files_of_one_number_are_named_and_not_matched() -> None:
    plan = planned(sources("07.nii", "007.nii", "3.nii"), table(("7", "PD"), ("3", "HC")))
    assert reasons(plan)[NAMES.subject("7")] == SEVERAL_ZEROS


def test_zeros_are_not_restored_where_the_file_is_somebody_elses() -> None:
    plan = planned(sources("2_001.nii", "3_001.nii"), table(("1", "PD"), ("2", "PD"), ("3", "HC")))
    assert files_of(plan) == {
        NAMES.subject("1"): [None],
        NAMES.subject("2"): ["2_001.nii"],
        NAMES.subject("3"): ["3_001.nii"],
    }


def test_an_id_in_powers_of_ten_is_named() -> None:
    plan = planned(sources("123456789012.nii", "3.nii"), table(("1.23457E+11", "PD"), ("3", "HC")))
    assert reasons(plan)[NAMES.subject("1.23457E+11")] == LOST_DIGITS


def test_a_long_id_of_many_parts_is_matched_as_a_whole() -> None:
    uid = "1.2.840.113619.2.55.3.604688119.868.1249343483.504"
    plan = planned(sources(f"{uid}.nii.gz", "x9.nii"), table((uid, "PD"), ("x9", "HC")))
    assert files_of(plan)[NAMES.subject(uid)] == [f"{uid}.nii.gz"]


def test_a_wrong_column_of_ids_has_words_of_its_own() -> None:
    rows = table(("0.0", "x1", "PD"), ("1.0", "x2", "PD"), header=("participant_id", "uid", "group"))
    plan = planned(sources("x1.nii", "x2.nii"), rows)
    assert plan.subjects == ()
    assert {out.reason for out in plan.exclusions} == {NO_ID_FITS, "no row of the table matches this file"}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (("uid", "is_pathologic"), "--subject-column: perhaps uid"),
        (("participant_id", "is_pathologic"), "--label-column: perhaps is_pathologic"),
        (("Jane Doe", "group"), "--subject-column$"),
    ],
)
def test_a_missing_column_is_said_with_a_name_that_tables_use(header: tuple[str, ...], said: str) -> None:
    with pytest.raises(ImportingError, match=said) as error:
        planned(sources("01.nii"), table(("01", "PD"), header=header))
    assert "Jane" not in str(error.value)


def test_unknown_labels_are_shown_with_their_numbers() -> None:
    with pytest.raises(ImportingError, match=r"'0\.0' \(2 rows\), '1\.0' \(1 row\).*--labels"):
        planned(sources("01.nii"), table(("01", "0.0"), ("02", "0.0"), ("03", "1.0")))


@pytest.mark.parametrize(("text", "mapping"), [("1.0", "1=pd"), ("1", "1.0=pd"), ("1,0", "1=pd"), ("TRUE", "true=pd")])
def test_labels_saved_as_numbers_are_mapped(text: str, mapping: str) -> None:
    assert planned(sources("01.nii"), table(("01", text)), labels=parse_labels(mapping)).subjects[0].label == "pd"


def test_where_there_is_no_nifti_the_kinds_that_are_there_are_named() -> None:
    with pytest.raises(ImportingError, match=r"what is there:\n  2 of the kind DICOM \(.dcm, .ima\)"):
        planned(sources("a.dcm", "b.dcm"), table(("01", "PD")))
    with pytest.raises(ImportingError, match="none of 1 NIfTI files is like --pattern"):
        planned(sources("01.nii"), table(("01", "PD")), pattern="*spect*")


def test_everything_that_is_not_read_is_counted_by_kind_and_named_where_a_word_helps() -> None:
    files = sources("01.nii", "x.dcm", "y.json", "c.hdr", "d.img")
    plan = plan_nifti((files, [UnusableSource("a.7z", "an archive")]), table(("01", "PD")), NAMES)
    unread = {what: n for what, n in plan.counts.items() if what.startswith("not read")}
    assert sum(unread.values()) == 4
    assert plan.counts["files that are not opened"] == 1
    assert plan.counts["files found"] == 4 + 1 + plan.counts["NIfTI files among them"]
    assert set(reasons(plan)) == {NAMES.file(name) for name in ("c.hdr", "d.img", "a.7z")}


def test_a_pair_is_one_file_of_its_subject_and_a_half_is_named() -> None:
    files = with_pairs(sources("01.img", "01.hdr", "x_02.HDR.gz", "x_02.img", "03.hdr", "04.img"))
    plan = planned(files, table(("01", "PD"), ("02", "HC")))
    assert files_of(plan) == {NAMES.subject("01"): ["01.hdr"], NAMES.subject("02"): ["x_02.HDR.gz"]}
    assert set(reasons(plan)) == {NAMES.file("03.hdr"), NAMES.file("04.img")}
    assert plan.counts["NIfTI files among them"] == 2
