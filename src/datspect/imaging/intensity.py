"""Intensity scales: from counts, whose unit means nothing, to values in [0, 1]."""

import numpy as np
from numpy.typing import NDArray

from datspect.errors import ScanError

GREY_LEVELS = 255
"""Steps above black of an 8-bit image, which is how the paper stored its slices (as PNG)."""

RATIO_AT_WHITE = 8.0
"""Voxel-to-reference ratio that is drawn as 1; only the brightest voxels of few scans exceed it."""


def image_max(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Divide by the image's own maximum over all channels, as 8-bit grey levels: values k / 255 in [0, 1].

    Negative values (reconstruction noise) become 0. Gain cancels; absolute uptake is lost with it.

    Raises
    ------
    ScanError : nothing in the image is positive.
    """
    maximum = float(image.max())
    if not maximum > 0:
        raise ScanError("the slices hold no positive value; is this a scan of the brain, and are the slices right?")
    grey_levels = np.rint(np.clip(image / maximum, 0, 1) * GREY_LEVELS)
    return np.asarray(grey_levels / GREY_LEVELS, dtype=np.float32)


def nonspecific_ratio(image: NDArray[np.floating], reference_mean: float) -> NDArray[np.float32]:
    """Uptake over nonspecific uptake, divided by `RATIO_AT_WHITE` and clipped to [0, 1].

    Gain cancels and absolute uptake stays: a specific binding ratio of b has the value (b + 1) / `RATIO_AT_WHITE`.
    Negative values become 0.

    Raises
    ------
    ScanError : the mean of the reference region is not positive.
    """
    if not reference_mean > 0:
        raise ScanError(f"the mean of the reference region is {reference_mean:g}; it must be positive")
    return np.asarray(np.clip(image / (reference_mean * RATIO_AT_WHITE), 0, 1), dtype=np.float32)
