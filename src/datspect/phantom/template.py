"""Make the mean phantom, which looks like an ordinary DaT SPECT scan, to compare real ones with."""

from functools import cache

import numpy as np

from datspect.imaging.orientation import reorient
from datspect.imaging.regions import mni_affine_of, striatal_box_slices, striatal_structures
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.phantom.acquisition import blur
from datspect.phantom.anatomy import Anatomy, build_head, read_background
from datspect.phantom.binding import MEASURED

RESOLUTION_FWHM_MM = 11.0
"""Middle of the 9 to 13 mm of DaT SPECT."""
TRUE_BINDING = {"caudate": 5.7, "putamen_anterior": 2.6, "putamen_posterior": 2.45}
"""Binding ratios that measure, once blurred, as the mean of both groups' means: caudate 2.5, putamen 1.5."""


@cache
def mean_phantom(z_offset_voxels: float = 0.0) -> Volume:
    """Return the undeformed head with binding between that of controls and of PD, shape `MNI_SHAPE`, RAS+, float32.

    Both sides are alike, and there is no noise; occipital grey matter is 1. Like a stored scan it lies
    `z_offset_voxels` above MNI. All callers of a process share one array, which cannot be written to.
    """
    to_mni = mni_affine_of(mni_affine(), z_offset_voxels)
    anatomy = Anatomy(to_mni, striatal_structures(), striatal_box_slices(MNI_SHAPE, to_mni))
    head = build_head(anatomy, read_background())
    binding = np.array([TRUE_BINDING[region.rpartition("_")[0]] for region in MEASURED])
    scan = reorient(Volume(blur(head.activity(binding), RESOLUTION_FWHM_MM), mni_affine()))
    data = np.ascontiguousarray(scan.data)
    data.flags.writeable = False
    return Volume(data, scan.affine)
