"""Make a volume into the image that the network sees: three axial slices as three channels.

Rows run from anterior (first) to posterior, columns from the patient's left (first) to the patient's right. A
horizontal flip swaps left and right. This is the neurological convention; radiological displays are mirrored.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datspect.arrays import FloatArray
from datspect.errors import ScanError
from datspect.imaging.volume import Volume

Image = FloatArray
"""Shape (H, W, 3)."""


def axial_slices(volume: Volume, indices: Sequence[int]) -> Image:
    """Return axial slices, counted from 0 at the lowest, as channels: shape (Y, X, len(indices)), float64.

    Voxel (x, y, z) of the RAS+ `volume`, shape (X, Y, Z), goes to row Y - 1 - y, column x, and the channel of slice z.

    >>> volume = Volume(np.arange(24).reshape(2, 3, 4), np.eye(4))
    >>> image = axial_slices(volume, [1, 2, 3])
    >>> image.shape, image[2, 1, 0] == volume.data[1, 0, 1]
    ((3, 2, 3), np.True_)

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
    """Interpolate bilinearly at pixel centres; return shape (height, width, channels). Edge pixels repeat outwards.

    `image` has shape (H, W, channels). An axis that shrinks is blurred first (Gaussian, sd = (shrink factor - 1) / 2
    pixels of the old size), so that detail below the new pixel size fades instead of turning into false patterns.

    >>> resize(np.array([[[0.0], [8.0]]]), height=1, width=4)[0, :, 0]
    array([0., 2., 6., 8.])
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
