"""The mean phantom: what an ordinary DaT SPECT scan looks like, to compare real ones with."""

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

from datspect.cohort.acquisition import blur
from datspect.cohort.anatomy import Activity, Anatomy, background, build_head
from datspect.cohort.binding import MEASURED
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.regions import Fractions, mni_affine_of, striatal_box_slices, striatal_structures
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, mni_affine

RESOLUTION_FWHM_MM = 11.0
"""Middle of the 9 to 13 mm of DaT SPECT."""
TRUE_BINDING = {"caudate": 5.7, "putamen_anterior": 2.6, "putamen_posterior": 2.45}
"""Binding ratios that measure, once blurred, as the mean of both groups' means: caudate 2.5, putamen 1.5."""
_BRAIN = 0.2
"""Share of the brightest T1 voxel from which a voxel is brain; the map holds nothing else."""


@cache
def mean_phantom(z_offset_voxels: float = 0.0) -> Volume:
    """The undeformed head with binding between that of controls and of PD, RAS+ on the MNI grid, float32.

    Both sides are alike, and there is no noise; occipital grey matter is 1. Like a stored scan it lies
    `z_offset_voxels` above MNI. Made once a process; not to be written to.
    """
    to_mni = mni_affine_of(mni_affine(), z_offset_voxels)
    anatomy = Anatomy(to_mni, striatal_structures(), striatal_box_slices(MNI_SHAPE, to_mni))
    head = build_head(anatomy, _background())
    binding = np.array([TRUE_BINDING[region.rpartition("_")[0]] for region in MEASURED])
    scan = reorient(Volume(blur(head.activity(binding), RESOLUTION_FWHM_MM), mni_affine()))
    data = np.ascontiguousarray(scan.data)
    data.flags.writeable = False
    return Volume(data, scan.affine)


def template_t1(z_offset_voxels: float) -> Volume:
    """The ICBM-152 T1 image, RAS+ on the MNI grid, moved up to where a scan lies; 1 is its brightest voxel."""
    data, affine = _map("t1")
    to_image = np.linalg.inv(affine) @ mni_affine_of(mni_ras_affine(), z_offset_voxels)
    moved = affine_transform(data, to_image[:3, :3], to_image[:3, 3], MNI_SHAPE, order=1)
    return Volume(moved / data.max(), mni_ras_affine())


def _background() -> Activity:
    """Nonspecific activity of the head on the MNI grid, equal to `anatomy.read_background`, in a tenth of the time.

    The ICBM-152 maps are read from nilearn's folder: importing nilearn, and its splines, take seconds in every process.
    """
    grey, white, brain = (_tissue_map(name) for name in ("gm", "wm", "t1"))
    return background(grey, white, brain > np.float32(_BRAIN))


def _tissue_map(name: str) -> Fractions:
    """Values at the voxels of the MNI grid, shape `MNI_SHAPE`: every second of the map's own, which lie on it."""
    data, affine = _map(name)
    to_image = np.linalg.inv(affine) @ mni_affine()
    places = [
        np.rint(first + step * np.arange(size)).astype(np.intp)
        for size, step, first in zip(MNI_SHAPE, np.diag(to_image)[:3], to_image[:3, 3], strict=True)
    ]
    return np.asarray(data[np.ix_(*places)] / data.max(), dtype=np.float32)


def _map(name: str) -> tuple[Fractions, Affine]:
    path = f"nilearn/datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    image = nib.Nifti1Image.from_filename(Path(str(distribution("nilearn").locate_file(path))))
    return np.asarray(image.dataobj, dtype=np.float32), image.affine
