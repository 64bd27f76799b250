"""The coarse waves of a volume on the MNI grid: its Fourier coefficients down to a wavelength, and back."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from datspect.imaging.volume import MNI_SHAPE, Voxels, mni_affine

Fingerprint = NDArray[np.complex64]
"""A scan's coarse Fourier coefficients, shape (3692,), 30 kB."""

FINEST_MM = 16.0
"""The shortest wavelength."""

_VOXEL_MM = float(mni_affine()[2, 2])


@cache
def grid() -> tuple[NDArray[np.float64], tuple[NDArray[np.intp], ...]]:
    """Return frequencies (cycles per mm along x, y, z), rising, shape (3, 3692), and their places in `spectrum`.

    They hold one of each two opposite frequencies, whose coefficients are conjugates. The first is 0, the mean.
    """
    axes = [waves / (_VOXEL_MM * size) for waves, size in zip(_wave_numbers(), MNI_SHAPE, strict=True)]
    z, y, x = (grid.ravel() for grid in np.meshgrid(*reversed(axes), indexing="ij"))
    length = np.sqrt(x**2 + y**2 + z**2)
    kept = (length <= 1 / FINEST_MM) & ((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z >= 0)))))
    order = np.flatnonzero(kept)[np.argsort(length[kept], kind="stable")]
    return np.stack([x, y, z])[:, order], np.unravel_index(order, [len(axis) for axis in reversed(axes)])


def _wave_numbers() -> list[NDArray[np.int64]]:
    """Return the waves per side length: along x from 0 upwards, along y and z both ways."""
    most = [int(_VOXEL_MM * size / FINEST_MM) for size in MNI_SHAPE]
    return [np.arange(0 if axis == 0 else -limit, limit + 1) for axis, limit in enumerate(most)]


@cache
def _waves() -> list[NDArray[np.complex64]]:
    """Return exp(-2 pi i k x / size) along x, y and z, each of shape (size, waves), x from the middle of the grid."""
    places = [np.arange(size) - (size - 1) / 2 for size in MNI_SHAPE]
    return [
        np.exp(-2j * np.pi * np.outer(place, waves) / len(place)).astype(np.complex64)
        for place, waves in zip(places, _wave_numbers(), strict=True)
    ]


def coefficients(data: Voxels) -> Fingerprint:
    """Return the Fourier coefficients of voxels `data`, shape `MNI_SHAPE`, in the order of `grid`."""
    along_x, along_y, along_z = _waves()
    # x is the fastest axis of a NIfTI file, hence the transpose. Voxels are real, which halves the longest product.
    rows = np.ascontiguousarray(data.T, dtype=np.float32).reshape(-1, len(along_x))
    parts = rows @ np.concatenate([along_x.real, along_x.imag], axis=1)
    partial = (parts[:, : along_x.shape[1]] + 1j * parts[:, along_x.shape[1] :]).reshape(len(along_z), len(along_y), -1)
    spectrum = np.tensordot(along_z.T, along_y.T @ partial, axes=1)  # (kz, z) x (z, ky, kx)
    return np.asarray(spectrum[grid()[1]], dtype=np.complex64)


def voxels(coarse: Fingerprint) -> NDArray[np.float32]:
    """Return the volume of these waves alone, shape `MNI_SHAPE`: what `coefficients` leaves of a volume."""
    along_x, along_y, along_z = _waves()
    spectrum = np.zeros([waves.shape[1] for waves in (along_z, along_y, along_x)], dtype=np.complex64)
    spectrum[grid()[1]] = coarse * np.where(np.arange(len(coarse)) > 0, 2, 1)  # all but the mean stand for two
    rows = np.einsum("yk,zkx->zyx", along_y.conj(), np.tensordot(along_z.conj(), spectrum, axes=1))
    return np.asarray((rows @ along_x.conj().T).real.T / np.prod(MNI_SHAPE), dtype=np.float32)
