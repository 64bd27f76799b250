import datetime
from collections import Counter
from pathlib import Path

import pytest
from tests.importing.ppmi_download import LABEL_OF_GROUP, Download, full_download

from datspect.errors import ImportingError
from datspect.importing.plan import Exclusion
from datspect.importing.ppmi import EARLIER_ROW, MASKED_DATE, NO_GROUP, plan_ppmi, whole_years
from datspect.importing.ppmi_collection import parse_groups, read_collection
from datspect.importing.ppmi_fields import MONTH_ONLY, NO_DATE, UNKNOWN_GROUP
from datspect.importing.ppmi_matching import NO_IMAGE, OTHER_SUBJECT, SEVERAL_FILES, UNKNOWN_IMAGE
from datspect.importing.ppmi_rows import NO_SUBJECT
from datspect.importing.ppmi_status import DIFFERS, NO_COHORT, Status
from datspect.importing.pseudonyms import Pseudonyms
from datspect.io.sources import Source, UnusableSource, find_sources, opened

NAMES = Pseudonyms(b"a key for tests")
DEFAULT = parse_groups("PD,Control")


def image_bytes(image):
    return f"image {image.image_id}".encode()


def plan_of(download, tmp_path, groups=DEFAULT):
    download.write(tmp_path, image_bytes)
    return plan_ppmi(*find_sources(download.roots), read_collection(download.tables), groups, NAMES)


@pytest.fixture
def download():
    """Return one person with one image that has no file yet."""
    download = Download()
    download.add_subject("person")
    return download


def reasons(plan):
    return [exclusion.reason for exclusion in plan.exclusions]


def sources_of(plan, download, trap="person"):
    """Return the image ids of the files of a person's candidates, in order; None without a file."""
    planned = {subject.subject_id: subject for subject in plan.subjects}
    person = planned[NAMES.subject(download.subjects[trap].subject)]
    return [content_id(candidate.source) if candidate.source else None for candidate in person.candidates]


def content_id(source):
    with opened(source, 1000) as stream:
        return stream.read().decode().removeprefix("image ")


@pytest.mark.parametrize("groups", [DEFAULT, tuple(set(LABEL_OF_GROUP.values()) - {"phantom", "volunteer"})])
def test_a_whole_download_with_all_its_traps_is_planned_rightly(tmp_path, groups):
    download = full_download()
    plan = plan_of(download, tmp_path, groups)
    expected = download.chosen(groups)
    planned = {subject.subject_id: subject for subject in plan.subjects}
    assert set(planned) == {NAMES.subject(subject) for subject in expected}
    for subject, who in expected.items():
        found = planned[NAMES.subject(subject)]
        assert (found.label, found.sex, found.site) == (who.label, who.sex, "")
        assert {candidate.age for candidate in found.candidates} == {who.age}
        files = [(candidate.scan_id, candidate.source is not None) for candidate in found.candidates]
        assert files == [(NAMES.scan(image), has_file) for image, has_file in who.candidates]
        for candidate in found.candidates:
            if candidate.source:
                assert NAMES.scan(content_id(candidate.source)) == candidate.scan_id


def test_every_file_that_is_nobodys_is_excluded_by_its_pseudonym(tmp_path):
    download = full_download()
    plan = plan_of(download, tmp_path)
    sources, _ = find_sources(download.roots)
    names = [source.name for source in sources]
    expected = {NAMES.file(next(name for name in names if name.endswith(path))) for path in download.unmatched}
    assert {exclusion.what for exclusion in plan.exclusions} == expected
    assert Counter(reasons(plan))[OTHER_SUBJECT] == 1
    assert Counter(reasons(plan))[UNKNOWN_IMAGE] == 1
    assert Counter(reasons(plan))[NO_IMAGE] == 1


def test_what_was_seen_is_counted(tmp_path):
    download = full_download()
    counts = plan_of(download, tmp_path).counts
    sources, unusable = find_sources(download.roots)
    n_matched = sum(has_file for who in download.subjects.values() for _, has_file in who.candidates)
    assert counts["files found"] == len(sources) + len(unusable)
    assert counts["scan files matched to the CSV"] == n_matched
    assert counts["copies of matched files"] == download.n_duplicates
    assert counts["scan files not matched"] == len(download.unmatched)
    assert counts["scan files"] == n_matched + download.n_duplicates + len(download.unmatched)
    assert counts["images in the CSV of another modality"] == counts["images in the CSV not reconstructed"] == 1
    assert counts["subjects in the CSV with a DaT scan"] == len(download.subjects)
    assert counts["subjects to be imported"] == len(download.chosen())
    assert counts["subjects to be imported: pd"] == len(download.chosen(["pd"]))
    assert list(counts)[-2:] == ["subjects to be imported: pd", "subjects to be imported: control"]


def test_nothing_that_is_not_a_source_holds_an_original_name(tmp_path):
    download = full_download(first_subject=7_310_460_001, first_image=8_420_570_001)
    plan = plan_of(download, tmp_path)
    text = repr((plan.exclusions, plan.counts)) + "".join(
        f"{subject.subject_id} {subject.label} {subject.sex} {subject.site} {candidate.scan_id} {candidate.visit}"
        for subject in plan.subjects
        for candidate in subject.candidates
    )
    assert not [name for name in download.identifiers() if name in text]


def test_the_same_download_gives_the_same_plan_in_whatever_order_it_is_named(tmp_path):
    download = full_download()
    plan = plan_of(download, tmp_path)
    again = plan_ppmi(*find_sources(download.roots[::-1]), read_collection(download.tables[::-1]), DEFAULT, NAMES)
    assert again.counts == plan.counts
    for one, other in zip(plan.subjects, again.subjects, strict=True):
        assert one.subject_id == other.subject_id
        assert [candidate.scan_id for candidate in one.candidates] == [each.scan_id for each in other.candidates]


def test_only_groups_that_were_asked_for_are_planned(tmp_path):
    download = full_download()
    plan = plan_of(download, tmp_path, parse_groups("swedd"))
    assert [subject.label for subject in plan.subjects] == ["swedd"]


def test_an_earliest_scan_without_a_file_is_never_replaced_by_a_later_one(download, tmp_path):
    download.add_image("person")
    later = download.add_image("person", days=365)
    download.put(later)
    assert sources_of(plan_of(download, tmp_path), download) == [None, later.image_id]


def test_of_one_day_those_with_a_file_go_first_and_the_rest_before_any_later_day(download, tmp_path):
    missing, there = download.add_image("person"), download.add_image("person")
    later = download.add_image("person", days=365)
    for image in (there, later):
        download.put(image)
    plan = plan_of(download, tmp_path)
    assert sources_of(plan, download) == [there.image_id, None, later.image_id]
    assert plan.subjects[0].candidates[1].scan_id == NAMES.scan(missing.image_id)


def test_image_ids_are_ordered_as_numbers(tmp_path):
    download = Download(first_image=99_999)
    download.add_subject("person")
    first, second = download.add_image("person"), download.add_image("person")
    for image in (second, first):
        download.put(image)
    assert sources_of(plan_of(download, tmp_path), download) == ["99999", "100006"]


def test_a_conversion_beside_the_dicom_file_is_a_copy_of_it(download, tmp_path):
    image = download.add_image("person")
    download.put(image)
    download.put(image, path=image.path.replace(".dcm", ".nii.gz"))
    download.put(image, path=image.path.replace(".dcm", ".nii"))
    plan = plan_of(download, tmp_path)
    assert plan.subjects[0].candidates[0].source.name.endswith(".dcm")
    assert plan.counts["copies of matched files"] == 2


def test_several_different_files_of_one_image_are_all_left_out(download, tmp_path):
    image = download.add_image("person")
    download.put(image, path=image.path.replace(image.file_name, "slice1.dcm"))
    download.put(image, path=image.path.replace(image.file_name, "slice2.dcm"))
    plan = plan_of(download, tmp_path)
    assert sources_of(plan, download) == [None]
    assert reasons(plan) == [SEVERAL_FILES] * 2


def test_two_parts_that_hold_different_files_for_one_image_are_not_guessed_between(download, tmp_path):
    image = download.add_image("person")
    download.put(image)
    download.files.append(("zip", image.path, b"cut sho"))
    plan = plan_of(download, tmp_path)
    assert sources_of(plan, download) == [None]
    assert reasons(plan) == [SEVERAL_FILES] * 2


def test_the_upload_stamp_is_no_date(download, tmp_path):
    images = [download.add_image("person", days=days) for days in (0, 558)]
    assert images[1].date == datetime.date(2012, 8, 14)  # the day of the stamp
    download.put(images[0], path=f"PPMI/{images[0].subject}/scan_20120814154829508_1.dcm")
    assert reasons(plan_of(download, tmp_path)) == [NO_IMAGE]


def test_a_date_that_no_row_has_matches_nothing(download, tmp_path):
    image = download.add_image("person")
    download.put(image, path=f"PPMI/{image.subject}/Reconstructed_DaTSCAN/2001-01-01_00_00_00.0/scan.dcm")
    assert reasons(plan_of(download, tmp_path)) == [NO_IMAGE]


def test_a_date_on_which_two_images_were_taken_matches_neither(download, tmp_path):
    images = [download.add_image("person") for _ in range(2)]
    download.put(images[0], path=f"PPMI/{images[0].subject}/Reconstructed_DaTSCAN/{images[0].date_folder}/scan.dcm")
    assert reasons(plan_of(download, tmp_path)) == [NO_IMAGE]


def test_a_masked_date_matches_nothing_where_a_subject_has_two_image_folders(download, tmp_path):
    image = download.add_image("person")
    for folder in ("a", "b"):
        masked = f"PPMI/{image.subject}/Reconstructed_DaTSCAN/9999-01-01_00_00_00.0/{folder}/scan.dcm"
        download.put(image, path=masked)
    assert reasons(plan_of(download, tmp_path)) == [NO_IMAGE] * 2


def test_a_file_whose_name_and_folder_name_two_subjects_is_left_out(download, tmp_path):
    image = download.add_image("person")
    other = download.subjects[download.add_subject("other")].subject
    download.add_image("other")
    download.put(image, path=f"PPMI/{other}/Reconstructed_DaTSCAN/{image.date_folder}/PPMI_{image.subject}_scan.dcm")
    assert reasons(plan_of(download, tmp_path)) == [OTHER_SUBJECT]


def test_a_file_of_a_subject_that_the_csv_does_not_know_is_left_out_although_its_image_is_known(download, tmp_path):
    image = download.add_image("person")
    download.put(image, path=image.path.replace(image.subject, "1234"))
    assert reasons(plan_of(download, tmp_path)) == [OTHER_SUBJECT]


def test_a_subject_whose_group_no_csv_gives_is_excluded_if_there_is_a_file(download, tmp_path):
    download.add_image("person")
    trap = download.add_subject("stranger")
    download.put(download.add_image(trap, tables=("ida",)))
    download.add_image(download.add_subject("further stranger"), tables=("ida",))
    plan = plan_of(download, tmp_path)
    assert plan.exclusions == (Exclusion(NAMES.subject(download.subjects[trap].subject), NO_GROUP),)
    assert len(plan.subjects) == 1


def test_a_masked_date_in_the_csv_hides_which_scan_is_the_earliest(download, tmp_path):
    image, masked = download.add_image("person"), download.add_image("person", date=datetime.date(9999, 1, 1))
    for each in (image, masked):
        download.put(each)
    plan = plan_of(download, tmp_path)
    assert plan.subjects == ()
    assert reasons(plan) == [MASKED_DATE]


def test_a_masked_date_in_the_csv_does_no_harm_to_a_single_scan(download, tmp_path):
    image = download.add_image("person", date=datetime.date(9999, 1, 1))
    download.put(image)
    assert sources_of(plan_of(download, tmp_path), download) == [image.image_id]


def test_what_must_not_be_opened_is_excluded(download, tmp_path):
    download.add_image("person")
    download.write(tmp_path, image_bytes)
    unusable = UnusableSource("PPMI/3000/link.dcm", "a link")
    plan = plan_ppmi([], [unusable], read_collection(download.tables), DEFAULT, NAMES)
    assert plan.exclusions == (Exclusion(NAMES.file("PPMI/3000/link.dcm"), "a link"),)
    assert plan.counts["files that must not be opened"] == 1


def test_no_file_at_all_is_planned_without_an_error(download, tmp_path):
    download.add_image("person")
    download.write(tmp_path, image_bytes)
    plan = plan_ppmi([], [], read_collection(download.tables), DEFAULT, NAMES)
    assert [candidate.source for candidate in plan.subjects[0].candidates] == [None]


def test_thousands_of_files_are_matched_in_a_moment(tmp_path):
    download = full_download(n_plain=3000)
    download.files = []
    download.write(tmp_path, image_bytes)
    images = [image for who in download.subjects.values() for image in who.images]
    sources = [Source(Path("part.zip"), image.path, image.path, 1) for image in images]
    collection = read_collection(download.tables)
    started = datetime.datetime.now()
    plan_ppmi(sources, [], collection, DEFAULT, NAMES)
    assert (datetime.datetime.now() - started).total_seconds() < 10


@pytest.mark.parametrize(
    ("age", "expected"), [(61.99, 61.0), (61.0, 61.0), (89.9, 89.0), (90.0, 90.0), (97.3, 90.0), (float("nan"), None)]
)
def test_ages_are_whole_years_that_name_nobody(age, expected):
    assert whole_years(age) == expected


TABLE = ["Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Acq Date"]


def listed(tmp_path, *rows):
    """Return the collection of one CSV; a row is image id, subject, group and date."""
    lines = [",".join(TABLE)]
    lines += [f"{i},{who},{group},F,60,SC,SPECT,Reconstructed DaTSCAN,{day}" for i, who, group, day in rows]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return read_collection([tmp_path / "table.csv"], needs_group=False)


def file_of(image, subject, folder="2011-02-03"):
    name = f"PPMI/{subject}/Reconstructed_DaTSCAN/{folder}_09_41_27.0/I{image}/scan.dcm"
    return Source(Path("part.zip"), name, name, 1)


def planned_images(plan):
    return {who.subject_id: [candidate.scan_id for candidate in who.candidates] for who in plan.subjects}


GOOD = ("9001", "4001", "PD", "2/3/2011")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (("9002", "4002", "Martians", "2/3/2011"), UNKNOWN_GROUP),
        (("9002", "4002", "PD", "2/2011"), MONTH_ONLY),
        (("9002", "4002", "Control", "soon"), NO_DATE),
        (("9002", "", "PD", "2/3/2011"), NO_SUBJECT),
    ],
)
def test_a_bad_row_leaves_out_its_image_and_nobody_else(tmp_path, bad, reason):
    collection = listed(tmp_path, GOOD, bad)
    files = [file_of("9001", "4001"), file_of("9002", "4002")]
    plan = plan_ppmi(files, [], collection, DEFAULT, NAMES)
    assert planned_images(plan) == {NAMES.subject("4001"): [NAMES.scan("9001")]}
    whats = {out.what: out.reason for out in plan.exclusions}
    person = f"{NAMES.subject('4002')} " if bad[1] else ""
    assert whats[f"{person}{NAMES.scan('9002')} CSV 1 row 3"] == reason
    assert whats[NAMES.file(files[1].name)] == reason
    assert plan.counts["rows in the CSV that cannot be used"] == 1


@pytest.mark.parametrize(
    ("days", "is_imported"),
    [
        (("2/2011", "2/3/2012"), False),  # the row without a day is of the earlier scan
        (("2/2011", "2/3/2011"), False),  # or may be
        (("soon", "2/3/2011"), False),
        (("3/2011", "2/3/2011"), True),
        (("2012", "2/3/2011"), True),
    ],
)
def test_a_scan_is_no_replacement_for_what_may_be_an_earlier_one_whose_row_is_bad(tmp_path, days, is_imported):
    rows = [(image, "4001", "PD", day) for image, day in zip(("9002", "9003"), days, strict=True)]
    plan = plan_ppmi([file_of("9003", "4001")], [], listed(tmp_path, *rows), DEFAULT, NAMES)
    assert len(plan.subjects) == is_imported
    assert (Exclusion(NAMES.subject("4001"), EARLIER_ROW) in plan.exclusions) is not is_imported


def by_path(subject, folder):
    name = f"PPMI/{subject}/Reconstructed_DaTSCAN/{folder}_09_41_27.0/scan.dcm"
    return Source(Path("part.zip"), name, name, 1)


@pytest.mark.parametrize("source", [file_of("9002", "4002", "2011-03-02"), by_path("4002", "2011-03-02")])
def test_dates_with_day_and_month_exchanged_stop_the_import_and_name_the_rows(tmp_path, source):
    collection = listed(tmp_path, GOOD, ("9002", "4002", "PD", "2/3/2011"))
    with pytest.raises(ImportingError, match="exchanged day and month: CSV 1 row 3;") as error:
        plan_ppmi([file_of("9001", "4001"), source], [], collection, DEFAULT, NAMES)
    assert not [name for name in ("4002", "9002", "2011") if name in str(error.value)]


@pytest.mark.parametrize("folder", ["2011-02-03", "2011-02-04", "9999-03-02", "2012-03-02"])
def test_dates_that_differ_in_another_way_do_not_stop_the_import(tmp_path, folder):
    plan = plan_ppmi([file_of("9001", "4001", folder)], [], listed(tmp_path, GOOD), DEFAULT, NAMES)
    differ = folder in ("2011-02-04", "2012-03-02")
    assert plan.counts.get("scan files in a folder of another date", 0) == differ
    assert len(plan.subjects) == 1


STATUS = {"4001": "pd", "4002": "control", "4003": "prodromal", "4004": ""}


@pytest.mark.parametrize(
    ("keep", "labels", "n_left_out"),
    [
        ("agreed", {"4001": "pd", "4005": "pd"}, 3),
        ("archive", {"4001": "pd", "4002": "pd", "4003": "control", "4004": "pd", "4005": "pd"}, 0),
        ("status", {"4001": "pd", "4002": "control", "4005": "pd"}, 1),
    ],
)
def test_todays_diagnosis_is_compared_with_the_archives_group(tmp_path, keep, labels, n_left_out):
    groups = {"4001": "PD", "4002": "PD", "4003": "Control", "4004": "PD", "4005": "PD"}
    rows = [(f"9{who}", who, group, "2/3/2011") for who, group in groups.items()]
    plan = plan_ppmi([], [], listed(tmp_path, *rows), DEFAULT, NAMES, Status(STATUS, keep))
    assert {who.subject_id: who.label for who in plan.subjects} == {
        NAMES.subject(who): label for who, label in labels.items()
    }
    assert plan.counts["subjects with today's status"] == 4
    assert plan.counts["subjects whose status and group differ"] == 2
    assert sum(reason in (DIFFERS, NO_COHORT) for reason in reasons(plan)) == n_left_out


def test_a_status_of_other_people_is_refused(tmp_path):
    with pytest.raises(ImportingError, match="lists nobody of the collection"):
        plan_ppmi([], [], listed(tmp_path, GOOD), DEFAULT, NAMES, Status({"4009": "pd"}))


def test_todays_diagnosis_is_enough_where_the_archive_gives_no_group(tmp_path):
    plan = plan_ppmi([], [], listed(tmp_path, ("9001", "4001", "", "2/3/2011")), DEFAULT, NAMES, Status(STATUS))
    assert [who.label for who in plan.subjects] == ["pd"]


def test_who_has_neither_a_group_nor_a_cohort_is_left_out_where_there_is_a_file(tmp_path):
    rows = [("9001", "4001", "", "2/3/2011"), ("9004", "4004", "", "2/3/2011"), ("9006", "4006", "", "2/3/2011")]
    files = [file_of("9004", "4004")]
    plan = plan_ppmi(files, [], listed(tmp_path, *rows), DEFAULT, NAMES, Status(STATUS))
    assert plan.exclusions == (Exclusion(NAMES.subject("4004"), NO_GROUP),)


def test_a_difference_between_groups_that_nobody_asked_for_is_counted_and_not_listed(tmp_path):
    collection = listed(tmp_path, ("9003", "4003", "SWEDD", "2/3/2011"))
    plan = plan_ppmi([], [], collection, DEFAULT, NAMES, Status(STATUS))
    assert plan.counts["subjects whose status and group differ"] == 1
    assert plan.exclusions == ()


def test_what_an_import_does_not_read_is_counted_by_kind(tmp_path):
    names = ("a.xml", "b.xml", "c.pdf", "d.nrrd", "e.hdr", "e.img", "f.Jane", "PPMI/4001/I9001/scan.dcm")
    files = [Source(Path(name), None, name, 1) for name in names]
    plan = plan_ppmi(files, [], listed(tmp_path, GOOD), DEFAULT, NAMES)
    unread = {what: n for what, n in plan.counts.items() if what.startswith("not read")}
    assert unread.pop("not read: XML") == 2
    assert sum(unread.values()) == 5
    assert "Jane" not in str(unread)
