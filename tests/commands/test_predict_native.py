"""`datspect predict` on scans as cameras make them: the answer of the same head in MNI space, or why there is none."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from tests.commands.test_predict import run
from tests.normalisation.moved_heads import OFFSET_VOXELS, imaged, native_scan, nifti_bytes, pose
from tests.prediction.made_up_predictor import write_striatal_predictor

from datspect.imaging.volume import Volume
from datspect.io.native_files import Identity, write_dicom, write_dicom_slices
from datspect.phantom.template import mean_phantom

TURNED = pose((10, -7, 12), (45, -20, 35), (1.04, 0.98, 1.0))
IDENTITY = Identity("P12345678", is_man=True, age=66.4, site="site03", study="7")
RATIOS = ("sbr_caudate_left", "sbr_caudate_right", "sbr_putamen_left", "sbr_putamen_right")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("striatal")
    write_striatal_predictor(folder)
    return folder


def answered(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    return {row["scan"]: row for row in json.loads(capsys.readouterr().out)}


def test_a_native_scan_is_answered_in_every_form_and_said_to_be_registered(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = imaged(TURNED)
    (tmp_path / "a.nii").write_bytes(nifti_bytes(scan))
    (tmp_path / "b.nii").write_bytes(nifti_bytes(scan, code=4))  # the header lies
    write_dicom(tmp_path / "c.dcm", Volume(scan.data.astype(np.uint16), scan.affine), IDENTITY)
    write_dicom_slices(tmp_path / "series", Volume(scan.data.astype(np.uint16), scan.affine), IDENTITY)
    assert run(tmp_path, model=model, form="json") == 0
    rows = list(answered(capsys).values())
    assert len(rows) == 4
    assert {row["placed"] for row in rows} == {"registered"}
    for row in rows[1:]:
        assert row["probability"] == pytest.approx(rows[0]["probability"], abs=0.01)  # affines of DICOM are rounded
        for name in RATIOS:
            assert row[name] == pytest.approx(rows[0][name], abs=0.03)
    assert run(tmp_path / "a.nii", model=model) == 0
    assert "registered to MNI space" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [(2,), pytest.param((1,), marks=pytest.mark.slow)])
def test_a_head_the_wrong_way_gets_no_class_until_it_may_be_turned(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[int, ...]
) -> None:
    native, on_grid = imaged(TURNED), mean_phantom(OFFSET_VOXELS)
    on_grid = Volume(np.rint(1000 * np.asarray(on_grid.data)).astype(np.int16), on_grid.affine)
    for name, volume, code in (("native", native, 1), ("mni", on_grid, 4)):
        turned = Volume(np.ascontiguousarray(np.flip(volume.data, wrong)), volume.affine)
        (tmp_path / f"{name}.nii").write_bytes(nifti_bytes(turned, code))
        (tmp_path / f"{name}-upright.nii").write_bytes(nifti_bytes(volume, code))
    assert run(tmp_path, model=model, form="json") == 1
    rows = answered(capsys)
    for name in ("native", "mni"):
        assert "--fix-orientation" in str(rows[f"{name}.nii"]["error"])
        assert "prediction" not in rows[f"{name}.nii"]
    assert run(tmp_path, model=model, form="json", fix_orientation=True) == 0
    rows = answered(capsys)
    for name, tolerance in (("native", 0.05), ("mni", 1e-6)):
        turned, upright = (rows[f"{name}{end}.nii"] for end in ("", "-upright"))
        for ratio in RATIOS:
            assert turned[ratio] == pytest.approx(upright[ratio], abs=tolerance)


def test_what_is_called_mni_space_or_native_is_taken_so(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "native.nii").write_bytes(nifti_bytes(imaged(pose(shift_mm=(150, 0, 0)))))
    assert run(tmp_path / "native.nii", model=model, form="csv", space="mni") == 1
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert "does not cover the brain in MNI space" in row["error"]
    assert run(tmp_path / "native.nii", model=model, form="csv", space="native") == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["placed"] == "registered"


def test_what_could_not_be_placed_is_drawn_with_its_reason(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = mean_phantom(OFFSET_VOXELS)
    flat = Volume(np.minimum(np.asarray(head.data), 1.05), head.affine)
    (tmp_path / "late.nii").write_bytes(nifti_bytes(imaged(TURNED, head=flat)))
    assert run(tmp_path / "late.nii", model=model, figure=tmp_path / "figures") == 1
    assert "ERROR: it was not brought to MNI space with confidence: no striata stand out" in capsys.readouterr().out
    assert (tmp_path / "figures" / "late.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("label", ["control", "pd"])
def test_a_camera_s_scan_is_answered_as_the_same_head_in_mni_space(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    scans = [native_scan(label, index) for index in range(3)]
    for number, scan in enumerate(scans):
        (tmp_path / f"{number}-mni.nii").write_bytes(nifti_bytes(scan.in_mni, 4))
        (tmp_path / f"{number}-native.nii").write_bytes(nifti_bytes(scan.volume))
    assert run(tmp_path, model=model, form="json") == 0
    rows = answered(capsys)
    off = [
        abs(float(str(rows[f"{n}-native.nii"][name])) / float(str(rows[f"{n}-mni.nii"][name])) - 1)
        for n in range(3)
        for name in RATIOS
    ]
    assert np.median(off) < 0.05
    assert {rows[f"{n}-native.nii"]["placed"] for n in range(3)} == {"registered"}
