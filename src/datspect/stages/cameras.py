"""Stage `cameras`: tell by which camera each scan was made, and hold whole groups of scans out in grouped folds."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from datspect.cohort.signature import GEOMETRY, GEOMETRY_NAME, signatures
from datspect.cohort.table import read_cohort
from datspect.errors import CohortError, ParamsError
from datspect.imaging.texture import Texture, texture
from datspect.io.arrays import read_array
from datspect.io.tables import read_table, write_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import NO_GROUP, SIGNATURE, SplitParams
from datspect.running.launch import launch
from datspect.training.grouped_splitting import assign_grouped_folds
from datspect.training.splitting import NO_FOLD

_DIGITS = 6

log = logging.getLogger("datspect.cameras")


class Read(Sections):
    """The sections that the stage reads."""

    split: SplitParams


def main(cohort_folder: Path, images_folder: Path, cameras_path: Path, params_path: Path = PARAMS_PATH) -> None:
    """Write each scan's signature and, if `split.group` asks for it, its group and grouped fold.

    The columns are scan_id, subject_id, label, roughness, fineness, signature, group (the column and its value, `none`
    without one) and grouped_fold (`NO_FOLD` then), in the order of the images.
    """
    params = read_params(Read, params_path).split
    subjects = read_table(images_folder / "subjects.csv", ("scan_id", "subject_id", "label"))
    scans = _scans(cohort_folder, subjects)
    textures = _textures(images_folder / "striatal_box.npy", len(subjects))
    table = subjects[["scan_id", "subject_id", "label"]].assign(
        roughness=[one.roughness for one in textures],
        fineness=[one.fineness for one in textures],
        signature=signatures(scans, textures),
        group=NO_GROUP,
        grouped_fold=NO_FOLD,
    )
    if params.group != NO_GROUP:
        groups = table["signature"] if params.group == SIGNATURE else _column(scans, params.group)
        what = f"split.group = {params.group}"
        table["grouped_fold"] = assign_grouped_folds(table, groups, params.n_folds, params.seed, what)
        table["group"] = params.group + " " + groups  # so that no group reads as a number
    write_table(cameras_path, table)
    _say(table, params)


def _scans(cohort_folder: Path, subjects: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of participants.tsv for the scans that have images, with the grids on which they came."""
    participants = read_cohort(cohort_folder).scans
    missing = sorted(set(subjects["scan_id"]) - set(participants["scan_id"]))
    if missing:
        raise CohortError(f"{cohort_folder}: no row of scan(s) {', '.join(missing)}, which have images; run dvc repro")
    scans = participants.set_index("scan_id").loc[subjects["scan_id"]].reset_index()
    path = cohort_folder / GEOMETRY_NAME
    if not path.is_file():
        return scans
    known = read_table(path, ("scan_id", *GEOMETRY))[["scan_id", *GEOMETRY]]
    grids = known.drop_duplicates("scan_id").set_index("scan_id").reindex(scans["scan_id"], fill_value="")
    return scans.drop(columns=list(GEOMETRY), errors="ignore").assign(**{name: list(grids[name]) for name in GEOMETRY})


def _textures(path: Path, n_scans: int) -> list[Texture]:
    boxes = read_array(path, memory_mapped=True)
    if len(boxes) != n_scans:
        raise CohortError(
            f"{path}: {len(boxes)} boxes, expected {n_scans}, one a subject of subjects.csv; run dvc repro"
        )
    # Rounded, so that last digits of another machine change nothing.
    return [Texture(*(round(value, _DIGITS) for value in texture(np.asarray(box)))) for box in boxes]


def _column(scans: pd.DataFrame, name: str) -> "pd.Series[str]":
    if name not in scans:
        raise ParamsError(
            f"split.group = {name}: no such column in participants.tsv; expected {NO_GROUP}, {SIGNATURE} or one of "
            f"{', '.join(scans.columns)}"
        )
    return scans[name].astype(str).str.strip().where(scans[name].notna(), "")


def _say(table: pd.DataFrame, params: SplitParams) -> None:
    log.info("%d signatures of %d scans", table["signature"].nunique(), len(table))
    if params.group != NO_GROUP:
        n_folds = table["grouped_fold"].nunique()
        fewer = f", not {params.n_folds}: there are no more groups" if n_folds < params.n_folds else ""
        n_groups = table["group"].nunique()
        log.info("%d groups by %s in %d grouped folds%s", n_groups, params.group, n_folds, fewer)


if __name__ == "__main__":
    launch(main, "cameras_path")
