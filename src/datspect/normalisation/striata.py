"""Look for the striata in a scan on the MNI grid: whether there are any, and whether they lie where they should."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datspect.imaging.head_image import head_level
from datspect.imaging.regions import mni_affine_of, striatal_box_slices
from datspect.imaging.volume import MNI_SHAPE, Volume, smoothed
from datspect.phantom.template import mean_phantom

SMOOTHING_FWHM_MM = 8.0
"""Noise of a weak scan does not outlive it, a striatum does."""
REACH_VOXELS = 6
"""Striata are looked for up to 12 mm from their place."""
_BOX_MARGIN_MM = 6.0
_HOT_SHARE = 0.04
"""Part of the box that both striata fill at half of their height."""


@dataclass(frozen=True)
class Striata:
    """What is seen of the striata.

    contrast : uptake of the hottest part of the box around both, over the head's level
    likeness : correlation of the box with that of the mean phantom, at the best place
    offset_mm : how far that place lies from where it should, mm
    """

    contrast: float
    likeness: float
    offset_mm: float


def striata_of(volume: Volume, z_offset_voxels: float) -> Striata:
    """Look for the striata in a volume on the MNI grid, RAS+, whose voxels lie `z_offset_voxels` above MNI.

    Raises
    ------
    ScanError : nothing in the volume stands out.
    """
    smooth = smoothed(volume, SMOOTHING_FWHM_MM).data
    level = head_level(smooth[::2, ::2, ::2])
    box = striatal_box_slices(MNI_SHAPE, mni_affine_of(volume.affine, z_offset_voxels), _BOX_MARGIN_MM)
    hot = np.sort(smooth[box], axis=None)
    contrast = float(hot[-max(1, int(_HOT_SHARE * hot.size)) :].mean() / level)
    best, at = -1.0, (0, 0, 0)
    template = _template(z_offset_voxels, box)
    for shift in _shifts():
        moved = smooth[tuple(slice(side.start + by, side.stop + by) for side, by in zip(box, shift, strict=True))]
        likeness = _correlation(moved, template)
        if likeness > best:
            best, at = likeness, shift
    return Striata(contrast, best, 2.0 * float(np.linalg.norm(at)))


def _shifts() -> list[tuple[int, int, int]]:
    steps = range(-REACH_VOXELS, REACH_VOXELS + 1, 2)
    return [(x, y, z) for x in steps for y in steps for z in steps]


def _correlation(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    first = left - left.mean()
    return float((first * right).sum() / max(float(np.sqrt((first**2).sum())), 1e-12))


def _template(z_offset_voxels: float, box: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    template = smoothed(mean_phantom(z_offset_voxels), SMOOTHING_FWHM_MM / 2).data[box]
    template = template - template.mean()
    return np.asarray(template / np.sqrt((template**2).sum()), dtype=np.float32)
