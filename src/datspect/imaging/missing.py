"""Take voxels without a value for background where they lie outside the head, as those beyond a field of view do."""

import numpy as np

from datspect.errors import ScanError
from datspect.imaging.volume import Mask, Voxels

HEAD_SHARE = 0.1
"""Voxels above this share of a high percentile belong to the head: its background is a third of the striata."""

_HIGH_PERCENTILE = 99.9


def without_missing(voxels: Voxels) -> tuple[Voxels, int]:
    """Return voxels, shape (X, Y, Z), with 0 for NaN, and how many voxels were NaN.

    A NaN lies inside if voxels of the head lie on both sides of it along all three axes. A field of view is convex, so
    no voxel beyond it is inside in this sense, however oblique its border and however much of the head it cuts off.

    Raises
    ------
    ScanError : a voxel is infinite, a NaN lies inside the head, or no voxel has a value.
    """
    if voxels.dtype.kind != "f" or np.isfinite(voxels).all():
        return voxels, 0
    missing = np.isnan(voxels)
    if np.isinf(voxels).any():
        raise ScanError("voxels hold infinity; convert the scan anew, or replace it by what was measured there")
    if missing.all():
        raise ScanError("voxels hold NaN and nothing else; convert the scan anew")
    filled = np.where(missing, 0, voxels)
    head = filled > HEAD_SHARE * np.percentile(filled[~missing], _HIGH_PERCENTILE)
    n_inside = int((missing & _enclosed(head)).sum())
    if n_inside:
        raise ScanError(
            f"NaN in {n_inside} of the voxels inside the head; fill them from the original (NaN outside counts as 0)"
        )
    return filled, int(missing.sum())


def _enclosed(head: Mask) -> Mask:
    """Return where voxels of `head`, shape (X, Y, Z), lie on both sides along every axis."""
    inside = np.ones_like(head)
    for axis in range(3):
        inside &= np.logical_or.accumulate(head, axis=axis)
        inside &= np.flip(np.logical_or.accumulate(np.flip(head, axis), axis=axis), axis)
    return inside
