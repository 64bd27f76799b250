"""A volume: voxels and where they lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
Voxels = NDArray[Any]
Mask = NDArray[np.bool_]

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
