"""Make a template of one's own: the mean of the controls of a cohort, as one's own camera shows them."""

from pathlib import Path

import numpy as np

from datspect.cohort.table import CONTROL, read_cohort
from datspect.errors import CohortError
from datspect.imaging.head_image import head_level
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.registration import Template
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.io.volumes import read_volume
from datspect.normalisation.placing import USUAL_Z_OFFSET_VOXELS

LEAST_CONTROLS = 10
"""Fewer do not average their noise and their own shapes away."""
MOST_CONTROLS = 100
"""More do not change a mean."""


def template_of_controls(folder: Path, z_offset_voxels: float | None = None) -> Template:
    """Return the mean of the first `MOST_CONTROLS` controls of a cohort folder, each over the level of its head.

    New scans come to lie where those of the cohort do, whose voxels are `z_offset_voxels` above MNI; None: the usual.

    Raises
    ------
    CohortError : the folder is no cohort, or has too few controls.
    ScanError : a volume cannot be read.
    """
    cohort = read_cohort(folder)
    paths = cohort.scans.loc[cohort.scans["label"] == CONTROL, "path"].tolist()[:MOST_CONTROLS]
    if len(paths) < LEAST_CONTROLS:
        raise CohortError(
            f"{folder}: {len(paths)} controls; a template is the mean of {LEAST_CONTROLS} or more (without --template "
            "it is the mean phantom)"
        )
    total = np.zeros(MNI_SHAPE, dtype=np.float32)
    for path in paths:
        data = np.asarray(reorient(read_volume(folder / path)).data, dtype=np.float32)
        total += data / np.float32(head_level(data[::2, ::2, ::2].ravel()))
    mean = total / np.float32(len(paths))
    offset = USUAL_Z_OFFSET_VOXELS if z_offset_voxels is None else z_offset_voxels
    return Template(Volume(mean, mni_ras_affine()), offset * float(mni_ras_affine()[2, 2]))
