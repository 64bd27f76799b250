import datetime
import io
import math

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datspect.errors import ImportingError
from datspect.importing.labels import parse_labels
from datspect.importing.ppmi_collection import COLUMNS, parse_groups, read_collection
from datspect.importing.ppmi_fields import DAY_FIRST, MONTH_ONLY, NO_DATE, UNKNOWN_GROUP
from datspect.importing.ppmi_rows import NO_IMAGE_ID, NO_SUBJECT

HEADER = ["Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Type", "Acq Date"]
ROW = ["323662", "3000", "PD", "M", "61.5", "SC", "SPECT", "Reconstructed DaTSCAN", "Processed", "2/3/2011"]


def row(**changed):
    """Return a row of an export as text by column; "_" in a name stands for a space."""
    return dict(zip(HEADER, ROW, strict=True)) | {name.replace("_", " "): value for name, value in changed.items()}


def image(number, **changed):
    return row(**{"Image_Data_ID": str(number)} | changed)


@pytest.fixture
def read(tmp_path):
    """Read tables, each a list of rows, into images and rows that are left out."""

    def read_tables(*tables, **options):
        paths = []
        for number, rows in enumerate(tables):
            paths.append(tmp_path / f"subject3000-{number}.csv")
            pd.DataFrame(rows).fillna("").to_csv(paths[-1], index=False)
        return read_collection(paths, **options)

    return read_tables


@pytest.fixture
def collection(read):
    """Read the images of tables."""
    return lambda *tables, **options: read(*tables, **options).images


def left_out(found):
    """Return the reason of each row that is left out, by its place."""
    return {row.place: row.reason for row in found.left_out}


@pytest.fixture
def problems(collection):
    """Return the message that tables give."""

    def message(*tables):
        with pytest.raises(ImportingError) as error:
            collection(*tables)
        return str(error.value)

    return message


def test_a_row_is_read_into_what_it_means(collection):
    (found,) = collection([row()]).to_dict("records")
    assert tuple(found) == COLUMNS
    assert found == {
        "image_id": "323662",
        "subject": "3000",
        "group": "pd",
        "sex": "male",
        "age": 61.5,
        "visit": "SC",
        "modality": "SPECT",
        "description": "Reconstructed DaTSCAN",
        "kind": "Processed",
        "date": datetime.date(2011, 2, 3),
        "left_out": "",
        "place": "CSV 1 row 2",
    }


def test_old_and_new_exports_say_the_same(collection):
    old = collection([image("323662", Visit="0", Acq_Date="2/3/2011", Sex="F")])
    new = row(Image_Data_ID="I323662", Sex="Female", Acq_Date="02/03/2011", Description="Reconstructed_DaTSCAN")
    search = {"Subject ID": new.pop("Subject"), "Study Date": "2011-02-03", **new}
    del search["Acq Date"]
    same = ["image_id", "subject", "group", "sex", "age", "visit", "date", "left_out"]
    pd.testing.assert_frame_equal(collection([new | {"Subject": "3000"}])[same], old[same])
    pd.testing.assert_frame_equal(collection([search])[same], old[same])


@pytest.mark.parametrize("text", ["2/3/2011", "02/03/2011", "2/03/2011", "2011-02-03", "2011-02-03 00:00:00.0"])
def test_dates_are_read_however_they_are_padded(collection, text):
    assert collection([row(Acq_Date=text)])["date"][0] == datetime.date(2011, 2, 3)


def test_a_masked_date_is_none(collection):
    assert collection([row(Acq_Date="1/1/9999")])["date"][0] is None


@pytest.mark.parametrize(
    ("text", "visit"),
    [
        ("0", "SC"),
        ("SC", "SC"),
        ("sc", "SC"),
        ("Screening", "SC"),
        ("Baseline", "BL"),
        ("V4", "V04"),
        ("V04", "V04"),
        ("U01", "U01"),
        ("4", "N04"),
        ("4.0", "N04"),
        ("", ""),
        ("seen by Dr. Somebody", "other"),
    ],
)
def test_visits_get_one_style(collection, text, visit):
    assert collection([row(Visit=text)])["visit"][0] == visit


def test_a_visit_code_is_preferred_to_an_old_number(collection):
    assert collection([row(Visit="4")], [row(Visit="V04")])["visit"][0] == "V04"


@pytest.mark.parametrize(("text", "sex"), [("M", "male"), ("f", "female"), ("Female", "female"), ("", ""), ("U", "")])
def test_sexes_are_spelt_out(collection, text, sex):
    assert collection([row(Sex=text)])["sex"][0] == sex


@pytest.mark.parametrize(("text", "age"), [("61", 61), ("61,5", 61.5), ("90+", 90), (">89", 89)])
def test_ages_are_numbers(collection, text, age):
    assert collection([row(Age=text)])["age"][0] == age


def test_a_missing_age_is_nan(collection):
    assert math.isnan(collection([row(Age="")])["age"][0])


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("PD", "pd"),
        ("Control", "control"),
        ("HC", "control"),
        ("Healthy Control", "control"),
        ("SWEDD", "swedd"),
        ("Prodromal", "prodromal"),
        ("GenCohort PD", "gencohort_pd"),
        ("GenCohort Unaff", "gencohort_unaffected"),
        ("GenReg PD", "genreg_pd"),
        ("GenReg Unaff", "genreg_unaffected"),
        ("Phantom", "phantom"),
        ("Volunteer", "volunteer"),
    ],
)
def test_groups_become_labels(collection, text, label):
    assert collection([row(Group=text)])["group"][0] == label


def test_what_is_no_reconstructed_datscan_is_left_out_with_a_reason_and_not_checked(collection):
    found = collection(
        [
            image(1),
            image(2, Description="RECONSTRUCTED_DATSCAN"),
            image(3, Modality="MRI", Acq_Date="?", Age="?", Sex="?", Group="?"),
            image(4, Description="TOMO"),
        ]
    )
    assert list(found["left_out"] == "") == [True, True, False, False]
    assert "modality" in found["left_out"][2]
    assert "reconstructed" in found["left_out"][3]


def test_images_listed_again_are_listed_once(collection):
    found = collection([image(1), image(2)], [image("I2"), image(1), image(3)])
    assert list(found["image_id"]) == ["1", "2", "3"]


def test_several_tables_complete_each_other(collection):
    found = collection([image(1, Age="", Sex="", Visit="")], [image(1, Group="", Age="61", Sex="F", Visit="BL")])
    assert found.loc[0, ["group", "sex", "age", "visit"]].tolist() == ["pd", "female", 61, "BL"]


def test_a_search_without_groups_gets_them_by_subject(collection):
    search = [image(2), image(3, Subject="3001")]
    for each in search:
        del each["Group"]
    found = collection([image(1)], search)
    assert list(found["group"]) == ["pd", "pd", ""]


def test_a_group_may_stand_beside_an_image_that_is_left_out(collection):
    found = collection([image(1, Modality="MRI")], [image(2, Group="")])
    assert list(found["group"]) == ["pd", "pd"]


def test_ages_rounded_differently_are_one_age(collection):
    assert collection([row(Age="61")], [row(Age="61.4")])["age"][0] == 61


def test_missing_columns_of_all_tables_are_named_at_once_with_the_options_that_name_them(problems):
    without = {name: text for name, text in row().items() if name not in ("Subject", "Group", "Visit")}
    message = problems([without], [{"Image Data ID": "3000"}])
    assert "CSV 1: column(s) missing: Subject; name them with --subject-column" in message
    assert "CSV 2: column(s) missing: Subject, Description, Acq Date; name them with --subject-column" in message
    assert "no CSV has the column(s) Group" in message


def test_no_table_at_all_is_an_error(problems):
    assert "no CSV has the column(s)" in problems()


BAD_ROWS = [
    ({"Group": "Martians"}, UNKNOWN_GROUP),
    ({"Acq_Date": "8/2012"}, MONTH_ONLY),
    ({"Acq_Date": "08/2012"}, MONTH_ONLY),
    ({"Acq_Date": "2012-08"}, MONTH_ONLY),
    ({"Acq_Date": "Aug-2012"}, MONTH_ONLY),
    ({"Acq_Date": "August 2012"}, MONTH_ONLY),
    ({"Acq_Date": "2012"}, MONTH_ONLY),
    ({"Acq_Date": "25/12/2011"}, DAY_FIRST),
    ({"Acq_Date": "25.12.2011"}, DAY_FIRST),
    ({"Acq_Date": "12/25/11"}, NO_DATE),
    ({"Acq_Date": "13/2012"}, NO_DATE),
    ({"Acq_Date": "2/30/2012"}, NO_DATE),
    ({"Acq_Date": ""}, NO_DATE),
    ({"Acq_Date": "soon"}, NO_DATE),
    ({"Image_Data_ID": ""}, NO_IMAGE_ID),
    ({"Image_Data_ID": "D7"}, NO_IMAGE_ID),
    ({"Subject": ""}, NO_SUBJECT),
]


@pytest.mark.parametrize(("changed", "reason"), BAD_ROWS)
def test_a_row_that_cannot_be_used_leaves_out_itself_with_its_reason_and_place(read, changed, reason):
    found = read([image(1), row(**{"Image_Data_ID": "2", "Subject": "3001"} | changed)])
    assert left_out(found) == {"CSV 1 row 3": reason}
    assert list(found.images["image_id"][found.images["left_out"] == ""]) == ["1"]
    assert set(found.images["left_out"]) <= {"", reason}


@pytest.mark.parametrize(("text", "earliest"), [("8/2012", (2012, 8, 1)), ("2012", (2012, 1, 1)), ("soon", (1, 1, 1))])
def test_the_earliest_day_that_a_date_may_mean_is_kept(read, text, earliest):
    found = read([image(1), image(2, Acq_Date=text)])
    assert [row.earliest for row in found.left_out] == [datetime.date(*earliest)]


def test_a_sex_or_age_that_cannot_be_read_is_unknown(read):
    found = read([image(1, Sex="?", Age="old"), image(2, Subject="3001", Sex="", Age="121")])
    assert found.left_out == ()
    assert list(found.images["sex"]) == ["", ""]
    assert found.images["age"].isna().all()


def test_a_bad_row_does_no_harm_to_an_image_that_another_table_lists_well(read):
    found = read([image(1, Acq_Date="2/2011")], [image(1)])
    assert left_out(found) == {"CSV 1 row 2": MONTH_ONLY}
    assert list(found.images["left_out"]) == [""]


def test_where_no_row_can_be_used_all_reasons_are_told_at_once(problems):
    message = problems([image(1, Group="Martians"), image(2, Acq_Date="soon"), image(3, Group="Venusians")])
    assert f"{UNKNOWN_GROUP}: CSV 1 rows 2, 4" in message
    assert f"{NO_DATE}: CSV 1 row 3" in message


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"Subject": "3001"}, "its image has two values of Subject"),
        ({"Acq_Date": "2/4/2011"}, "its image has two values of Date"),
        ({"Age": "63"}, "its image has two values of Age"),
        ({"Group": "Control"}, "its subject has two values of Group"),
        ({"Sex": "F"}, "its subject has two values of Sex"),
        ({"Modality": "MRI"}, "its image is listed as a reconstructed DaTSCAN and as something else"),
    ],
)
def test_rows_of_one_image_that_contradict_each_other_are_left_out_and_no_others(read, changed, what):
    found = read([image(9, Subject="3009"), row()], [row(**changed)])
    reasons = left_out(found)
    assert all(reason.startswith(what) for reason in reasons.values())
    assert set(reasons) == {"CSV 1 row 3", "CSV 2 row 2"} - ({"CSV 2 row 2"} if "Modality" in changed else set())
    assert list(found.images["image_id"][found.images["left_out"] == ""]) == ["9"]


@pytest.mark.parametrize("changed", [{"Group": "SWEDD"}, {"Sex": "F"}])
def test_two_images_of_a_subject_that_contradict_each_other_are_both_left_out(read, changed):
    found = read([image(1), image(2, **changed), image(3, Subject="3001")])
    assert set(left_out(found)) == {"CSV 1 row 2", "CSV 1 row 3"}


def test_tables_that_exchange_day_and_month_stop_the_import_and_name_the_rows(problems):
    message = problems([image(7, Acq_Date="3/2/2011"), row()], [row(Acq_Date="2011-03-02")])
    assert "day and month exchanged: CSV 1 row 3; CSV 2 row 2" in message
    assert "323662" not in message


@pytest.mark.parametrize(
    ("days", "stops"),
    [
        (["25/12/2011", "2/3/2011", "26/12/2011"], True),
        (["25.12.2011", "2.3.2011", "26.12.2011"], True),
        (["25/12/2011", "2/3/2011", "1/2/2011"], False),  # one bad row
        (["25/12/2011", "2/13/2011", "26/12/2011", "1/2/2011"], False),  # the month comes first elsewhere
    ],
)
def test_a_table_whose_dates_have_the_day_first_stops_the_import(read, days, stops):
    rows = [image(number, Subject=str(3000 + number), Acq_Date=day) for number, day in enumerate(days, start=1)]
    if stops:
        with pytest.raises(ImportingError, match="day before the month: CSV 1 rows 2, 4"):
            read(rows)
    else:
        assert DAY_FIRST in left_out(read(rows)).values()


NEWER = {
    "subject_id": "3000",
    "image_id": "323662",
    "image_date": "2011-02-03",
    "image_description": "Reconstructed DaTSCAN",
    "image_type": "Processed",
    "image_visit": "SC",
}


def test_the_newer_names_of_columns_are_known_and_what_they_lack_is_unknown(collection):
    (found,) = collection([NEWER | {"Group": "PD"}]).to_dict("records")
    expected = {"image_id": "323662", "subject": "3000", "group": "pd", "sex": "", "visit": "SC", "left_out": ""}
    assert {name: found[name] for name in expected} == expected
    assert found["date"] == datetime.date(2011, 2, 3)
    assert found["kind"] == "Processed"
    assert math.isnan(found["age"])


def test_a_table_without_groups_is_enough_where_they_come_from_elsewhere(collection, problems):
    assert "--status" in problems([NEWER])
    assert list(collection([NEWER], needs_group=False)["group"]) == [""]


def test_columns_can_be_named_in_one_of_several_tables(collection):
    theirs = {"Who": "3001", "Dx": "PD", "Years": "70", "Scan": "8"} | image(8)
    for name in ("Subject", "Group", "Age", "Image Data ID"):
        del theirs[name]
    columns = {"subject": "who", "group": "Dx", "age": "YEARS", "image_id": "Scan"}
    found = collection([row()], [theirs], columns=columns)
    assert set(found["subject"]) == {"3000", "3001"}
    assert set(found["age"]) == {61.5, 70}


def test_a_named_column_that_no_table_has_is_said_with_its_option(read):
    with pytest.raises(ImportingError, match="no CSV has the column named by --label-column"):
        read([row()], columns={"group": "dx"})


@pytest.mark.parametrize(("text", "labels"), [("Case", "case=pd"), ("1.0", "1=pd"), ("1", "1.0=pd"), ("HC", "HC=pd")])
def test_groups_are_mapped_in_the_users_words(collection, text, labels):
    assert list(collection([row(Group=text)], labels=parse_labels(labels))["group"]) == ["pd"]


def test_where_nothing_matches_the_commonest_modality_and_description_are_shown(read):
    rows = [image(number, Modality="MR", Description="T1 MPRAGE", Subject=str(number)) for number in range(4)]
    rows += [image(9, Modality="SPECT", Description="Jane Doe 1947")]
    with pytest.raises(ImportingError) as error:
        read(rows)
    message = str(error.value)
    assert "modality is 'MR' (4 rows), 'SPECT' (1 row)" in message
    assert "description 'T1 MPRAGE' (4 rows), others (1 row)" in message
    assert "--description" in message
    assert "Jane" not in message


def test_what_the_scans_are_described_as_can_be_said(collection):
    found = collection([image(1, Description="DaTSCAN recon"), image(2)], description="datscan_RECON")
    assert list(found["left_out"] == "") == [True, False]


def test_no_message_holds_what_stands_in_the_tables(problems):
    secret = "S3CR3T"
    message = problems([dict.fromkeys(HEADER, secret) | {"Modality": "SPECT", "Description": "ReconstructedDaTSCAN"}])
    assert secret not in message
    assert "subject3000" not in message


def test_groups_are_parsed_whatever_their_spelling():
    assert parse_groups("PD, hc ,gencohort_pd,PD,genreg unaff") == (
        "pd",
        "control",
        "gencohort_pd",
        "genreg_unaffected",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PD,Phantom", "phantom is no group of patients"),
        ("volunteer", "never imported"),
        ("PD,Martians", "unknown group 'Martians'; expected some of PD, Control, SWEDD"),
        (" , ", "no group named"),
    ],
)
def test_groups_that_cannot_be_imported_are_refused(text, message):
    with pytest.raises(ImportingError, match=message):
        parse_groups(text)


FIELDS = st.sampled_from([*ROW, "", "I5", "0", "9999-01-01", "13/13/2011", "MRI", "Phantom", "F", "V4", "12.0", "?"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(FIELDS, min_size=10, max_size=10), max_size=4))
def test_any_rows_give_clean_images_or_the_promised_error(tmp_path, rows):
    text = io.StringIO()
    pd.DataFrame(rows, columns=HEADER, dtype=str).to_csv(text, index=False)
    (tmp_path / "fuzz.csv").write_text(text.getvalue())
    try:
        found = read_collection([tmp_path / "fuzz.csv"]).images
    except ImportingError:
        return
    assert found["image_id"].is_unique
    assert found["image_id"].str.isdecimal().all()
    wanted = found[found["left_out"] == ""]
    assert set(wanted["sex"]) <= {"female", "male", ""}
    assert not (wanted["subject"] == "").any()
    assert all(day is None or isinstance(day, datetime.date) for day in found["date"])
