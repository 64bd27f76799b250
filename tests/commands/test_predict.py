"""`datspect predict` on files as people have them: each gets an answer or a reason, in three forms."""

import csv
import gzip
import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from matplotlib.figure import Figure
from tests.io.dicom_files import as_slices, dicom_bytes, frames_of
from tests.io.native_files import volume_file
from tests.prediction.made_up_predictor import write_predictor, write_striatal_predictor

from datspect.cohort.table import read_cohort
from datspect.commands import predict as command
from datspect.errors import DatspectError, PrevalenceError, ScanError
from datspect.text import in_figure


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predictor")
    write_predictor(folder)
    return folder


@pytest.fixture(scope="module")
def striatal_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("striatal")
    write_striatal_predictor(folder)
    return folder


def run(*scans: Path, model: Path, form: command.Format = "table", **options: object) -> int:
    try:
        command.predict(list(scans), str(model), form, **{"figure": None, "prevalence": None, **options})  # type: ignore[arg-type]
    except typer.Exit as end:
        return int(end.exit_code)
    return 0


def test_a_folder_is_answered_scan_by_scan_and_bad_files_have_their_reason(
    model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes = tiny_cohort / "volumes"
    (volumes / "notes.txt").write_text("no scan")
    (volumes / "spoilt.nii").write_bytes(b"spoilt")
    assert run(volumes, model=model) == 1
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[1:8]] == [*(f"S{k:02d}.nii" for k in range(6)), "spoilt.nii"]
    assert "ERROR: neither a DICOM nor a NIfTI file" in lines[7]
    assert "notes.txt" not in printed
    assert "PHANTOM" in printed
    assert "no diagnosis" in printed


def test_csv_and_json_hold_the_same_answers(model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tiny_cohort / "volumes", model=model, form="json") == 0
    as_json = json.loads(capsys.readouterr().out)
    assert run(tiny_cohort / "volumes", model=model, form="csv") == 0
    as_csv = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(as_json) == len(as_csv) == len(read_cohort(tiny_cohort).scans)
    for one, other in zip(as_json, as_csv, strict=True):
        assert one["scan"] == other["scan"]
        assert one["probability"] == pytest.approx(float(other["probability"]))
        assert 0 <= one["probability"] <= 1
        assert (one["prediction"] == "pd") == (one["probability"] >= 0.5)


def test_dicom_and_nifti_of_one_scan_get_one_answer(
    model: Path, tmp_path: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import nibabel as nib

    nifti = tiny_cohort / "volumes" / "S00.nii"
    voxels = np.asarray(nib.Nifti1Image.from_filename(nifti).dataobj)
    (tmp_path / "scan").write_bytes(dicom_bytes(np.ascontiguousarray(voxels[:, ::-1, :].transpose(2, 1, 0))))
    assert run(nifti, tmp_path / "scan", model=model, form="json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["probability"] == pytest.approx(second["probability"], abs=1e-6)


def test_one_scan_in_every_number_of_files_gets_one_answer(
    model: Path, tmp_path: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import nibabel as nib

    image = nib.Nifti1Image.from_filename(tiny_cohort / "volumes" / "S00.nii")
    voxels = np.asarray(image.dataobj)
    (tmp_path / "a").mkdir()
    for number, content in enumerate(as_slices(frames_of(voxels))):
        (tmp_path / "a" / f"IM{number:03d}").write_bytes(content)
    nib.save(nib.Nifti1Pair(voxels, image.affine, image.header), tmp_path / "b.img")
    dim = voxels.astype(np.float32)
    dim[:, :, 85:] = np.nan
    nib.save(nib.Nifti1Image(np.stack([dim, dim], -1), image.affine), tmp_path / "c.nii")
    assert run(tiny_cohort / "volumes" / "S00.nii", tmp_path / "a", tmp_path / "b.hdr", tmp_path / "b.img",
               tmp_path / "c.nii", model=model, form="json", frames="mean") == 0  # fmt: skip
    rows = {row["scan"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == ["IM000", "S00.nii", "b.hdr", "c.nii"]
    for name in ("IM000", "b.hdr"):
        assert rows[name]["probability"] == pytest.approx(rows["S00.nii"]["probability"], abs=1e-6)
        assert rows[name]["notes"] == ""
    assert (
        rows["c.nii"]["notes"]
        == f"{91 * 109 * 6} voxels outside the head were NaN and count as 0; the mean of 2 frames"
    )


def test_what_shows_no_head_and_several_frames_are_refused_with_what_to_do(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import nibabel as nib

    noise = np.random.default_rng(1).integers(0, 99, (30, 40, 20)).astype(np.int16)
    (tmp_path / "native.dcm").write_bytes(volume_file(noise)[0][1])
    nib.save(nib.Nifti1Image(np.stack([noise, noise], -1), np.diag([2.0, 2, 2, 1])), tmp_path / "two.nii")
    assert run(tmp_path / "native.dcm", tmp_path / "two.nii", model=model) == 1
    printed = capsys.readouterr().out
    assert "ERROR: the field of view has 48 x 112 x 93 mm; one of a head has" in printed
    assert "ERROR: expected a 3-D volume, got 2 of them; if all are of one scan, --frames mean takes" in printed


def test_more_scans_than_a_batch_keep_their_order(
    model: Path, tiny_cohort: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_cohort / "volumes", model=model, form="json")
    at_once = json.loads(capsys.readouterr().out)
    monkeypatch.setattr("datspect.prediction.networks.BATCH_SIZE", 2)
    run(tiny_cohort / "volumes", model=model, form="json")
    in_batches = json.loads(capsys.readouterr().out)
    assert [row["scan"] for row in in_batches] == [row["scan"] for row in at_once]
    assert [row["probability"] for row in in_batches] == pytest.approx(
        [row["probability"] for row in at_once], abs=1e-5
    )


def test_nothing_to_predict_and_no_model_are_said(model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no scan")
    with pytest.raises(ScanError, match="no file that could be a scan"):
        run(tmp_path, model=model)
    (tmp_path / "a.nii").write_bytes(b"x")
    with pytest.raises(DatspectError, match="no such folder"):
        run(tmp_path, model=tmp_path / "gone")


HOSTILE = ["x.nii.gz", "x$\\frac{$.nii", "a\nS99.nii  control  0.0001.nii", "\x1b[2Jb.nii", "=1+1.nii"]


class _Drawing:
    """Stands for the explainer: writes the title, and cannot draw one scan."""

    def __init__(self, _predictor: object) -> None:
        self.titles: list[str] = []

    def figure(self, _scan: object, _answer: object, title: str) -> Figure:
        if title.startswith("="):
            raise MemoryError
        figure = Figure()
        figure.text(0.5, 0.5, in_figure(title))
        return figure


@pytest.fixture
def hostile(tiny_cohort: Path) -> Path:
    """Scans whose names share a file name, forge a row, clear a screen, are a formula."""
    volumes = tiny_cohort / "volumes"
    (volumes / "a").mkdir()
    content = (volumes / "S00.nii").read_bytes()
    for name in ("x.nii", "a/b.nii", "a_b.nii"):
        (volumes / name).write_bytes(content)
    for name in HOSTILE:
        (volumes / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    for name in ("S01.nii", "S02.nii", "S03.nii", "S04.nii", "S05.nii"):
        (volumes / name).unlink()
    return volumes


def test_every_picture_has_a_file_of_its_own_and_no_name_or_picture_costs_an_answer(
    model: Path,
    hostile: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("datspect.prediction.explaining.Explainer", _Drawing)
    assert run(hostile, model=model, figure=tmp_path / "figures", form="csv") == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 9
    assert all(row["probability"] and not row["error"] for row in rows)
    assert all(row["scan"].isprintable() and not row["scan"].startswith("=") for row in rows)
    assert len(list((tmp_path / "figures").glob("*.png"))) == 8
    warnings = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert [each for each in warnings if "tf.function" not in each] == ["no picture of =1+1.nii: MemoryError"]


def test_a_folder_that_cannot_be_written_stops_before_the_model_is_read(tiny_cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatspectError, match="cannot be written"):
        run(tiny_cohort / "volumes", model=tmp_path / "gone", figure=tmp_path / "file")


@pytest.mark.slow
def test_a_figure_is_drawn_for_each_scan(model: Path, tiny_cohort: Path, tmp_path: Path) -> None:
    scan = tiny_cohort / "volumes" / "S00.nii"
    assert run(scan, model=model, figure=tmp_path / "figures") == 0
    assert (tmp_path / "figures" / "S00.png").read_bytes().startswith(b"\x89PNG")


def test_untypical_scans_are_called_unlike_the_training_cohort(
    model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_cohort / "volumes" / "S00.nii", model=model, form="json")
    (answer,) = json.loads(capsys.readouterr().out)
    assert "features" in answer["unlike"].split()  # the made-up cohort's features are of other numbers


def test_an_answer_says_for_which_prevalence_it_is(
    model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = tiny_cohort / "volumes" / "S00.nii"
    answers = []
    for prevalence in (None, 0.1):
        run(scan, model=model, form="json", prevalence=prevalence)
        answers += json.loads(capsys.readouterr().out)
    assert [answer["prevalence"] for answer in answers] == [0.5, 0.1]  # the made-up cohort has as many of both
    assert answers[0]["likelihood_ratio"] == answers[1]["likelihood_ratio"]
    for answer, odds in zip(answers, (1, 1 / 9), strict=True):
        stated = answer["probability"] / (1 - answer["probability"])
        assert stated == pytest.approx(answer["likelihood_ratio"] * odds, rel=1e-3)
    for prevalence, head, note in (
        (None, "P(PD) at 50 % PD", "P(PD) and class are for 50 % PD, as in training."),
        (0.1, "P(PD) at 10 % PD", "were shifted to 10 % PD; the shares above are those at the training's 50 %."),
    ):
        run(scan, model=model, prevalence=prevalence)
        printed = capsys.readouterr().out
        assert head in printed.splitlines()[0]
        assert note in printed


def test_an_impossible_prevalence_stops_before_anything_is_read(
    model: Path, tiny_cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "predicted", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(PrevalenceError, match="prevalence 10: expected a share of PD between 0 and 1"):
        run(tiny_cohort / "volumes", model=model, prevalence=10.0)


def test_a_model_of_the_striatum_answers_alone_as_among_others_and_says_how_its_members_differ(
    striatal_model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes = tiny_cohort / "volumes"
    assert run(volumes, model=striatal_model, form="json") == 0
    together = json.loads(capsys.readouterr().out)
    assert run(volumes / "S03.nii", model=striatal_model, form="json") == 0
    (alone,) = json.loads(capsys.readouterr().out)
    assert alone["model_probability"] == pytest.approx(together[3]["model_probability"], abs=1e-5)
    limit = json.loads((striatal_model / "predictor.json").read_text("utf-8"))["spread_limit"]
    for answer in together:
        assert ("spread" in answer["unlike"].split()) == (answer["spread"] > limit)


@pytest.mark.slow
def test_an_answer_by_slabs_starts_cold_in_seconds_without_keras(striatal_model: Path, tiny_cohort: Path) -> None:
    code = (
        "import sys, datspect.__main__ as program\n"
        f"sys.argv = ['datspect', 'predict', {str(tiny_cohort / 'volumes/S00.nii')!r}, '--model', "
        f"{str(striatal_model)!r}, '--format', 'json']\n"
        "try:\n    program.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'mlflow', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (answer,) = json.loads(ended.stdout)
    assert 0 <= answer["probability"] <= 1
    assert ended.stderr.splitlines()[-1] == "[]"
    # Of the processor, since a clock would measure what else the machine does; it is 1.5 s where 2.5 s is promised.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4


@pytest.mark.slow
def test_a_figure_is_drawn_by_slabs_too(striatal_model: Path, tiny_cohort: Path, tmp_path: Path) -> None:
    assert run(tiny_cohort / "volumes" / "S01.nii", model=striatal_model, figure=tmp_path / "figures") == 0
    assert (tmp_path / "figures" / "S01.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_name_that_the_terminal_cannot_show_loses_no_answer(model: Path, tiny_cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "Zoë-雪.nii").write_bytes((tiny_cohort / "volumes" / "S00.nii").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "datspect", "predict", str(tmp_path / "Zoë-雪.nii"), "--model", str(model)],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Zo\\xeb-\\u96ea.nii" in done.stdout
