"""`datspect predict` on files as people have them: each gets an answer or a reason, in three forms."""

import csv
import gzip
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from matplotlib.figure import Figure
from tests.io.dicom_files import as_slices, dicom_bytes, frames_of
from tests.io.native_files import volume_file
from tests.prediction.made_up_predictor import write_predictor, write_striatal_predictor

from datspect.cohort.table import read_cohort
from datspect.commands import predict as command
from datspect.commands.exits import WrongUseError
from datspect.errors import DatspectError, ScanError
from datspect.evaluation.normal_range import fit_controls
from datspect.evaluation.withholding import Withholding
from datspect.prediction.files import read_parts, write_parts
from datspect.prediction.judging import RATIOS
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
        command.predict(list(scans), str(model), form, **{"figure": None, "page": None, "prevalence": None, **options})  # type: ignore[arg-type]
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


def test_ratios_are_held_against_controls_of_the_age_and_sex_that_are_given(
    model: Path, tiny_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(model, tmp_path / "model")
    rng = np.random.default_rng(3)
    ratios = pd.DataFrame(rng.lognormal(0.7, 0.2, (40, 4)), columns=list(RATIOS))
    people = pd.DataFrame({"age": rng.uniform(40, 80, 40), "sex": ["male", "female"] * 20})
    parts = read_parts(model)
    write_parts(tmp_path / "model", replace(parts, controls=fit_controls(ratios, people, RATIOS)))
    scan, volumes = tiny_cohort / "volumes" / "S00.nii", tiny_cohort / "volumes"
    rows = []
    for options in ({"age": 60.0, "sex": "male"}, {}, {"participants": tiny_cohort / "participants.tsv"}):
        run(scan, model=tmp_path / "model", form="json", **options)
        rows.append(json.loads(capsys.readouterr().out)[0])
    given, nobody, from_table = rows
    assert given["controls"] == "40 controls, for age 60 and male sex"
    assert nobody["controls"] == "all 40 controls: age and sex of this person unknown"
    assert from_table["controls"] == "40 controls, for age 56 and female sex"
    for row in rows:
        outside = not row["sbr_putamen_left_low"] <= row["sbr_putamen_left"] <= row["sbr_putamen_left_high"]
        assert (abs(row["sbr_putamen_left_z"]) > 1.96) == outside
    assert given["probability"] == nobody["probability"]
    run(volumes, model=tmp_path / "model", form="csv")
    assert len(next(csv.DictReader(io.StringIO(capsys.readouterr().out)))["sbr_caudate_left_z"]) > 2
    run(volumes, model=tmp_path / "model")
    assert "the 40 controls of training, by age and sex where both are given" in capsys.readouterr().out
    with pytest.raises(WrongUseError, match="of one person, and there are 6 scans"):
        run(volumes, model=tmp_path / "model", age=60.0)
    with pytest.raises(WrongUseError, match="--age: expected an age from 0 to 120 years"):
        run(scan, model=tmp_path / "model", age=200.0)


def test_two_scans_of_one_name_are_not_given_the_same_persons_age(
    model: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    for person in ("sub-01", "sub-02"):
        (tmp_path / person).mkdir()
        shutil.copy(tiny_cohort / "volumes" / "S00.nii", tmp_path / person / "spect.nii")
    table = tmp_path / "people.tsv"
    table.write_text("path\tage\tsex\nsub-01/spect.nii\t40\tmale\n", "utf-8")
    with pytest.raises(ScanError, match="name of several scans"):
        run(tmp_path / "sub-01", tmp_path / "sub-02", model=model, participants=table)


def test_a_model_without_ranges_of_controls_says_so(
    model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_cohort / "volumes" / "S00.nii", model=model)
    assert "No normal range is kept with this model" in capsys.readouterr().out


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

    def __init__(self, _predictor: object, _convention: object) -> None: ...

    def shown(self, _scan: object, _answer: object, title: str) -> str:
        if title.startswith("="):
            raise MemoryError
        return title

    def figure(self, title: str) -> Figure:
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
    monkeypatch.setattr("datspect.prediction.pictures.Explainer", _Drawing)
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
    for option in ("figure", "page"):
        with pytest.raises(DatspectError, match=f"--{option} .*cannot be written"):
            run(tiny_cohort / "volumes", model=tmp_path / "gone", **{option: tmp_path / "file"})


def test_what_must_not_be_opened_has_a_page_that_says_why(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.zip").write_bytes(b"no zip")
    (tmp_path / "in" / "gone.nii").symlink_to(tmp_path / "nowhere")
    assert run(tmp_path / "in", model=model, page=tmp_path / "pages", form="json") == 1
    errors = {each["scan"]: each["error"] for each in json.loads(capsys.readouterr().out)}
    pages = {path.stem: path.read_text("utf-8") for path in (tmp_path / "pages").iterdir()}
    assert set(errors) == {"bad.zip", "gone.nii"}
    assert {stem.partition(".")[0] for stem in pages} == {"bad", "gone"}
    assert all("No answer" in page for page in pages.values())
    assert "leads nowhere" in next(page for stem, page in pages.items() if stem.startswith("gone"))


@pytest.mark.slow
def test_a_figure_and_a_page_are_made_of_each_scan(model: Path, tiny_cohort: Path, tmp_path: Path) -> None:
    scan = tiny_cohort / "volumes" / "S00.nii"
    assert run(scan, model=model, figure=tmp_path / "figures", page=tmp_path / "pages") == 0
    assert (tmp_path / "figures" / "S00.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "pages" / "S00.html").read_text("utf-8")
    assert "PHANTOM model" in page
    assert page.count("<img ") == 1 + 6


def test_untypical_scans_are_called_unlike_the_training_cohort(
    model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_cohort / "volumes" / "S00.nii", model=model, form="json")
    (answer,) = json.loads(capsys.readouterr().out)
    assert "features" in answer["unlike"].split()  # the made-up cohort's features are of other numbers


def test_a_withheld_scan_has_a_reason_and_no_class_in_any_form(
    tiny_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_predictor(tmp_path, Withholding({"peak_slice": (None, 20.0)}, at_most=0.0095))
    scan = tiny_cohort / "volumes" / "S00.nii"
    reason = "upside down, out of its place or another organ"
    assert run(scan, model=tmp_path) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"S00\.nii +- +- +withheld +WITHHELD: {reason}", printed.splitlines()[1])
    assert "A scan far from those of training is withheld" in printed
    assert "at most 0.95 % of new scans of the cohort" in printed
    run(scan, model=tmp_path, form="json")
    (as_json,) = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert (as_json["state"], as_json["withheld"]) == ("withheld", reason)
    judged = ("prediction", "probability", "likelihood_ratio", "model_probability", "ratio_probability", "error_risk")
    assert [as_json[name] for name in judged] == [None] * 6
    assert set(as_json["unjudged"]) == set(judged)
    assert 0 <= as_json["unjudged"]["probability"] <= 1
    run(scan, model=tmp_path, form="csv")
    (as_csv,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (as_csv["state"], as_csv["withheld"]) == ("withheld", reason)
    assert [as_csv[name] for name in judged] == [""] * 6
    assert "unjudged" not in as_csv


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
    monkeypatch.setattr("datspect.prediction.answering.outcomes", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(WrongUseError, match="prevalence 10: expected a share of PD between 0 and 1"):
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
    # Of the processor, since a clock would measure what else the machine does: 1.5 s, and 6 s on a slow busy one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


@pytest.mark.slow
def test_a_figure_is_drawn_by_slabs_too(striatal_model: Path, tiny_cohort: Path, tmp_path: Path) -> None:
    scan = tiny_cohort / "volumes" / "S01.nii"
    assert run(scan, model=striatal_model, figure=tmp_path / "figures", page=tmp_path / "pages") == 0
    assert (tmp_path / "figures" / "S01.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "pages" / "S01.html").read_text("utf-8").count("<img ") == 1 + 12


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
