"""Stage `cameras`: the signature of every scan, and grouped folds if they are asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.cohort.table import COLUMNS
from datspect.errors import CohortError, ParamsError
from datspect.imaging.striatal_box import BOX_SHAPE
from datspect.io.arrays import write_array
from datspect.io.records import write_json
from datspect.io.tables import read_table, write_table
from datspect.stages import cameras

N = 24
WriteParams = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """24 subjects of five sites; the scans of two sites are rough."""
    participants = pd.DataFrame(
        {
            "scan_id": [f"S{k:02d}" for k in range(N)],
            "subject_id": [f"P{k:02d}" for k in range(N)],
            "label": ["pd" if k % 3 else "control" for k in range(N)],
            **dict.fromkeys(("sex", "visit", "sha256"), ""),
            "age": 60.0,
            "site": [f"{k % 5 + 1:02d}" for k in range(N)],
            "path": [f"volumes/S{k:02d}.nii" for k in range(N)],
            "scanner": [f"model {k % 4}" for k in range(N)],
        }
    )
    excluded = participants.iloc[[0]].assign(scan_id="X", subject_id="PX", label="swedd", path="volumes/X.nii")
    write_table(tmp_path / "cohort/participants.tsv", pd.concat([excluded, participants.iloc[::-1]]), sep="\t")
    write_json(tmp_path / "cohort/cohort.json", {"kind": "real"})
    write_table(tmp_path / "images/subjects.csv", participants[list(COLUMNS[:-2])])
    boxes = np.stack([1 + (0.2 if k % 5 < 2 else 0.1) * rng.normal(size=BOX_SHAPE) for k in range(N)])
    write_array(tmp_path / "images/striatal_box.npy", boxes.astype(np.float16))
    return tmp_path


def run(folder: Path, params: Path) -> pd.DataFrame:
    cameras.main(folder / "cohort", folder / "images", folder / "cameras.csv", params)
    return read_table(folder / "cameras.csv")


def test_without_a_group_every_scan_has_a_signature_and_nobody_a_grouped_fold(
    folder: Path, write_params: WriteParams
) -> None:
    table = run(folder, write_params())
    assert list(table["scan_id"]) == [f"S{k:02d}" for k in range(N)]
    assert set(table["group"]) == {"none"}
    assert set(table["grouped_fold"]) == {0}
    is_rough = np.arange(N) % 5 < 2
    assert table["roughness"][is_rough].min() > table["roughness"][~is_rough].max()
    assert set(table["signature"][is_rough]).isdisjoint(table["signature"][~is_rough])


@pytest.mark.parametrize("group", ["site", "scanner"])
def test_whole_groups_of_a_column_are_held_out(folder: Path, write_params: WriteParams, group: str) -> None:
    table = run(folder, write_params(split={"group": group, "n_folds": 3}))
    expected = [f"site {k % 5 + 1:02d}" if group == "site" else f"scanner model {k % 4}" for k in range(N)]
    assert list(table["group"]) == expected
    assert table.groupby("group")["grouped_fold"].nunique().max() == 1
    assert set(table["grouped_fold"]) == {1, 2, 3}
    before = (folder / "cameras.csv").read_bytes()
    run(folder, write_params(split={"group": group, "n_folds": 3}))
    assert (folder / "cameras.csv").read_bytes() == before


def test_the_signature_may_be_the_group(
    folder: Path, write_params: WriteParams, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "datspect")
    table = run(folder, write_params(split={"group": "signature", "n_folds": 10}))
    assert (table["group"] == "signature " + table["signature"]).all()
    assert table.groupby("group")["grouped_fold"].nunique().max() == 1
    assert "6 groups by signature in 6 grouped folds, not 10: there are no more groups" in caplog.messages


def test_the_grid_on_which_a_scan_came_goes_before_its_grain(folder: Path, write_params: WriteParams) -> None:
    came = pd.DataFrame({"scan_id": ["S04", "X"], "matrix": "64 x 64 x 48", "spacing": "4.00 x 4.00 x 4.00 mm"})
    write_table(folder / "cohort/geometry.csv", came)
    signature = run(folder, write_params()).set_index("scan_id")["signature"]
    assert signature["S04"] == "64 x 64 x 48, 4.00 x 4.00 x 4.00 mm"
    assert signature.drop("S04").str.startswith("resolution ").all()
    write_table(folder / "cohort/geometry.csv", came[:0])  # as an import leaves it where nothing was registered
    assert run(folder, write_params())["signature"].str.startswith("resolution ").all()


def test_a_column_that_is_not_there_is_refused(folder: Path, write_params: WriteParams) -> None:
    with pytest.raises(ParamsError, match=r"split\.group = camera: no such column.*scanner"):
        run(folder, write_params(split={"group": "camera"}))
    assert not (folder / "cameras.csv").exists()


def test_an_id_is_no_group(folder: Path, write_params: WriteParams) -> None:
    with pytest.raises(ParamsError, match=r"split\.group = subject_id: expected none, site, signature or another"):
        run(folder, write_params(split={"group": "subject_id"}))


def test_tables_and_boxes_of_other_cohorts_are_refused(folder: Path, write_params: WriteParams) -> None:
    write_array(folder / "images/striatal_box.npy", np.ones((3, *BOX_SHAPE), np.float16))
    with pytest.raises(CohortError, match="3 boxes, expected 24"):
        run(folder, write_params())
    subjects = read_table(folder / "images/subjects.csv")
    write_table(folder / "images/subjects.csv", subjects.replace({"scan_id": {"S03": "S99"}}))
    with pytest.raises(CohortError, match=r"no row of scan\(s\) S99"):
        run(folder, write_params())
