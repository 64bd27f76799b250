"""Find the true activity that gives wished-for measured binding ratios: describe partial volume and undo it.

The measured ratios depend linearly on the true ones (a geometric transfer matrix; Rousset 1998, J Nucl Med 39:904).
The matrix is averaged over sampled heads and cameras, so that a subject's own anatomy and camera still show.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from datspect.arrays import FloatArray
from datspect.imaging.regions import Regions, VoxelIndices
from datspect.phantom.acquisition import Acquisition, blur
from datspect.phantom.anatomy import HeadActivity
from datspect.phantom.binding import MEASURED

_BOX_MARGIN = 8
"""Voxels around the striatal box that are blurred with it: 1.5 FWHM."""


@dataclass(frozen=True)
class Recovery:
    """A linear map, measured = matrix @ true + offset, of binding ratios in the order of `MEASURED`.

    matrix : shape (6, 6)
    offset : shape (6,), what a scan without any binding measures
    """

    matrix: FloatArray
    offset: FloatArray

    def true_binding(self, measured: FloatArray) -> FloatArray:
        """Return true binding ratios, shape (6,), none negative, that come closest to `measured`, shape (6,)."""
        true, _ = nnls(self.matrix, measured - self.offset)
        return np.asarray(true, dtype=np.float64)


def head_recovery(head: HeadActivity, acquisition: Acquisition, filter_fwhm_mm: float, regions: Regions) -> Recovery:
    """Return the recovery of one head by one camera, without noise."""
    fwhm_mm = float(np.hypot(acquisition.intrinsic_fwhm_mm, filter_fwhm_mm))
    base = blur(head.base, fwhm_mm)
    reference = float(base[regions.reference].mean(dtype=np.float64))
    box = tuple(slice(side.start - _BOX_MARGIN, side.stop + _BOX_MARGIN) for side in head.box)
    margin = [(0, 0)] + [(_BOX_MARGIN, _BOX_MARGIN)] * 3
    components = blur(np.pad(head.components, margin), fwhm_mm)
    targets = [regions.targets[name] for name in MEASURED]
    matrix = [[float(component[_within(target, box)].mean()) for component in components] for target in targets]
    offset = [float(base[target].mean(dtype=np.float64)) / reference - 1 for target in targets]
    return Recovery(np.array(matrix) / reference, np.array(offset))


def mean_recovery(recoveries: list[Recovery]) -> Recovery:
    """Return the average of several."""
    matrices, offsets = zip(*((recovery.matrix, recovery.offset) for recovery in recoveries), strict=True)
    return Recovery(np.mean(matrices, axis=0), np.mean(offsets, axis=0))


def _within(indices: VoxelIndices, box: tuple[slice, ...]) -> VoxelIndices:
    """Return the same voxels counted from the corner of `box`."""
    return VoxelIndices(*(axis - side.start for axis, side in zip(indices, box, strict=True)))
