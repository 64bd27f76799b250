"""Stage `preprocess`: from volumes to one image a subject, with a quality table and a contact sheet."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from datspect.cohort.repetition import bad_scans
from datspect.cohort.screening import ScreenedScan, mni_regions, screen_scan
from datspect.cohort.table import LABELS, OTHER_LABELS, Cohort, read_cohort, read_truth, scans_digest
from datspect.errors import CohortError
from datspect.figures.contact_sheet import contact_sheet
from datspect.figures.spread import ORDER, spread_by_label
from datspect.imaging.striatal_box import BOX_SHAPE
from datspect.io.arrays import write_array, write_blocks
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import PreprocessParams
from datspect.running.launch import launch
from datspect.running.pool import unordered
from datspect.running.progress import progress

SUBJECT_COLUMNS = ["scan_id", "subject_id", "label", "sex", "age", "site", "visit"]

log = logging.getLogger("datspect.preprocess")


class Read(Sections):
    """The sections that the stage reads."""

    preprocess: PreprocessParams


def main(cohort_folder: Path, images_folder: Path, params_path: Path = PARAMS_PATH) -> None:
    """Screen every scan of the cohort; write images, striatal voxels, boxes and tables, all sorted by scan_id."""
    params = read_params(Read, params_path).preprocess
    cohort, aside = _set_aside(read_cohort(cohort_folder))
    truth = read_truth(cohort)
    with tempfile.TemporaryFile() as boxes:
        screened = _screen(cohort, params, boxes)
        bad = bad_scans(cohort.scans, screened)
        _refuse(bad, params, len(screened))
        excluded = dict(sorted({**aside, **bad}.items()))
        usable = [scan for scan in screened if scan.scan_id not in bad]
        _write(images_folder, cohort, usable, excluded, params)
        rows = {scan_id: row for row, scan_id in enumerate(cohort.scans["scan_id"])}
        in_order = _kept_boxes(boxes, [rows[scan.scan_id] for scan in usable])
        write_blocks(images_folder / "striatal_box.npy", (len(usable), *BOX_SHAPE), "<f2", in_order)
    known = truth[~truth["scan_id"].isin(excluded)].sort_values("scan_id", ignore_index=True)
    write_table(images_folder / "truth.csv", known)
    log.info("%d scans made into images, %d excluded", len(screened) - len(bad), len(excluded))


def _set_aside(cohort: Cohort) -> tuple[Cohort, dict[str, str]]:
    """Return the cohort of scans with a label to tell apart, and the reason why each other scan takes no part."""
    labels = cohort.scans.set_index("scan_id")["label"]
    others = labels[labels.isin(OTHER_LABELS)]
    if len(others) == len(labels):
        raise CohortError(f"{cohort.folder}: no scan is labelled {' or '.join(LABELS)}; nothing is left to tell apart")
    if len(others):
        counts = ", ".join(f"{count} {label}" for label, count in others.value_counts().sort_index().items())
        log.info("%d scans set aside, which take no part in training or testing: %s", len(others), counts)
    aside = {str(scan_id): f"label {label} takes no part in training or testing" for scan_id, label in others.items()}
    return replace(cohort, scans=cohort.scans[~cohort.scans["scan_id"].isin(aside)].reset_index(drop=True)), aside


def _screen(cohort: Cohort, params: PreprocessParams, boxes: IO[bytes]) -> list[ScreenedScan]:
    """Return all screened scans by scan_id; their boxes go to the file, so that memory does not grow with them."""
    work = partial(screen_scan, cohort, params=params, regions=mni_regions(params))
    rows = {scan_id: row for row, scan_id in enumerate(cohort.scans["scan_id"])}
    screened = []
    with threadpool_limits(1):  # a matrix product on all cores in every worker would stand in its own way
        for scan in progress(unordered(work, range(len(rows))), total=len(rows), what="preprocess", unit="scan"):
            if scan.box is not None:
                boxes.seek(rows[scan.scan_id] * scan.box.nbytes)
                boxes.write(scan.box.tobytes())
            screened.append(replace(scan, box=None))
    return sorted(screened, key=lambda scan: scan.scan_id)


def _kept_boxes(boxes: IO[bytes], rows: Sequence[int]) -> Iterator[NDArray[np.float16]]:
    n_bytes = 2 * int(np.prod(BOX_SHAPE))
    for row in rows:
        boxes.seek(row * n_bytes)
        yield np.frombuffer(boxes.read(n_bytes), np.float16)


def _refuse(bad: dict[str, str], params: PreprocessParams, n_scans: int) -> None:
    listed = "\n  ".join(f"scan {scan_id}: {reason}" for scan_id, reason in bad.items())
    if bad and params.on_bad_scan == "stop":
        raise CohortError(
            f"{len(bad)} of {n_scans} scans cannot be used; mend them, or set preprocess.on_bad_scan: exclude\n"
            f"  {listed}"
        )
    if len(bad) == n_scans:
        raise CohortError(f"none of {n_scans} scans can be used\n  {listed}")


def _write(
    folder: Path, cohort: Cohort, usable: list[ScreenedScan], excluded: Mapping[str, str], params: PreprocessParams
) -> None:
    # The larger one first, and let go of before the other is put together.
    write_array(folder / "striatum.npy", np.stack([scan.striatum for scan in usable if scan.striatum is not None]))
    images = np.stack([scan.image for scan in usable if scan.image is not None])
    scans = cohort.scans[~cohort.scans["scan_id"].isin(excluded)].sort_values("scan_id", ignore_index=True)
    quality = pd.DataFrame([{"scan_id": scan.scan_id, **scan.quality} for scan in usable])
    write_array(folder / "images.npy", images)
    write_table(folder / "subjects.csv", scans[SUBJECT_COLUMNS])
    write_table(folder / "quality.csv", quality)
    write_table(folder / "excluded.csv", pd.DataFrame(list(excluded.items()), columns=["scan_id", "reason"]))
    record = {"kind": cohort.kind, "n": len(usable), "n_excluded": len(excluded), "digest": scans_digest(scans)}
    write_json(folder / "cohort.json", record)
    title = f"{cohort.kind.caption}, slice {params.slices[1]}"
    _write_contact_sheet(folder / "contact_sheet.png", images, scans, quality, title)


def _write_contact_sheet(
    path: Path, images: NDArray[np.float32], scans: pd.DataFrame, quality: pd.DataFrame, title: str
) -> None:
    putamen = quality[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1)
    order = spread_by_label(scans["label"], putamen, LABELS)
    titles = [f"{scans['scan_id'][row]}\n{scans['label'][row]} {putamen[row]:.2f}" for row in order]
    write_figure(path, contact_sheet(images[order, :, :, 1], titles, f"{title}, {ORDER}"))


if __name__ == "__main__":
    launch(main)
