"""Make the mean phantom, which looks like an ordinary DaT SPECT scan, to compare real ones with."""

from functools import cache

import numpy as np
from scipy.ndimage import shift

from datspect.imaging.orientation import reorient
from datspect.imaging.volume import Volume, mni_affine
from datspect.phantom.acquisition import blur
from datspect.phantom.anatomy import build_head, undeformed_anatomy
from datspect.phantom.background import read_background
from datspect.phantom.binding import MEASURED

RESOLUTION_FWHM_MM = 11.0
"""Middle of the 8 to 15 mm of DaT SPECT."""
TRUE_BINDING = {"caudate": 3.9, "putamen_anterior": 2.3, "putamen_posterior": 2.3}
"""Binding ratios that measure, once blurred, as the mean of both groups' means: caudate 2.5, putamen 1.5."""


@cache
def mean_phantom(z_offset_voxels: float = 0.0) -> Volume:
    """Return the undeformed head with binding between that of controls and of PD, shape `MNI_SHAPE`, RAS+, float32.

    Both sides are alike, and there is no noise; occipital grey matter is 1. Like a stored scan it lies
    `z_offset_voxels` above MNI. All callers of a process share one array, which cannot be written to.
    """
    head = build_head(undeformed_anatomy(), read_background())
    binding = np.array([TRUE_BINDING[region.rpartition("_")[0]] for region in MEASURED])
    blurred = blur(head.activity(binding), RESOLUTION_FWHM_MM)
    scan = reorient(Volume(shift(blurred, (0, 0, z_offset_voxels), order=1, mode="nearest"), mni_affine()))
    data = np.ascontiguousarray(scan.data)
    data.flags.writeable = False
    return Volume(data, scan.affine)
