"""An import keeps finished scans and no half-written ones; one bad file stops nobody; nobody's name comes out."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from tests.normalisation.moved_heads import OFFSET_VOXELS, distances_mm, imaged, nifti_bytes, pose

from datspect.cohort.screening import mni_regions, screen_scan
from datspect.cohort.signature import GEOMETRY_NAME
from datspect.cohort.table import REGISTRATION_NAME, read_cohort
from datspect.errors import ImportingError
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.importing import scan
from datspect.importing.folder import DOUBTFUL, LOCK_NAME, REFUSED, TRANSFORMS
from datspect.importing.journal import JOURNAL_NAME
from datspect.importing.plan import Candidate, Exclusion, Plan, PlannedSubject
from datspect.importing.pseudonyms import Pseudonyms
from datspect.importing.scan import ImportOptions
from datspect.importing.subjects import import_subjects
from datspect.io.sources import Source
from datspect.io.tables import read_table
from datspect.io.transforms import read_transform
from datspect.io.volumes import read_volume, write_volume
from datspect.normalisation.verdict import SURE
from datspect.params.whole import load_params
from datspect.phantom.template import mean_phantom

KEY = bytes(range(32))
ROOT = Path(__file__).parents[2]
MakeVolume = Callable[..., Volume]
OPTIONS = ImportOptions(n_workers=2)
CALLED_MNI = replace(OPTIONS, space="mni")
"""Noise is taken as a scan, since it is called one."""


@pytest.fixture
def names() -> Pseudonyms:
    return Pseudonyms(KEY)


class Downloaded:
    """Files below a folder, and the plan that leads to them; subjects are 70001, 70002 and so on."""

    def __init__(self, folder: Path, names: Pseudonyms) -> None:
        self.folder, self.names = folder, names
        self.subjects: list[PlannedSubject] = []

    def source(self, name: str, content: Volume | bytes) -> Source:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_volume(path, content)
        return Source(path, None, name, path.stat().st_size)

    def subject(self, *contents: Volume | bytes | None, label: str = "pd") -> PlannedSubject:
        original = f"7000{len(self.subjects) + 1}"
        candidates = []
        for number, content in enumerate(contents):
            source = None if content is None else self.source(f"QUILL/{original}/I99{original}{number}.nii", content)
            scan_id = self.names.scan(f"99{original}{number}")
            candidates.append(Candidate(scan_id, ("SC", "V04", "V06")[number], 61.0 + number, source))
        subject_id = self.names.subject(original)
        self.subjects.append(PlannedSubject(subject_id, label, "female", "", tuple(candidates)))
        return self.subjects[-1]

    def plan(self, *, first: int | None = None) -> Plan:
        return Plan(tuple(self.subjects[:first]), (), {"files found": len(self.subjects)})


@pytest.fixture
def downloaded(tmp_path: Path, names: Pseudonyms) -> Downloaded:
    return Downloaded(tmp_path / "downloaded", names)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return tmp_path / "cohort"


def raw_projections() -> Volume:
    return Volume(np.arange(64 * 64 * 60).reshape(64, 64, 60) % 500, np.diag([4.0, 4, 4, 1]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Reads:
    """Names of the files that any process reads."""

    log: Path

    def names(self) -> list[str]:
        return self.log.read_text().splitlines()

    def add(self, name: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{name}\n")

    def clear(self) -> None:
        self.log.write_text("")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reads:
    reads, original = Reads(tmp_path / "reads"), scan.read_scan
    reads.clear()

    def counted(source: Source, **options: object) -> object:
        reads.add(source.name)
        return original(source, **options)

    monkeypatch.setattr(scan, "read_scan", counted)
    return reads


def test_an_imported_cohort_is_one_that_preprocess_accepts_scan_by_scan(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    stored = [make_volume(), make_volume()]
    for label, volume in zip(("control", "pd"), stored, strict=True):
        downloaded.subject(volume, label=label)
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    read = read_cohort(cohort)
    params = load_params(ROOT / "params.yaml").preprocess
    assert (read.kind, len(read.scans), len(account.imported)) == ("real", 2, 2)
    assert list(read.scans["scan_id"]) == sorted(who.candidates[0].scan_id for who in downloaded.subjects)
    assert all(screen_scan(read, row, params, mni_regions(params)).reason == "" for row in range(2))
    for who, volume in zip(downloaded.subjects, stored, strict=True):
        row = read.scans.set_index("subject_id").loc[who.subject_id]
        written = read_volume(cohort / row["path"])
        assert np.array_equal(written.data[::-1], np.rint(volume.data)), "stored right to left, written left to right"
        assert (row["label"], row["sex"], row["age"], row["visit"]) == (who.label, "female", 61.0, "SC")
    assert "\t61\t" in (cohort / "participants.tsv").read_text(), "whole years"


def test_the_first_reconstruction_is_taken_and_what_came_before_it_is_named(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    subject = downloaded.subject(raw_projections(), make_volume(), make_volume())
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert [scan.scan_id for scan in account.imported] == [subject.candidates[1].scan_id]
    assert list(account.scans["age"]) == [62]
    [out] = account.exclusions
    raw = subject.candidates[0]
    assert raw.source is not None
    assert out.what == f"{raw.scan_id} {names.file(raw.source.name)}"
    assert "it does not look like a DaT scan of a head" in out.reason


@pytest.mark.parametrize("bad", [b"", b"not a scan", None], ids=["empty", "no scan", "missing"])
def test_a_spoilt_or_missing_scan_leaves_its_subject_out_and_no_later_one_takes_its_place(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, bad: bytes | None
) -> None:
    left_out, kept = downloaded.subject(bad, make_volume()), downloaded.subject(make_volume())
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert list(account.scans["subject_id"]) == [kept.subject_id]
    [out] = account.exclusions
    assert out.what.startswith(f"{left_out.subject_id} {left_out.candidates[0].scan_id}")
    assert out.reason


def not_a_number() -> bytes:
    import nibabel as nib

    data = np.zeros(MNI_SHAPE, np.float32)
    data[30:50, 40:60, 30:50] = 7
    data[40, 50, 40] = np.nan
    return nib.Nifti1Image(data, mni_affine()).to_bytes()


def test_constant_and_nan_volumes_are_refused(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(Volume(np.full(MNI_SHAPE, 7), mni_affine()))
    downloaded.subject(not_a_number())
    kept = downloaded.subject(make_volume())
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert list(account.scans["subject_id"]) == [kept.subject_id]
    reasons = " | ".join(out.reason for out in account.exclusions)
    assert "NaN" in reasons
    assert "same value" in reasons


def in_mni_space_with_smaller_voxels(volume: Volume, code: int) -> bytes:
    import nibabel as nib

    fine = volume.affine @ np.diag([0.75, 0.75, 0.75, 1.0])
    data = np.repeat(np.repeat(np.repeat(volume.data, 4, 0), 4, 1), 4, 2)[1::3, 1::3, 1::3]
    image = nib.Nifti1Image(data.astype(np.int16), fine, dtype=np.int16)
    image.set_sform(fine, code=code)
    image.set_qform(fine, code=code)
    return image.to_bytes()


def test_another_grid_in_mni_space_is_resampled_and_said(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(in_mni_space_with_smaller_voxels(make_volume(), code=4))
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert [scan.how for scan in account.imported] == ["resampled"]
    assert "in MNI space on another grid, resampled" in (cohort / "account.txt").read_text()
    assert read_volume(cohort / account.scans["path"][0]).data.shape == MNI_SHAPE


def test_a_second_run_reads_nothing_and_changes_no_byte(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, reads: Reads
) -> None:
    for _ in range(3):
        downloaded.subject(make_volume())
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    before = contents(cohort)
    reads.clear()
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert reads.names() == []
    assert contents(cohort) == before


def test_a_finished_import_grows_by_what_is_new(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, reads: Reads
) -> None:
    for _ in range(4):
        downloaded.subject(make_volume())
    import_subjects(downloaded.plan(first=2), cohort, OPTIONS, names)
    assert len(read_cohort(cohort).scans) == 2
    reads.clear()
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert len(read_cohort(cohort).scans) == 4
    assert len(reads.names()) == 2


def test_parts_given_one_after_the_other_add_up_to_the_cohort_of_all(
    downloaded: Downloaded, cohort: Path, tmp_path: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    for _ in range(4):
        downloaded.subject(make_volume())

    def without_files(part: slice) -> Plan:
        subjects = list(downloaded.subjects)
        for place in range(4)[part]:
            missing = tuple(replace(each, source=None) for each in subjects[place].candidates)
            subjects[place] = replace(subjects[place], candidates=missing)
        return Plan(tuple(subjects), (), {})

    assert len(import_subjects(without_files(slice(2, 4)), cohort, OPTIONS, names).exclusions) == 2
    account = import_subjects(without_files(slice(0, 2)), cohort, OPTIONS, names)
    import_subjects(downloaded.plan(), tmp_path / "at once", OPTIONS, names)
    assert account.exclusions == ()
    assert (cohort / "participants.tsv").read_bytes() == (tmp_path / "at once" / "participants.tsv").read_bytes()


def test_an_earlier_scan_that_turns_up_takes_the_place_of_the_later_one(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    subject = downloaded.subject(make_volume(), make_volume())
    later_alone = replace(subject, candidates=subject.candidates[1:])
    import_subjects(Plan((later_alone,), (), {}), cohort, OPTIONS, names)
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert list(account.scans["scan_id"]) == [subject.candidates[0].scan_id]
    assert [path.stem for path in (cohort / "volumes").iterdir()] == [subject.candidates[0].scan_id]


def test_a_changed_file_or_a_spoilt_volume_is_read_again_and_the_others_are_not(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, reads: Reads
) -> None:
    changed, spoilt, _ = (downloaded.subject(make_volume()) for _ in range(3))
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    reads.clear()
    source = changed.candidates[0].source
    assert source is not None
    write_volume(source.container, make_volume(putamen=0.5))  # as large as before
    os.utime(source.container, ns=(1, 1))
    volume = cohort / "volumes" / f"{spoilt.candidates[0].scan_id}.nii"
    volume.write_bytes(volume.read_bytes()[:-2] + b"\1\1")
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert len(reads.names()) == 2
    params = load_params(ROOT / "params.yaml").preprocess
    read = read_cohort(cohort)
    assert [screen_scan(read, row, params, mni_regions(params)).reason for row in range(3)] == [""] * 3


def test_other_options_read_everything_anew(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, reads: Reads
) -> None:
    downloaded.subject(make_volume())
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    import_subjects(downloaded.plan(), cohort, replace(OPTIONS, fix_orientation=True), names)
    assert len(reads.names()) == 2


def test_a_subject_who_was_imported_and_is_excluded_now_goes_with_the_volume(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    gone, stays = downloaded.subject(make_volume()), downloaded.subject(make_volume())
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    plan = Plan((stays,), (Exclusion(gone.subject_id, "two labels"),), {})
    import_subjects(plan, cohort, OPTIONS, names)
    assert [path.stem for path in (cohort / "volumes").iterdir()] == [stays.candidates[0].scan_id]
    assert not any(
        gone.subject_id.encode() in content for name, content in contents(cohort).items() if "tsv" not in name
    )


def test_a_subject_who_was_imported_and_is_not_listed_now_is_not_dropped_without_a_word(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    gone, stays = downloaded.subject(make_volume()), downloaded.subject(make_volume())
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    before = contents(cohort)
    with pytest.raises(ImportingError, match=gone.subject_id):
        import_subjects(Plan((stays,), (), {}), cohort, OPTIONS, names)
    assert contents(cohort) == before


def test_strict_stops_at_a_bad_scan_with_its_reason_and_keeps_what_is_finished(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, reads: Reads
) -> None:
    good, bad = downloaded.subject(make_volume()), downloaded.subject(b"spoilt")
    downloaded.subject(make_volume())
    strict = ImportOptions(strict=True, n_workers=1)
    with pytest.raises(ImportingError, match=rf"{bad.subject_id}.*F-.*--strict stops here, the 1 finished"):
        import_subjects(downloaded.plan(), cohort, strict, names)
    assert not (cohort / "participants.tsv").exists()
    reads.clear()
    import_subjects(downloaded.plan(), cohort, ImportOptions(n_workers=1), names)
    assert good.candidates[0].source is not None
    assert good.candidates[0].source.name not in reads.names()
    assert len(read_cohort(cohort).scans) == 2


def test_without_one_usable_scan_there_is_an_account_and_no_cohort(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms
) -> None:
    downloaded.subject(b"spoilt")
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert account.imported == ()
    assert "spoilt" not in (cohort / "account.txt").read_text()
    assert not (cohort / "participants.tsv").exists()
    assert not (cohort / "cohort.json").exists()


def test_a_fault_of_our_own_in_one_file_costs_that_file_and_quotes_nothing(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded.subject(make_volume())
    downloaded.subject(make_volume())
    original = scan.read_scan

    def fail_for_the_first(source: Source, **options: object) -> object:
        if "70001" in source.name:
            raise KeyError("DOE^JANE")
        return original(source, **options)

    monkeypatch.setattr(scan, "read_scan", fail_for_the_first)
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert len(account.imported) == 1
    assert "KeyError" in account.exclusions[0].reason
    assert "DOE" not in account.exclusions[0].reason


def test_a_full_disk_stops_the_import_and_what_is_finished_stays(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        downloaded.subject(make_volume())
    original, written = scan.write_volume, []

    def full_after_one(path: Path, volume: Volume) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        original(path, volume)

    monkeypatch.setattr(scan, "write_volume", full_after_one)
    with pytest.raises(ImportingError, match=r"No space left on device.*the same command goes on"):
        import_subjects(downloaded.plan(), cohort, ImportOptions(n_workers=1), names)
    monkeypatch.setattr(scan, "write_volume", original)
    assert len(import_subjects(downloaded.plan(), cohort, OPTIONS, names).imported) == 3


# The folder


def test_two_imports_into_one_folder_at_once_are_refused(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(make_volume())
    cohort.mkdir()
    with FileLock(cohort / LOCK_NAME), pytest.raises(ImportingError, match="another import is writing"):
        import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cohort.json": '{"kind": "phantom"}', "participants.tsv": ""}, "phantom cohort"),
        ({"cohort.json": '{"kind": "real"}', "participants.tsv": ""}, "no import has written"),
        ({"notes.txt": "mine"}, "no import has written"),
        ({"volumes/mine.nii": "mine"}, "no import has written"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, files: dict[str, str], said: str
) -> None:
    for name, text in files.items():
        (cohort / name).parent.mkdir(parents=True, exist_ok=True)
        (cohort / name).write_text(text)
    with pytest.raises(ImportingError, match=said):
        import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert {name: content.decode() for name, content in contents(cohort).items()} == files


def test_a_folder_within_another_cohort_is_refused(
    tiny_cohort: Path, downloaded: Downloaded, names: Pseudonyms
) -> None:
    with pytest.raises(ImportingError, match="within another cohort"):
        import_subjects(downloaded.plan(), tiny_cohort / "mine", OPTIONS, names)


def test_a_file_in_the_place_of_the_folder_is_refused(cohort: Path, downloaded: Downloaded, names: Pseudonyms) -> None:
    cohort.write_text("mine")
    with pytest.raises(ImportingError, match="is a file"):
        import_subjects(downloaded.plan(), cohort, OPTIONS, names)


def test_the_import_of_another_key_is_refused_and_left_as_it_is(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(make_volume())
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    before = contents(cohort)
    with pytest.raises(ImportingError, match="another pseudonym key"):
        import_subjects(downloaded.plan(), cohort, OPTIONS, Pseudonyms(bytes(32)))
    assert contents(cohort) == before


def test_what_a_killed_import_left_half_written_is_swept(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(make_volume())
    (cohort / "volumes").mkdir(parents=True)
    for name in ("volumes/.123-unfinished-S-ABC.nii", ".123-unfinished-.import.jsonl", ".gitignore"):
        (cohort / name).write_text("*\n")
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert not [name for name in contents(cohort) if "unfinished" in name]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_git_sees_nothing_of_an_imported_cohort(
    tmp_path: Path, downloaded: Downloaded, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(make_volume())
    (tmp_path / "repository" / "data").mkdir(parents=True)
    git(tmp_path / "repository", "init", "--quiet")
    import_subjects(downloaded.plan(), tmp_path / "repository" / "data" / "ppmi", OPTIONS, names)
    assert git(tmp_path / "repository", "status", "--porcelain", "--untracked-files=all") == ""


def test_a_folder_that_git_would_take_is_refused_before_a_scan_is_written(
    tmp_path: Path, downloaded: Downloaded, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    downloaded.subject(make_volume())
    folder = tmp_path / "repository" / "ppmi"
    folder.mkdir(parents=True)
    git(tmp_path / "repository", "init", "--quiet")
    (folder / ".gitignore").write_text("!participants.tsv\n")
    with pytest.raises(ImportingError, match=r"add the line ppmi/ to the \.gitignore"):
        import_subjects(downloaded.plan(), folder, OPTIONS, names)
    assert not any((folder / "volumes").iterdir())


# Killed in the middle


# A shell that starts the tests in the background makes them ignore Ctrl-C, and the child would inherit that.
_CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
sys.path.insert(0, {root!r})
from datspect.importing import scan
from tests.importing.test_subjects import *
names = Pseudonyms(KEY)
downloaded = Downloaded(Path({folder!r}), names)
rng = np.random.default_rng(3)
for _ in range(6):
    downloaded.subject(Volume(rng.integers(1, 900, MNI_SHAPE), mni_affine()))
original = scan.write_volume
def slow(path, volume):
    time.sleep({seconds})
    original(path, volume)
scan.write_volume = slow
import_subjects(downloaded.plan(), Path({cohort!r}), CALLED_MNI, names)
"""


def child_code(folder: Path, cohort: Path, seconds: float) -> str:
    return _CHILD.format(root=str(ROOT), folder=str(folder), cohort=str(cohort), seconds=seconds)


def fixed_times(folder: Path) -> None:
    for path in folder.rglob("*.nii"):
        os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_import_that_is_stopped_anywhere_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, names: Pseudonyms, how: signal.Signals, reads: Reads
) -> None:
    cohort, whole = tmp_path / "cohort", tmp_path / "whole"
    rng = np.random.default_rng(3)
    downloaded = Downloaded(tmp_path / "downloaded", names)
    for _ in range(6):
        downloaded.subject(Volume(rng.integers(1, 900, MNI_SHAPE), mni_affine()))
    child = subprocess.Popen(
        [sys.executable, "-c", child_code(tmp_path / "childs", cohort, 0.3)], stderr=subprocess.DEVNULL
    )
    journal = cohort / JOURNAL_NAME
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_text().count("\n") < 3:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(how)
    assert child.wait(60) != 0
    assert not (cohort / "participants.tsv").exists()
    n_finished = journal.read_text().count('"scan"')
    assert 2 <= n_finished < 6
    downloaded.folder.rename(tmp_path / "put away")
    (tmp_path / "childs").rename(downloaded.folder)
    reads.clear()
    import_subjects(downloaded.plan(), cohort, CALLED_MNI, names)
    assert len(reads.names()) <= 6 - n_finished
    import_subjects(downloaded.plan(), whole, CALLED_MNI, names)
    assert contents(cohort) == contents(whole)


# Nobody's name comes out


def test_no_byte_of_any_output_holds_an_id_a_path_or_a_header_text(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import nibabel as nib

    volume = make_volume()
    image = nib.Nifti1Image(volume.data.astype(np.int16), volume.affine)
    image.header["descrip"], image.header["intent_name"], image.header["db_name"] = b"DOE^JANE", b"WHISTLER", b"70001"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"born 19470316"))
    downloaded.subject(image.to_bytes())
    downloaded.subject(b"DOE^JANE 19470316")
    downloaded.subject(raw_projections(), None)
    with caplog.at_level(logging.INFO):
        import_subjects(downloaded.plan(), cohort, OPTIONS, names)
        import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    printed = capfd.readouterr()
    everything = {**contents(cohort), "log": caplog.text.encode(), "printed": (printed.out + printed.err).encode()}
    everything["names"] = "\n".join(contents(cohort)).encode()
    identifiers = [b"7000", b"QUILL", b"DOE", b"JANE", b"WHISTLER", b"19470316", str(downloaded.folder).encode()]
    found = [(name, text) for name, content in everything.items() for text in identifiers if text in content]
    # A digest is 64 hexadecimal digits that mean nothing; four of them may be those of an id.
    assert [each for each in found if each[1] != b"7000" or each[0] in ("log", "printed", "names", "account.txt")] == []


def test_the_account_of_the_same_import_is_the_same_text(
    downloaded: Downloaded, cohort: Path, tmp_path: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    for _ in range(3):
        downloaded.subject(make_volume())
    downloaded.subject(b"spoilt")
    for folder, n_workers in ((cohort, 1), (tmp_path / "again", 2)):
        import_subjects(downloaded.plan(), folder, ImportOptions(n_workers=n_workers), names)
    assert contents(cohort) == contents(tmp_path / "again")


def test_scans_listed_twice_are_refused(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    first = downloaded.subject(make_volume())
    downloaded.subjects.append(replace(first, subject_id="P-OTHER"))
    with pytest.raises(ImportingError, match=first.candidates[0].scan_id):
        import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert not cohort.exists()


def without_striata(brightest: float = 1.05) -> Volume:
    head = mean_phantom(OFFSET_VOXELS)
    return Volume(np.minimum(np.asarray(head.data), brightest), head.affine)


TURNED = pose((10, -7, 12), (45, -20, 35), (1.04, 0.98, 1.0))


def test_a_native_scan_is_registered_with_its_transform_and_measures_and_a_hopeless_one_drawn(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume, reads: Reads
) -> None:
    on_grid = downloaded.subject(make_volume())
    native = downloaded.subject(nifti_bytes(imaged(TURNED)))
    hopeless = downloaded.subject(nifti_bytes(imaged(TURNED, head=without_striata())))
    options = replace(OPTIONS, z_offset_voxels=OFFSET_VOXELS)
    account = import_subjects(downloaded.plan(), cohort, options, names)

    scan_id = native.candidates[0].scan_id
    assert {scan.scan_id: scan.how for scan in account.imported} == {
        scan_id: "registered",
        on_grid.candidates[0].scan_id: "as it is",
    }
    [transform] = (cohort / TRANSFORMS).iterdir()
    assert transform.name == f"{scan_id}.tfm"
    assert distances_mm(read_transform(transform), TURNED).max() < 2
    measures = read_table(cohort / REGISTRATION_NAME).set_index("scan_id")
    assert list(measures.index) == [scan_id]
    assert measures.loc[scan_id, "likeness"] > 0.97
    grids = read_table(cohort / GEOMETRY_NAME).to_dict("records")
    assert grids == [{"scan_id": scan_id, "matrix": "64 x 64 x 48", "spacing": "4.00 x 4.00 x 4.00 mm"}]
    [picture] = (cohort / REFUSED).iterdir()
    assert picture.name == f"{hopeless.candidates[0].scan_id}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    [out] = account.exclusions
    assert "no striata stand out where they should be" in out.reason
    text = (cohort / "account.txt").read_text()
    for line, n in (("on the MNI grid", 1), ("on another grid, resampled", 0), ("in another space, registered", 1)):
        [counted] = [each for each in text.splitlines() if line in each]
        assert (counted.split()[-1], len(counted)) == (str(n), 58), "numbers stand below each other"

    before = contents(cohort)
    reads.clear()
    import_subjects(downloaded.plan(), cohort, options, names)
    assert len(reads.names()) == 1, "who was refused is tried anew"
    assert contents(cohort) == before


def test_a_doubtful_scan_is_imported_with_a_picture_that_has_both_outlines(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms
) -> None:
    doubtful = downloaded.subject(nifti_bytes(imaged(TURNED, head=without_striata(1.45))))
    import_subjects(downloaded.plan(), cohort, replace(OPTIONS, z_offset_voxels=OFFSET_VOXELS), names)
    [margin] = read_table(cohort / REGISTRATION_NAME)["margin"]
    assert 0 < margin < SURE
    [picture] = (cohort / DOUBTFUL).iterdir()
    assert picture.name == f"{doubtful.candidates[0].scan_id}.png"
    colours = imread(picture)[..., :3]
    for outline in ("#56B4E9", "#E69F00"):  # of the template's head, and of its striata
        assert (np.abs(colours - to_rgb(outline)).max(axis=-1) < 0.1).sum() > 50
    assert list((cohort / REFUSED).iterdir()) == []


def test_transforms_and_pictures_that_belong_to_nobody_are_removed(
    downloaded: Downloaded, cohort: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    native, hopeless = nifti_bytes(imaged(TURNED)), nifti_bytes(imaged(TURNED, head=without_striata()))
    mended = downloaded.subject(hopeless)
    passed_over = downloaded.subject(hopeless, make_volume())
    put_right = downloaded.subject(native)
    import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    pictures = {f"{who.candidates[0].scan_id}.png" for who in (mended, passed_over)}
    assert {path.name for path in (cohort / REFUSED).iterdir()} == pictures
    assert len(list((cohort / TRANSFORMS).iterdir())) == 1

    for number, who in ((0, mended), (2, put_right)):
        [candidate] = who.candidates
        assert candidate.source is not None
        source = downloaded.source(candidate.source.name, make_volume())
        downloaded.subjects[number] = replace(who, candidates=(replace(candidate, source=source),))
    (cohort / TRANSFORMS / "S-NOBODY.tfm").write_text("stray")
    account = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert [scan.how for scan in account.imported] == ["as it is"] * 3
    assert [path.name for path in (cohort / REFUSED).iterdir()] == [f"{passed_over.candidates[0].scan_id}.png"]
    assert list((cohort / TRANSFORMS).iterdir()) == []


def test_heads_upside_down_are_left_in_mni_space_and_refused_outside_unless_they_may_be_turned(
    downloaded: Downloaded, cohort: Path, tmp_path: Path, names: Pseudonyms, make_volume: MakeVolume
) -> None:
    native = imaged(TURNED)
    in_mni = downloaded.subject(Volume(make_volume().data[:, :, ::-1].copy(), mni_affine()))
    elsewhere = downloaded.subject(nifti_bytes(Volume(native.data[:, :, ::-1].copy(), native.affine)))
    left = import_subjects(downloaded.plan(), cohort, OPTIONS, names)
    assert [(scan.scan_id, scan.best, scan.fixed) for scan in left.imported] == [
        (in_mni.candidates[0].scan_id, "z", "")
    ]
    assert "the head lies upside down" in left.exclusions[0].reason
    assert "LEFT AS THEY ARE" in (cohort / "account.txt").read_text()
    fixed = import_subjects(downloaded.plan(), tmp_path / "fixed", replace(OPTIONS, fix_orientation=True), names)
    found = {scan.scan_id: (scan.how, scan.fixed) for scan in fixed.imported}
    assert found == {
        in_mni.candidates[0].scan_id: ("as it is", "z"),
        elsewhere.candidates[0].scan_id: ("registered", "z"),
    }
    assert (tmp_path / "fixed" / "account.txt").read_text().count("corrected") == 1
