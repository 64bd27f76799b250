"""Stage `phantom`: a simulated cohort, the truth about it, and a page of pictures."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect.cohort.table import LABELS, read_cohort, write_truth
from datspect.figures.contact_sheet import contact_sheet
from datspect.figures.convention import sides_note
from datspect.figures.spread import ORDER, spread_by_label
from datspect.imaging.intensity import image_max
from datspect.imaging.orientation import reorient
from datspect.imaging.slices import axial_slices
from datspect.io.png import write_figure
from datspect.io.tables import write_table
from datspect.io.volumes import read_volume
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import PhantomParams
from datspect.params.figures import FiguresParams
from datspect.phantom.cohort import build_laboratory, write_phantom_cohort
from datspect.running.launch import launch

MNI_PEAK_SLICE = 37
"""Slice in which the striata of the undeformed head peak (z = 2 mm)."""

log = logging.getLogger("datspect.phantom")


class Read(Sections):
    """The sections that the stage reads."""

    phantom: PhantomParams
    figures: FiguresParams


def main(cohort_folder: Path, truth_path: Path, contact_sheet_path: Path, params_path: Path = PARAMS_PATH) -> None:
    """Simulate the cohort; write its folder, true and measured binding ratios, and a contact sheet."""
    sections = read_params(Read, params_path)
    params, convention = sections.phantom, sections.figures.convention
    truth = write_phantom_cohort(cohort_folder, build_laboratory(params))
    write_truth(cohort_folder, truth)
    write_table(truth_path, truth)
    worse = truth[["measured_putamen_left", "measured_putamen_right"]].min(axis=1)
    shown = truth.assign(worse_putamen=worse).loc[spread_by_label(truth["label"], worse, LABELS)]
    slice_index = round(MNI_PEAK_SLICE + params.z_offset_voxels)
    paths = read_cohort(cohort_folder).scans.set_index("scan_id")["path"]
    images = np.stack([_read_image(cohort_folder / paths[scan_id], slice_index) for scan_id in shown["scan_id"]])
    caption = f"PHANTOM, slice {slice_index}, {ORDER}; * has the other label's binding, ~ is borderline"
    caption = f"{caption}\n{sides_note(convention)}"
    write_figure(contact_sheet_path, contact_sheet(images, _titles(shown), caption, convention))
    log.info("%d scans simulated", len(truth))


def _titles(shown: pd.DataFrame) -> list[str]:
    marks = shown["course"].map({"typical": "", "discordant": " *", "borderline": " ~"})
    return [
        f"{label} {ratio:.2f}{mark}"
        for label, ratio, mark in zip(shown["label"], shown["worse_putamen"], marks, strict=True)
    ]


def _read_image(path: Path, slice_index: int) -> NDArray[np.float32]:
    """Return one slice scaled to its own maximum, shape (109, 91), values in [0, 1]."""
    return image_max(axial_slices(reorient(read_volume(path)), [slice_index]))[:, :, 0]


if __name__ == "__main__":
    launch(main, "cohort_folder")
