"""The import commands on made-up downloads: the right people, nobody's name, a word on what comes next."""

import gzip
import os
import pty
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import typer
import typer.testing
from tests.importing.made_up_images import (
    FIRST_IMAGE,
    FIRST_SUBJECT,
    forbidden,
    image_bytes,
    nifti_bytes,
    voxels,
)
from tests.importing.ppmi_download import Download, MadeUpImage, full_download
from tests.io.dicom_files import as_slices, dicom_bytes, frames_of

from datspect.cohort.table import read_cohort
from datspect.commands import import_
from datspect.errors import DatspectError, ImportingError
from datspect.importing import subjects
from datspect.importing.pseudonyms import KEY_VARIABLE, Pseudonyms, read_or_create_key

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "mlflow", "pandas", "sklearn", "nilearn", "pydicom", "nibabel", "numpy")


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Download:
    made_up = full_download(1, FIRST_SUBJECT, FIRST_IMAGE)
    made_up.write(tmp_path_factory.mktemp("secret-place"), image_bytes)
    return made_up


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "config" / "key"))
    return tmp_path / "config" / "key"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without params.yaml, with a key of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "config" / "key"))


def ppmi_command(download: Download, *more: str) -> list[str]:
    tables = [part for path in download.tables for part in ("--csv", str(path))]
    return [sys.executable, "-m", "datspect", "import", "ppmi", *map(str, download.roots), *tables, *more]


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_what_is_imported_is_for_its_owner_alone(download: Download, tmp_path: Path, umask: int) -> None:
    target = tmp_path / "cohort"
    (target / "volumes").mkdir(parents=True, mode=0o755)
    subprocess.run(ppmi_command(download, "--to", str(target)), check=True, capture_output=True, umask=umask)
    written = [target, *target.rglob("*")]
    assert len(written) > 5
    assert {oct(path.stat().st_mode & 0o077) for path in written} == {"0o0"}


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_whole_download_gives_the_right_scans_and_no_byte_of_any_output_names_anybody(
    download: Download, key: Path, tmp_path: Path
) -> None:
    done = subprocess.run(ppmi_command(download, "--to", "cohort"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = read_or_create_key(key)
    imported = read_cohort(tmp_path / "cohort").scans.set_index("subject_id")
    people = [who for who in download.subjects.values() if who.imported and who.label in ("control", "pd")]
    assert dict(imported["scan_id"]) == {names.subject(who.subject): names.scan(who.imported) for who in people}
    assert dict(imported["label"]) == {names.subject(who.subject): who.label for who in people}
    assert dict(imported["sex"]) == {names.subject(who.subject): who.sex for who in people}
    ages = {names.subject(who.subject): who.age for who in people}
    assert {who: None if pd.isna(age) else age for who, age in imported["age"].items()} == ages
    outputs = {**all_bytes(tmp_path / "cohort"), "stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    outputs["names of files"] = "\n".join(outputs).encode()
    found = {
        (name, text) for name, content in outputs.items() for text in forbidden(download) if text.encode() in content
    }
    assert found == set()


def test_it_ends_with_the_account_and_what_comes_next_and_a_second_time_reads_nothing(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_.ppmi(downloads=download.roots, csv=download.tables, to=Path("data/ppmi"), groups="SWEDD")
    printed = capsys.readouterr().out
    assert re.search(r"^swedd +1 ", printed, re.MULTILINE)
    assert "cohort:\n  path: data/ppmi\n\ndvc repro\n" in printed
    assert "dvc exp run --temp --copy-paths data/ppmi\n" in printed
    assert (tmp_path / "data" / "ppmi" / "account.txt").read_text() in printed

    def refuse(*arguments: object) -> None:
        raise AssertionError("nothing is left to be imported")

    monkeypatch.setattr(subjects, "import_subject", refuse)
    import_.ppmi(downloads=download.roots, csv=download.tables, to=Path("data/ppmi"), groups="SWEDD")
    assert capsys.readouterr().out == printed


@pytest.mark.slow
def test_original_names_are_shown_on_a_terminal_alone_and_written_nowhere(download: Download, tmp_path: Path) -> None:
    command = ppmi_command(download, "--to", "cohort", "--groups", "SWEDD", "--names")
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "needs a terminal" in refused.stderr
    terminal, child_side = pty.openpty()
    child = subprocess.Popen(command, stdout=child_side, stderr=subprocess.PIPE)
    os.close(child_side)
    shown = read_terminal(terminal)
    assert child.communicate()[1].count(b"Traceback") == 0
    assert child.returncode == 0
    stranger = next(path for path in download.unmatched if "/8/" in path or path.startswith("PPMI/"))
    assert Path(stranger).name.encode() in shown
    found = [text for text in forbidden(download) if any(text.encode() in c for c in all_bytes(tmp_path).values())]
    assert found == []


def read_terminal(terminal: int) -> bytes:
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            return shown
        if not piece:
            return shown
        shown += piece


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small BIDS folder: two usable subjects and one spoilt."""
    for number in (1, 2, 3):
        image = MadeUpImage(f"{number:02d}", str(number), pd.Timestamp("2012-08-14").date(), "pd", form="nii")
        path = tmp_path / "bids" / f"sub-{number:02d}" / "spect" / f"sub-{number:02d}_dat.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(image_bytes(image) if number < 3 else b"spoilt")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tsex\tgroup\nsub-01\t61\tF\tPD\nsub-02\t70\tM\tcontrol\nsub-03\t50\tM\tPD\n"
    )
    return tmp_path / "bids"


def nifti(folder: Path, to: str = "cohort", **options: object) -> None:
    arguments: dict[str, object] = {"participants": folder.parent / "participants.tsv", "to": Path(to)}
    import_.nifti(downloads=[folder], **{**arguments, **options})  # type: ignore[arg-type]


def test_a_download_of_one_file_a_slice_is_imported_like_one_of_whole_volumes(tmp_path: Path) -> None:
    image = MadeUpImage("3000", "323662", pd.Timestamp("2012-08-14").date(), "pd")
    (tmp_path / "scans.csv").write_text(
        "Image Data ID,Subject,Group,Sex,Age,Visit,Modality,Description,Type,Acq Date\n"
        "I323662,3000,PD,F,61,SC,SPECT,Reconstructed DaTSCAN,Processed,8/14/2012\n"
    )
    for form in ("volume", "slices"):
        series = tmp_path / form / "3000" / "Reconstructed_DaTSCAN" / "2012-08-14_09_41_27.0" / "I323662"
        series.mkdir(parents=True)
        frames = frames_of(voxels(image).astype(np.int16))
        files = as_slices(frames) if form == "slices" else [dicom_bytes(frames)]
        for number, content in enumerate(files):
            (series / f"PPMI_3000_NM_Br_{number:03d}_S1_I323662.dcm").write_bytes(content)
        import_.ppmi(downloads=[tmp_path / form], csv=[tmp_path / "scans.csv"], to=tmp_path / f"of-{form}")
    assert all_bytes(tmp_path / "of-slices" / "volumes") == all_bytes(tmp_path / "of-volume" / "volumes")
    (tmp_path / "slices" / series.relative_to(tmp_path / "slices") / "PPMI_3000_NM_Br_040_S1_I323662.dcm").unlink()
    with pytest.raises(ImportingError, match="no scan was imported"):
        import_.ppmi(downloads=[tmp_path / "slices"], csv=[tmp_path / "scans.csv"], to=tmp_path / "gap")
    assert "slices are missing" in (tmp_path / "gap" / "excluded.tsv").read_text()


def test_several_frames_are_imported_as_their_mean_only_if_asked(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = next(folder.rglob("sub-01_dat.nii"))
    image = nib.Nifti1Image.from_bytes(path.read_bytes())
    voxels = np.asarray(image.dataobj)
    path.write_bytes(nib.Nifti1Image(np.stack([voxels, voxels], -1), image.affine, image.header).to_bytes())
    nifti(folder, "refused")
    assert "--frames mean takes their mean" in (tmp_path / "refused" / "excluded.tsv").read_text()
    with caplog.at_level("INFO", "datspect.importing"):
        nifti(folder, "taken", frames="mean")
    assert len(read_cohort(tmp_path / "taken").scans) == 2


def test_a_nifti_folder_becomes_a_cohort_and_the_spoilt_file_is_named_by_pseudonym(
    folder: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nifti(folder)
    names = read_or_create_key(key)
    scans = read_cohort(tmp_path / "cohort").scans.set_index("subject_id")
    assert dict(scans["label"]) == {names.subject("01"): "pd", names.subject("02"): "control"}
    excluded = (tmp_path / "cohort" / "excluded.tsv").read_text()
    assert names.subject("03") in excluded
    assert names.file("sub-03/spect/sub-03_dat.nii") in excluded
    assert "sub-0" not in capsys.readouterr().out


def test_a_zip_of_a_folder_gives_the_same_cohort(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(folder.rglob("*.nii")):
            archive.write(path, path.relative_to(folder))
    nifti(folder, "from folder")
    import_.nifti(downloads=[tmp_path / "all.zip"], participants=tmp_path / "participants.tsv", to=Path("from zip"))
    same = ("participants.tsv", "excluded.tsv", "orientation.tsv")
    assert all((tmp_path / "from folder" / n).read_bytes() == (tmp_path / "from zip" / n).read_bytes() for n in same)


def test_the_offset_is_compared_with_what_the_graph_is_set_to(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, params = (ROOT / "params.yaml").read_text(), tmp_path / "params.yaml"
    for offset, said in (("3.0", False), ("0.0", True)):
        params.write_text(re.sub(r"z_offset_voxels: \d\.0( +# how)", rf"z_offset_voxels: {offset}\1", text))
        nifti(folder, f"to {offset}", params=params)
        output = capsys.readouterr().out
        assert ("set preprocess.z_offset_voxels" in output) is said
    assert re.search(r"set preprocess.z_offset_voxels: [23]\.\d in params.yaml \(it is 0\.0\)", output)


def test_scans_upside_down_are_reported_and_flipped_only_when_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "sub-01" / "spect" / "sub-01_dat.nii"
    upright = voxels(MadeUpImage("01", "1", pd.Timestamp("2012-08-14").date(), "pd"))
    path.write_bytes(nifti_bytes(upright[:, :, ::-1].copy(), "01"))
    nifti(folder, "as it is")
    assert "z flipped: LEFT AS THEY ARE" in capsys.readouterr().out
    nifti(folder, "corrected", fix_orientation=True)
    assert "z flipped: corrected" in capsys.readouterr().out
    for name, expected in (("as it is", upright[::-1, :, ::-1]), ("corrected", upright[::-1])):
        scans = read_cohort(tmp_path / name).scans.set_index("label")
        written = nib.Nifti1Image.from_filename(tmp_path / name / scans.loc["pd", "path"])
        assert np.array_equal(np.asanyarray(written.dataobj), expected)


def test_strict_ends_with_the_reason_and_without_a_cohort(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportingError, match="--strict stops here"):
        nifti(folder, strict=True)
    assert not (tmp_path / "cohort" / "participants.tsv").exists()


def test_strict_refuses_a_spoilt_zip_before_anything_is_imported(folder: Path, tmp_path: Path) -> None:
    (folder / "sub-77_more.zip").write_bytes(b"PK no zip")
    nifti(folder, "without")  # left out, and the rest imported
    with pytest.raises(ImportingError, match=r"^F-\S+: a zip that cannot be read .*--strict stops here") as raised:
        nifti(folder, "cohort", strict=True)
    assert "sub-77" not in str(raised.value)
    assert not (tmp_path / "cohort").exists()


def test_an_import_of_nothing_ends_with_an_error_after_the_account(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImportingError, match="no scan was imported"):
        nifti(folder, pattern="*sub-03*")
    assert "Account of the import" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["bids/cohort", "bids", "."])
def test_a_cohort_folder_within_the_download_or_around_it_is_refused(folder: Path, to: str) -> None:
    with pytest.raises(ImportingError, match="must not lie within each other"):
        nifti(folder, to)


def test_a_broken_key_stops_before_a_file_is_read(folder: Path, key: Path, tmp_path: Path) -> None:
    key.parent.mkdir()
    key.touch(0o600)
    with pytest.raises(ImportingError, match="expected a pseudonym key"):
        nifti(folder)
    assert not (tmp_path / "cohort").exists()


def test_ctrl_c_says_that_the_finished_scans_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subjects, "import_subjects", interrupt)
    with pytest.raises(typer.Exit) as ended:
        nifti(folder)
    assert ended.value.exit_code == 130
    assert "the same command goes on" in caplog.text


@pytest.mark.parametrize("which", ["ppmi", "nifti"])
def test_help_answers_without_anything_heavy(which: str) -> None:
    code = (
        f"import sys; sys.argv = ['datspect', 'import', {which!r}, '--help']\n"
        "from datspect.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "PYTHONPATH": str(ROOT / "src")
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "--fix-orientation" in done.stdout
    assert done.stdout.rstrip().endswith("heavy: []")


def test_nobody_who_has_the_key_file_alone_learns_a_name(key: Path) -> None:
    assert read_or_create_key(key).revealed(Pseudonyms(bytes(32)).subject("3000")) == []


def test_a_folder_elsewhere_is_named_so_that_every_experiment_finds_it(tmp_path: Path) -> None:
    steps = import_._next_steps(tmp_path / "ppmi")
    assert steps == f"cohort:\n  path: {(tmp_path / 'ppmi').as_posix()}\n\ndvc repro"
    assert f"path: {Path.cwd().parent.as_posix()}/ppmi\n" in import_._next_steps(Path("../ppmi"))
    assert "--copy-paths 'data/my scans'\n" in import_._next_steps(Path("data/my scans"))


@pytest.mark.parametrize("to", ["file", "file/cohort", "foreign", "dangling"])
def test_a_cohort_folder_that_cannot_be_filled_stops_before_a_table_or_download_is_read(
    folder: Path, tmp_path: Path, to: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(DatspectError, match=r"--to|choose"):
        nifti(folder, to, participants=tmp_path / "no table")
    with pytest.raises(DatspectError, match=r"--to|choose"):
        import_.ppmi(downloads=[folder], csv=[tmp_path / "no table"], to=Path(to))
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_that_is_full_in_the_end_keeps_the_scans_and_the_same_command_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(subjects, "write_account", refuse)
        with pytest.raises(ImportingError, match=r"No space left on device.*2 finished scans are kept"):
            nifti(folder)
    monkeypatch.setattr(subjects, "_imported", lambda todo, *_: (each for each in todo if each is None))
    assert not (tmp_path / "cohort" / "participants.tsv").exists()
    nifti(folder)
    assert len(read_cohort(tmp_path / "cohort").scans) == 2


def challenge(tmp_path: Path, *, by_links: bool) -> Path:
    """Write a look-alike of the challenge's layout, made of phantoms: a folder of uid.nii.gz and two columns."""
    root, store = tmp_path / "challenge", tmp_path / "store"
    (root / "train").mkdir(parents=True)
    store.mkdir()
    rows = ["uid,is_pathologic"]
    for number, uid in enumerate(("a41f", "0b77", "0012", "1.2.840.1.9.8.7.6.5.4.3")):
        image = MadeUpImage(uid, str(number + 1), pd.Timestamp("2012-08-14").date(), "pd", form="nii.gz")
        content = gzip.compress(nifti_bytes(voxels(image), uid), 1)
        place = store / f"MD5-{number}" if by_links else root / "train" / f"{uid}.nii.gz"
        place.write_bytes(content)
        if by_links:
            (root / "train" / f"{uid}.nii.gz").symlink_to(place)
        rows.append(f"{uid.lstrip('0') if uid == '0012' else uid},{number % 2}.0")
    (root / "train_labels.csv").write_text("\n".join(rows) + "\n")
    return root


TWO_LINES = (
    "datspect import nifti train --participants train_labels.csv --to ../cohort \\\n"
    "  --subject-column uid --label-column is_pathologic --labels 1=pd,0=control"
)


@pytest.mark.parametrize("by_links", [False, True])
def test_the_two_line_command_of_the_docs_imports_the_challenges_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: Path, by_links: bool
) -> None:
    assert TWO_LINES.replace("../cohort", "data/challenge") in (ROOT / "docs" / "ppmi.md").read_text()
    monkeypatch.chdir(challenge(tmp_path, by_links=by_links))
    words = TWO_LINES.replace("\\\n", " ").split()[2:]
    app = typer.testing.CliRunner()
    if by_links:
        refused = app.invoke(import_.app, words)
        assert "4 not opened, since a link that leads out of what was named" in str(refused.exception)
        assert "--follow-links" in str(refused.exception)
        words.append("--follow-links")
    done = app.invoke(import_.app, words)
    assert done.exit_code == 0, done.output
    scans = read_cohort(tmp_path / "cohort").scans.set_index("subject_id")
    names = read_or_create_key(key)
    assert dict(scans["label"]) == {
        names.subject("a41f"): "control",
        names.subject("0b77"): "pd",
        names.subject("0012"): "control",
        names.subject("1.2.840.1.9.8.7.6.5.4.3"): "pd",
    }
    assert "rows whose id had lost its zeros                         1" in done.output


def test_strict_refuses_a_bad_row_of_a_table_before_a_download_is_read(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = download.tables[0]
    lines = table.read_text("utf-8-sig").splitlines()
    spoilt = [
        re.sub(r'"\d+/\d+/(\d{4})"', r'"2/\1"', line, count=1) if n == 2 else line for n, line in enumerate(lines)
    ]
    (tmp_path / "bad.csv").write_text("\n".join(spoilt) + "\n")
    with pytest.raises(ImportingError, match=r"^CSV 1 row 3: its row has a date without a day.*--strict stops here"):
        import_.ppmi(downloads=[tmp_path / "gone"], csv=[tmp_path / "bad.csv"], to=Path("cohort"), strict=True)
    assert not (tmp_path / "cohort").exists()
