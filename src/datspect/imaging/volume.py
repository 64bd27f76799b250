"""A volume: voxels and where they lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Affine = NDArray[np.float64]
Voxels = NDArray[Any]
Mask = NDArray[np.bool_]

FWHM_PER_SD = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian over its standard deviation."""

MNI_SHAPE = (91, 109, 91)
"""Voxels of the MNI grid at 2 mm: left to right, posterior to anterior, inferior to superior."""


def mni_affine() -> Affine:
    """Return voxel to world (mm, RAS+), shape (4, 4), of the 2 mm MNI grid as scans are stored: x runs right to left.

    >>> mni_affine() @ [45, 63, 36, 1]  # the origin of MNI space
    array([0., 0., 0., 1.])
    """
    return np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Volume:
    """Voxels, shape (X, Y, Z), with their affine (voxel index to world, mm)."""

    data: Voxels
    affine: Affine


def smoothed(volume: Volume, fwhm_mm: float) -> Volume:
    """Return the volume after a Gaussian filter of `fwhm_mm` along each axis, float32; edge voxels repeat outwards.

    The axes of `volume` must be those of the world, as after `reorient`; voxels need not be cubes.

    >>> point = np.zeros((9, 9, 9)); point[4, 4, 4] = 1
    >>> bool(np.isclose(smoothed(Volume(point, np.diag([2.0, 2.0, 2.0, 1.0])), 4.0).data.sum(), 1, atol=1e-3))
    True
    """
    sizes_mm = np.linalg.norm(volume.affine[:3, :3], axis=0)
    sd_voxels = fwhm_mm / FWHM_PER_SD / sizes_mm
    return Volume(gaussian_filter(volume.data.astype(np.float32), sd_voxels, mode="nearest"), volume.affine)
