"""Stage `robustness`: every altered scan goes through the whole predictor, in order, the same each time."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.prediction.made_up_predictor import write_striatal_predictor

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import COLUMNS, Cohort, write_cohort
from datspect.errors import CohortError
from datspect.imaging.alterations import ALTERATIONS, Original, altered, rows
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.volumes import read_volume, write_volume
from datspect.params.robustness import AlterationName
from datspect.prediction.predictor import Predictor
from datspect.stages import robustness

from .conftest import write_params_to

N, N_TEST = 10, 4
PANEL: list[AlterationName] = ["gain", "up", "sides"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of ten level heads with noise, hotter where striata are; a predictor of random weights."""
    root, rng = tmp_path_factory.mktemp("robust"), np.random.default_rng(3)
    number = np.arange(N)
    scans = pd.DataFrame(dict.fromkeys(COLUMNS, "x"), index=number)
    scans["scan_id"], scans["subject_id"] = [f"S{k}" for k in number], [f"P{k}" for k in number]
    scans["label"], scans["age"] = np.where(number % 2, "pd", "control"), 60.0
    scans["path"], scans["sha256"] = [f"S{k}.nii" for k in number], "0" * 64
    for k in number:
        data = np.zeros(MNI_SHAPE, np.float32)
        data[10:81, 10:100, 8:84] = 100 + 10 * rng.standard_normal((71, 90, 76))
        data[25:66, 55:80, 34:46] += 60 + 20 * (k % 5)
        write_volume(root / "cohort" / f"S{k}.nii", Volume(data, mni_affine()))
    write_cohort(Cohort(root / "cohort", CohortKind.PHANTOM, scans))
    roles = np.where(number < N_TEST, "test", "train")
    scans[["scan_id", "subject_id", "label"]].assign(role=roles).iloc[::-1].to_csv(root / "splits.csv", index=False)
    ratios = [f"sbr_{part}_{side}" for part in ("caudate", "putamen", "putamen_anterior", "putamen_posterior")
              for side in ("left", "right")]  # fmt: skip
    (root / "images").mkdir()
    quality = scans[["scan_id"]].assign(**{name: 2.5 - number % 2 + rng.normal(0, 0.1, N) for name in ratios})
    quality.to_csv(root / "images/quality.csv", index=False)
    write_striatal_predictor(root / "predictor")
    return root


def run(root: Path, folder: Path, **changes: object) -> tuple[pd.DataFrame, dict]:
    params = write_params_to(folder, robustness={"alterations": PANEL, **changes})
    reports = folder / "reports"
    robustness.main(
        root / "cohort", root / "images", root / "splits.csv", root / "predictor", reports, params_path=params
    )
    table = pd.read_csv(reports / "predictions.csv", keep_default_na=False)
    return table, json.loads((reports / "metrics.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict]:
    return run(root, tmp_path_factory.mktemp("done"))


def test_every_scan_of_the_test_set_is_answered_in_every_row(done: tuple[pd.DataFrame, dict]) -> None:
    table, metrics = done
    names = ["unaltered", *(row.name for row in rows(PANEL))]
    assert list(dict.fromkeys(table["row"])) == names == [row["name"] for row in metrics["rows"]]
    assert set(table["scan_id"]) == {f"S{k}" for k in range(N_TEST)}
    assert len(table) == len(names) * N_TEST
    assert metrics["cohort_kind"] == "phantom"
    assert [row["name"] for row in metrics["rows"] if row["is_largest"]] == ["unaltered", "up_4", "gain_4", "sides"]
    assert set(metrics["as_good"]) == {"all", "largest"}
    assert set(metrics["mixed_resolution"]) == {"original", "smoothed", "mixed"}


def test_the_answers_are_the_predictors_own(root: Path, done: tuple[pd.DataFrame, dict]) -> None:
    table, _ = done
    predictor = Predictor.read(root / "predictor")
    original = Original(reorient(read_volume(root / "cohort/S2.nii")).data, 4.0, 2019, "S2")
    for row in (None, *rows(PANEL)):
        data = original.data if row is None else altered(original, row)
        (answer,) = predictor.answers([predictor.prepare_volume(Volume(data, mni_ras_affine()))])
        name = "unaltered" if row is None else row.name
        line = table[(table["row"] == name) & (table["scan_id"] == "S2")].iloc[0]
        assert line["probability"] == pytest.approx(answer.probability, abs=1e-6)
        assert line["inconclusive"] == (answer.state == "inconclusive")
        assert (line["state"], line["reason"]) == (answer.state, "; ".join(answer.withheld))
        assert line["sbr"] == pytest.approx(
            min(answer.measures["sbr_putamen_left"], answer.measures["sbr_putamen_right"]), abs=1e-5
        )


def test_gain_and_exchanged_sides_change_no_answer_of_this_model(done: tuple[pd.DataFrame, dict]) -> None:
    wide = done[0].pivot_table("probability", "scan_id", "row")
    for name in ("gain_1.5", "gain_4", "sides"):
        np.testing.assert_allclose(wide[name], wide["unaltered"], atol=2e-3)


def test_a_second_run_writes_the_same_bytes(root: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        run(root, folder)
    for name in ("predictions.csv", "robustness.csv", "metrics.json"):
        assert (first / "reports" / name).read_bytes() == (second / "reports" / name).read_bytes()


def test_fewer_scans_are_taken_if_asked(root: Path, tmp_path: Path) -> None:
    table, metrics = run(root, tmp_path, most_scans=2)
    assert metrics["n"] == 2
    assert table.groupby("label")["scan_id"].nunique().to_dict() == {"control": 1, "pd": 1}


def test_a_scan_that_cannot_be_used_once_it_is_altered_is_counted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gain = ALTERATIONS["gain"]
    monkeypatch.setitem(vars(gain), "apply", lambda original, _: np.zeros_like(original.data))
    table, metrics = run(root, tmp_path)
    assert table[table["row"] == "gain_4"]["refused"].eq(1).all()
    assert table[table["row"] == "gain_4"]["state"].eq("refused").all()
    (row,) = (row for row in metrics["rows"] if row["name"] == "gain_4")
    assert (row["refused"], row["network"]) == (1.0, {"n": 0})


def test_a_scan_that_is_not_in_the_cohort_stops_the_stage(root: Path, tmp_path: Path) -> None:
    splits = pd.read_csv(root / "splits.csv").replace("S3", "S99")
    splits.to_csv(tmp_path / "splits.csv", index=False)
    params = write_params_to(tmp_path, robustness={"alterations": ["sides"]})
    with pytest.raises(CohortError, match="scan S99 of the split is not in the cohort; run dvc repro"):
        robustness.main(
            root / "cohort", root / "images", tmp_path / "splits.csv", root / "predictor", tmp_path / "r", params
        )
