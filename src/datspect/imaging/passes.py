"""Blur, move, stretch and turn volumes by matrix products along their axes: a whole head in some milliseconds.

What comes from beyond the volume is 0, as air is.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from datspect.arrays import FloatArray
from datspect.imaging.volume import FWHM_PER_SD

Matrix = NDArray[np.float32]
"""Shape (n, n): from what lies along an axis to what shall lie there."""

_SHARPNESS = -0.5
"""Of the cubic convolution kernel: with this value it gives parabolas back (Keys 1981, doi:10.1109/TASSP.1981.1163711).
A linear one would blur what it moves."""


def along(data: FloatArray, axis: int, matrix: Matrix) -> NDArray[np.float32]:
    """Return `data`, shape (X, Y, Z), after a matrix was applied along an axis.

    >>> backwards = np.eye(3, dtype=np.float32)[::-1]
    >>> along(np.arange(3, dtype=np.float32).reshape(1, 3, 1), 1, backwards).ravel()
    array([2., 1., 0.], dtype=float32)
    """
    if axis == 2:
        return np.asarray(data @ matrix.T)
    if axis == 1:
        return np.asarray(np.matmul(matrix, data))
    return np.asarray((matrix @ data.reshape(len(data), -1)).reshape(data.shape), np.float32)


@lru_cache(maxsize=64)
def blurring(n: int, fwhm_voxels: float) -> Matrix:
    """Return a Gaussian filter of n voxels in a row; those at the ends keep their share, so that a constant stays."""
    distance = np.subtract.outer(np.arange(n), np.arange(n))
    weights = np.exp(-0.5 * np.square(distance * FWHM_PER_SD / fwhm_voxels))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=64)
def moving(n: int, shift: float, scale: float = 1.0, centre: float = 0.0) -> Matrix:
    """Return what moves n voxels in a row by `shift` voxels, and stretches them by `scale` about the voxel `centre`."""
    source = (np.arange(n) - shift - centre) / scale + centre
    matrix = np.zeros((n, n + 2 * _REACH))
    first, weights = _taps(source)
    for tap in range(4):
        at = np.clip(first + tap + _REACH, 0, n + 2 * _REACH - 1)
        np.add.at(matrix, (np.arange(n), at), weights[:, tap])
    return np.asarray(matrix[:, _REACH:-_REACH], np.float32)


def turned(data: FloatArray, axis: int, degrees: float, centre: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return `data`, shape (X, Y, Z), turned about an axis through the voxel `centre`, right-handed, voxels cubes."""
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    across = np.moveaxis(data, (first, second, axis), (0, 1, 2))
    planes = np.ascontiguousarray(across).reshape(-1, across.shape[2])
    matrix = _turning(across.shape[0], across.shape[1], float(degrees), float(centre[first]), float(centre[second]))
    return np.ascontiguousarray(np.moveaxis((matrix @ planes).reshape(across.shape), (0, 1, 2), (first, second, axis)))


_REACH = 2
"""Voxels that the kernel reaches to either side."""


def _taps(source: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the first of the four voxels that each place is made of, shape (n,), and their weights, shape (n, 4)."""
    below = np.floor(source)
    distance = np.abs((source - below)[:, None] - np.array([-1.0, 0.0, 1.0, 2.0]))
    a = _SHARPNESS
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return below.astype(np.intp) - 1, np.where(distance <= 1, near, far)


@lru_cache(maxsize=32)
def _turning(n: int, m: int, degrees: float, centre_n: float, centre_m: float) -> csr_array:
    """Return what turns planes of n x m voxels, shape (n m, n m), from the first axis towards the second."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    u, v = (each.ravel() for each in np.meshgrid(np.arange(n) - centre_n, np.arange(m) - centre_m, indexing="ij"))
    first_u, weights_u = _taps(cosine * u + sine * v + centre_n)
    first_v, weights_v = _taps(-sine * u + cosine * v + centre_m)
    at_u, at_v = (first[:, None] + np.arange(4) for first in (first_u, first_v))
    inside = ((at_u >= 0) & (at_u < n))[:, :, None] & ((at_v >= 0) & (at_v < m))[:, None, :]
    weights = (weights_u[:, :, None] * weights_v[:, None, :])[inside]
    columns = (at_u[:, :, None] * m + at_v[:, None, :])[inside]
    rows = np.broadcast_to(np.arange(n * m)[:, None, None], inside.shape)[inside]
    return csr_array((weights.astype(np.float32), (rows, columns)), shape=(n * m, n * m))
