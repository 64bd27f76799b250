import datetime
import io
import math

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datspect.errors import ImportingError
from datspect.importing.ppmi_collection import COLUMNS, parse_groups, read_collection

HEADER = ["Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Type", "Acq Date"]
ROW = ["323662", "3000", "PD", "M", "61.5", "SC", "SPECT", "Reconstructed DaTSCAN", "Processed", "2/3/2011"]


def row(**changed):
    """Return a row of an export as text by column; "_" in a name stands for a space."""
    return dict(zip(HEADER, ROW, strict=True)) | {name.replace("_", " "): value for name, value in changed.items()}


def image(number, **changed):
    return row(**{"Image_Data_ID": str(number)} | changed)


@pytest.fixture
def collection(tmp_path):
    """Read tables, each a list of rows."""

    def read(*tables):
        paths = []
        for number, rows in enumerate(tables):
            paths.append(tmp_path / f"subject3000-{number}.csv")
            pd.DataFrame(rows).fillna("").to_csv(paths[-1], index=False)
        return read_collection(paths)

    return read


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


def test_missing_columns_of_all_tables_are_named_at_once(problems):
    without = {name: text for name, text in row().items() if name not in ("Subject", "Group", "Visit")}
    message = problems([without], [{"Image Data ID": "3000"}])
    assert "CSV 1: column(s) missing: Subject" in message
    assert "CSV 2: column(s) missing: Subject, Modality, Description, Acq Date" in message
    assert "no CSV has the column(s) Group, Visit" in message


def test_no_table_at_all_is_an_error(problems):
    assert "no CSV has the column(s)" in problems()


def test_unreadable_fields_are_named_at_once_by_row(problems):
    message = problems(
        [
            image(1, Group="Martians"),
            image(2, Sex="?"),
            image(3, Age="old"),
            image(4, Acq_Date="25/12/2011"),
            image(5, Acq_Date="12/25/11"),
            image("", Age="121"),
            image("D7", Subject=""),
        ]
    )
    for expected in (
        "the group is none of PD, Control, SWEDD, Prodromal",
        "the sex is none of M, F, Male, Female: CSV 1 row 3",
        "the age is no number of years up to 120: CSV 1 rows 4, 7",
        "the date is neither month/day/year nor year-month-day: CSV 1 rows 5, 6",
        "the image id is no number: CSV 1 rows 7, 8",
        "the subject is missing: CSV 1 row 8",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"Subject": "3001"}, "one image has two values of Subject"),
        ({"Acq_Date": "2/4/2011"}, "one image has two values of Acq Date"),
        ({"Age": "63"}, "one image has two values of Age"),
        ({"Group": "Control"}, "one subject has two values of Group"),
        ({"Sex": "F"}, "one subject has two values of Sex"),
        ({"Modality": "MRI"}, "an image is listed as a reconstructed DaTSCAN and as something else"),
    ],
)
def test_rows_of_one_image_that_contradict_each_other_are_named(problems, changed, what):
    message = problems([image(9, Subject="3009"), row()], [row(**changed)])
    assert f"{what}: CSV 1 row 3" in message
    assert "CSV 2 row 2" in message or "Modality" in changed
    assert "323662" not in message


@pytest.mark.parametrize("changed", [{"Group": "SWEDD"}, {"Sex": "F"}])
def test_two_images_of_a_subject_that_contradict_each_other_are_named(problems, changed):
    assert "CSV 1 rows 2, 3" in problems([image(1), image(2, **changed)])


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
        found = read_collection([tmp_path / "fuzz.csv"])
    except ImportingError:
        return
    assert found["image_id"].is_unique
    assert found["image_id"].str.isdecimal().all()
    wanted = found[found["left_out"] == ""]
    assert set(wanted["sex"]) <= {"female", "male", ""}
    assert not (wanted["subject"] == "").any()
    assert all(day is None or isinstance(day, datetime.date) for day in found["date"])
