"""Scale counts, whose unit means nothing, to values in [0, 1]."""

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.errors import ScanError

GREY_LEVELS = 255
"""Steps above black of an 8-bit image; the paper stored its slices as PNG files of 8 bits."""

RATIO_AT_WHITE = 8.0
"""Voxel-to-reference ratio that becomes 1; only the brightest voxels of few scans exceed it."""


def image_max(image: FloatArray) -> NDArray[np.float32]:
    """Divide an image of any shape by its own maximum over all channels; return 8-bit levels k / 255 in [0, 1].

    Negative values (reconstruction noise) become 0. Gain cancels, and absolute uptake is lost with it.

    >>> image_max(np.array([-1.0, 2.0, 10.0]))
    array([0. , 0.2, 1. ], dtype=float32)

    Raises
    ------
    ScanError : no value of the image is positive.
    """
    maximum = float(image.max())
    if not maximum > 0:
        raise ScanError("the slices hold no positive value; is this a scan of the brain, and are the slices right?")
    grey_levels = np.rint(np.clip(image / maximum, 0, 1) * GREY_LEVELS)
    return np.asarray(grey_levels / GREY_LEVELS, dtype=np.float32)


def nonspecific_ratio(image: FloatArray, reference_mean: float) -> NDArray[np.float32]:
    """Divide an image of any shape by the nonspecific uptake and by `RATIO_AT_WHITE`, clipped to [0, 1].

    Gain cancels and absolute uptake stays: a specific binding ratio of b has the value (b + 1) / `RATIO_AT_WHITE`.
    Negative values become 0. Nothing is rounded to grey levels, as `image_max` does.

    >>> nonspecific_ratio(np.array([0.0, 100.0, 400.0]), reference_mean=100.0)  # ratios of -1, 0 and 3
    array([0.   , 0.125, 0.5  ], dtype=float32)

    Raises
    ------
    ScanError : the mean of the reference region is not positive.
    """
    if not reference_mean > 0:
        raise ScanError(f"the mean of the reference region is {reference_mean:g}; it must be positive")
    return np.asarray(np.clip(image / (reference_mean * RATIO_AT_WHITE), 0, 1), dtype=np.float32)
