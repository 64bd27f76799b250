"""Stage `preprocess`: from volumes to one image a subject, with a quality table and a contact sheet."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from datspect.cohort.repetition import bad_scans
from datspect.cohort.screening import ScreenedScan, mni_regions, screen_scan
from datspect.cohort.table import (
    LABELS,
    OTHER_LABELS,
    Cohort,
    read_cohort,
    read_truth,
    scans_digest,
    with_registration,
)
from datspect.errors import CohortError
from datspect.figures.contact_sheet import contact_sheet
from datspect.figures.convention import sides_note
from datspect.figures.spread import ORDER, spread_by_label
from datspect.imaging.striatal_box import BOX_SHAPE
from datspect.io.arrays import write_array, write_blocks
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import OtherGroupsParams, PreprocessParams
from datspect.params.figures import Convention, FiguresParams
from datspect.running.launch import launch
from datspect.running.pool import unordered
from datspect.running.progress import progress

SUBJECT_COLUMNS = ["scan_id", "subject_id", "label", "sex", "age", "site", "visit"]

log = logging.getLogger("datspect.preprocess")


class Read(Sections):
    """The sections that the stage reads."""

    preprocess: PreprocessParams
    other_groups: OtherGroupsParams
    figures: FiguresParams


def main(cohort_folder: Path, images_folder: Path, params_path: Path = PARAMS_PATH) -> None:
    """Screen every scan of the cohort; write images, striatal voxels, boxes and tables, all sorted by scan_id.

    Of other groups, those that the final model is to answer have images, boxes and a table of their own.
    """
    sections = read_params(Read, params_path)
    params = sections.preprocess
    cohort, others, aside = _parted(read_cohort(cohort_folder), sections.other_groups.answered)
    truth = read_truth(cohort)
    with _Boxes(cohort) as boxes, _Boxes(others) as boxes_of_others:
        screened, also_screened = _screen(cohort, params, boxes), _screen(others, params, boxes_of_others)
        bad = bad_scans(cohort.scans, screened)
        bad_others = _bad_others(cohort.scans, others.scans, screened, also_screened)
        _refuse(bad, len(screened), bad_others, len(also_screened), params)
        unusable_others = {scan_id: f"{aside[scan_id]}; {reason}" for scan_id, reason in bad_others.items()}
        excluded = dict(sorted({**aside, **unusable_others, **bad}.items()))
        usable = [scan for scan in screened if scan.scan_id not in bad]
        usable_others = [scan for scan in also_screened if scan.scan_id not in bad_others]
        _write(images_folder, cohort, usable, excluded, sections)
        boxes.write(images_folder / "striatal_box.npy", usable)
        _write_others(images_folder, others, usable_others, usable[0])
        boxes_of_others.write(images_folder / "other_groups_box.npy", usable_others)
    known = truth[~truth["scan_id"].isin(excluded)].sort_values("scan_id", ignore_index=True)
    write_table(images_folder / "truth.csv", known)
    log.info("%d scans made into images, %d excluded", len(screened) - len(bad), len(excluded))


def _parted(cohort: Cohort, answered: Sequence[str]) -> tuple[Cohort, Cohort, dict[str, str]]:
    """Return the scans to tell apart, those of other groups to answer, and why each scan of any other group is out."""
    labels = cohort.scans.set_index("scan_id")["label"]
    others = labels[labels.isin(OTHER_LABELS)]
    if len(others) == len(labels):
        raise CohortError(f"{cohort.folder}: no scan is labelled {' or '.join(LABELS)}; nothing is left to tell apart")
    if len(others):
        counts = ", ".join(f"{count} {label}" for label, count in others.value_counts().sort_index().items())
        log.info("%d scans set aside, which take no part in training or testing: %s", len(others), counts)
    aside = {str(scan_id): f"label {label} takes no part in training or testing" for scan_id, label in others.items()}
    main, asked = (cohort.scans["label"].isin(names) for names in (LABELS, answered))
    chosen, asked_for = (replace(cohort, scans=cohort.scans[rows].reset_index(drop=True)) for rows in (main, asked))
    return chosen, asked_for, aside


class _Boxes:
    """The striatal boxes of a cohort in a file without a name, so that memory does not grow with them."""

    def __init__(self, cohort: Cohort) -> None:
        self._rows = {scan_id: row for row, scan_id in enumerate(cohort.scans["scan_id"])}

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def keep(self, scan: ScreenedScan) -> ScreenedScan:
        """Take the box of a scan and return the scan without it."""
        if scan.box is not None:
            self._file.seek(self._rows[scan.scan_id] * scan.box.nbytes)
            self._file.write(scan.box.tobytes())
        return replace(scan, box=None)

    def write(self, path: Path, scans: Sequence[ScreenedScan]) -> None:
        """Write the boxes of these scans, in their order."""
        write_blocks(path, (len(scans), *BOX_SHAPE), "<f2", self._read(scans))

    def _read(self, scans: Sequence[ScreenedScan]) -> Iterator[NDArray[np.float16]]:
        n_bytes = 2 * int(np.prod(BOX_SHAPE))
        for scan in scans:
            self._file.seek(self._rows[scan.scan_id] * n_bytes)
            yield np.frombuffer(self._file.read(n_bytes), np.float16)


def _screen(cohort: Cohort, params: PreprocessParams, boxes: _Boxes) -> list[ScreenedScan]:
    """Return all screened scans by scan_id; `boxes` keeps their boxes."""
    n_scans = len(cohort.scans)
    if not n_scans:
        return []
    work = partial(screen_scan, cohort, params=params, regions=mni_regions(params))
    with threadpool_limits(1):  # a matrix product on all cores in every worker would stand in its own way
        found = progress(unordered(work, range(n_scans)), total=n_scans, what="preprocess", unit="scan")
        screened = [boxes.keep(scan) for scan in found]
    return sorted(screened, key=lambda scan: scan.scan_id)


def _bad_others(
    scans: pd.DataFrame, others: pd.DataFrame, screened: list[ScreenedScan], also_screened: list[ScreenedScan]
) -> dict[str, str]:
    """Return the scans of `others` that cannot be used, those that repeat one of the cohort's `scans` among them."""
    if others.empty:
        return {}
    bad = bad_scans(pd.concat([scans, others], ignore_index=True), [*screened, *also_screened])
    return {scan_id: reason for scan_id, reason in bad.items() if scan_id in set(others["scan_id"])}


def _refuse(
    bad: dict[str, str], n_scans: int, bad_others: dict[str, str], n_others: int, params: PreprocessParams
) -> None:
    all_bad, n_all = bad | bad_others, n_scans + n_others
    listed = "\n  ".join(f"scan {scan_id}: {reason}" for scan_id, reason in all_bad.items())
    if all_bad and params.on_bad_scan == "stop":
        raise CohortError(
            f"{len(all_bad)} of {n_all} scans cannot be used; mend them, or set preprocess.on_bad_scan: exclude\n"
            f"  {listed}"
        )
    if len(bad) == n_scans:
        raise CohortError(f"none of {n_scans} scans can be used\n  {listed}")


def _write(
    folder: Path, cohort: Cohort, usable: list[ScreenedScan], excluded: Mapping[str, str], sections: Read
) -> None:
    # The larger one first, and let go of before the other is put together.
    write_array(folder / "striatum.npy", np.stack([scan.striatum for scan in usable if scan.striatum is not None]))
    images = np.stack([scan.image for scan in usable if scan.image is not None])
    scans = cohort.scans[~cohort.scans["scan_id"].isin(excluded)].sort_values("scan_id", ignore_index=True)
    quality = with_registration(pd.DataFrame([{"scan_id": scan.scan_id, **scan.quality} for scan in usable]), cohort)
    write_array(folder / "images.npy", images)
    write_table(folder / "subjects.csv", scans[SUBJECT_COLUMNS])
    write_table(folder / "quality.csv", quality)
    write_table(folder / "excluded.csv", pd.DataFrame(list(excluded.items()), columns=["scan_id", "reason"]))
    record = {"kind": cohort.kind, "n": len(usable), "n_excluded": len(excluded), "digest": scans_digest(scans)}
    write_json(folder / "cohort.json", record)
    caption = f"{cohort.kind.caption}, slice {sections.preprocess.slices[1]}, {ORDER}"
    sheet = _contact_sheet(images, scans, quality, caption, sections.figures.convention)
    write_figure(folder / "contact_sheet.png", sheet)


def _write_others(folder: Path, others: Cohort, usable: list[ScreenedScan], example: ScreenedScan) -> None:
    """Write images as large as that of `example` and a table of subjects and quality, both empty if none is asked for.

    Their order is that of `usable`, by scan_id.
    """
    images = np.array([scan.image for scan in (*usable, example)], np.float32)[:-1]
    columns = ["scan_id", *example.quality]
    quality = pd.DataFrame([{"scan_id": scan.scan_id, **scan.quality} for scan in usable], columns=columns)
    write_array(folder / "other_groups.npy", images)
    write_table(folder / "other_groups.csv", quality.merge(others.scans[SUBJECT_COLUMNS], on="scan_id"))


def _contact_sheet(
    images: NDArray[np.float32], scans: pd.DataFrame, quality: pd.DataFrame, caption: str, convention: Convention
) -> Figure:
    putamen = quality[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1)
    order = spread_by_label(scans["label"], putamen, LABELS)
    titles = [f"{scans['scan_id'][row]}\n{scans['label'][row]} {putamen[row]:.2f}" for row in order]
    return contact_sheet(images[order, :, :, 1], titles, f"{caption}\n{sides_note(convention)}", convention)


if __name__ == "__main__":
    launch(main, "images_folder")
