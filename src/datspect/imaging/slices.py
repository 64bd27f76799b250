"""From a volume to the image that the network sees: three axial slices as three channels.

Rows run from anterior (first) to posterior, columns from the patient's left (first) to the patient's right, so that
a horizontal flip swaps left and right. This is the neurological convention; radiological displays are mirrored.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from datspect.errors import ScanError
from datspect.imaging.volume import Volume

Image = NDArray[np.floating]
"""Shape (H, W, 3)."""


def axial_slices(volume: Volume, indices: Sequence[int]) -> Image:
    """Axial slices, counted from 0 at the lowest, as channels: shape (Y, X, len(indices)), float64.

    Voxel (x, y, z) of the RAS+ `volume` lands at row Y - 1 - y, column x, and the channel of its slice z.

    Raises
    ------
    ScanError : a slice lies outside the volume.
    """
    depth = volume.data.shape[2]
    outside = [index for index in indices if not 0 <= index < depth]
    if outside:
        raise ScanError(f"slice(s) {outside} do not exist; the volume has slices 0 to {depth - 1}")
    # (x, y, slice) -> (y, x, slice), first row anterior
    return volume.data[:, :, list(indices)].transpose(1, 0, 2)[::-1].astype(np.float64)


def resize(image: Image, height: int, width: int) -> Image:
    """Bilinear interpolation at pixel centres, shape (height, width, channels); edge pixels repeat outwards.

    Where the image shrinks it is blurred first (Gaussian, sd = (shrink factor - 1) / 2 pixels of the old size),
    so that detail below the new pixel size fades instead of turning into false patterns.
    """
    return _resize_axis(_resize_axis(image, 0, height), 1, width)


def _resize_axis(image: Image, axis: int, size: int) -> Image:
    old_size = image.shape[axis]
    shrink = old_size / size
    if shrink > 1:
        image = gaussian_filter1d(image, (shrink - 1) / 2, axis=axis, mode="nearest")
    position = np.clip((np.arange(size) + 0.5) * shrink - 0.5, 0, old_size - 1)
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, old_size - 1)
    weight = (position - below).reshape(-1, *[1] * (image.ndim - axis - 1))
    resized: Image = image.take(below, axis) * (1 - weight) + image.take(above, axis) * weight
    return resized
