import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.importing.ppmi_paths import is_scan_file, path_claims

TREE = "PPMI/3000/Reconstructed_DaTSCAN/2011-02-03_09_41_27.0/I323662"
FILE = "PPMI_3000_NM_Reconstructed_DaTSCAN_Br_20120814154829508_1_S117534_I323662.dcm"
KNOWN = {"3000", "3001"}


def claims(name):
    found = path_claims(name, KNOWN)
    return found.image_id, set(found.subjects), found.date


def test_the_archives_tree_says_everything():
    assert claims(f"{TREE}/{FILE}") == ("323662", {"3000"}, datetime.date(2011, 2, 3))


@pytest.mark.parametrize(
    "name",
    [
        f"PPMI/{TREE}/{FILE}",
        f"part.zip/{TREE}/{FILE}",
        f"{TREE}/scan.nii.gz",
        f"{TREE}/{FILE}".replace("Reconstructed_DaTSCAN/", ""),
        f"{TREE}/{FILE}".replace("_1_S", "__S"),  # the counter may be empty
        f"{TREE}/{FILE}".replace(".dcm", "_MNI.nii.gz"),
        f"{TREE}/{FILE}".lower().replace("reconstructed_datscan", "RECONSTRUCTED_DATSCAN"),
    ],
)
def test_copies_of_the_tree_say_the_same(name):
    assert claims(name) == ("323662", {"3000"}, datetime.date(2011, 2, 3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (FILE, ("323662", {"3000"}, None)),
        (FILE.replace(".dcm", ".nii"), ("323662", {"3000"}, None)),
        ("I323662.nii.gz", ("323662", set(), None)),
        ("3000/I323662/a", ("323662", {"3000"}, None)),
        ("3000.nii.gz", ("", {"3000"}, None)),
        ("sub-3000/spect/sub-3000_spect.nii", ("", {"3000"}, None)),
        ("3000_3001.nii", ("", {"3000", "3001"}, None)),
        ("1234/scan.nii", ("", set(), None)),
        ("PPMI/1234/Reconstructed_DaTSCAN/2011-02-03_09_41_27.0/x/scan.nii", ("", {"1234"}, datetime.date(2011, 2, 3))),
        ("scan.dcm", ("", set(), None)),
        ("Intensity_I1/scan.dcm", ("", set(), None)),
    ],
)
def test_poorer_paths_say_less(name, expected):
    assert claims(name) == expected


@pytest.mark.parametrize("folder", ["9999-12-31_00_00_00.0", "0000-00-00_00_00_00.0"])
def test_a_masked_date_is_no_date(folder):
    assert claims(f"{TREE}/{FILE}".replace("2011-02-03_09_41_27.0", folder)) == ("323662", {"3000"}, None)


def test_the_upload_stamp_of_a_file_name_is_no_date():
    assert path_claims(f"3000/{FILE}", KNOWN).date is None


def test_file_name_and_folders_that_name_two_subjects_are_both_heard():
    assert claims(f"{TREE}/{FILE}".replace("PPMI/3000", "PPMI/3001"))[1] == {"3000", "3001"}


def test_the_file_name_says_which_image_it_is():
    assert claims(f"{TREE}/{FILE}".replace("I323662.dcm", "I323669.dcm"))[0] == "323669"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.dcm", True), ("A.DCM", True), ("a.nii.gz", True), ("a.nii", True), ("IM0001", True), ("a.xml", False)],
)
def test_scan_files_are_told_by_their_ending(name, expected):
    assert is_scan_file(f"PPMI/3000.x/{name}") == expected


@given(st.text("PMI_3000-.159/ \u0663", max_size=60))
def test_any_path_is_understood_somehow(name):
    found = path_claims(name, KNOWN)
    assert not found.image_id or found.image_id.isascii()
