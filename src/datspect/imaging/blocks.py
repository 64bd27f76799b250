"""Average blocks of voxels, as fast for one order of the axes in memory as for another."""

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray

Size = tuple[int, int, int]
"""Voxels of a block along each axis."""


def block_means(data: FloatArray | IntArray, size: Size) -> NDArray[np.float64]:
    """Return means of whole blocks, in the unit of `data`, shape (X, Y, Z) in blocks; edges are left out evenly.

    >>> block_means(np.arange(12).reshape(1, 3, 4), (1, 2, 2))
    array([[[2.5, 4.5]]])
    """
    whole = [_whole(n, per_block) for n, per_block in zip(data.shape, size, strict=True)]
    sums = data[tuple(whole)]
    # Far apart first: what is added then are long stretches of memory.
    for axis in sorted(range(data.ndim), key=lambda axis: -abs(data.strides[axis])):
        sums = _summed(sums, axis, size[axis])
    return np.asarray(sums / np.prod(size))


def _whole(n_voxels: int, per_block: int) -> slice:
    n_kept = n_voxels // per_block * per_block
    start = (n_voxels - n_kept) // 2
    return slice(start, start + n_kept)


def _summed(data: FloatArray | IntArray, axis: int, per_block: int) -> FloatArray | IntArray:
    if per_block == 1:
        return data
    first, *others = (data[(*[slice(None)] * axis, slice(k, None, per_block))] for k in range(per_block))
    sums = first.astype(np.float64)
    for other in others:
        sums += other
    return sums
