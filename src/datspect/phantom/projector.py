"""Project a head as a rotating gamma camera does, slice by slice: attenuation, blur that grows with distance, scatter.

Everything here is sums and products of rounded numbers, without BLAS and without the vectorised exponentials that
differ from processor to processor.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_fill_holes, gaussian_filter, gaussian_filter1d
from scipy.sparse import csr_matrix
from scipy.special import ndtr

from datspect.arrays import BoolArray, FloatArray

Activity = NDArray[np.float32]
"""Tracer per volume, in units of occipital grey matter, or an image of it, shape (X, Y, Z) or (X, Y, heads, Z).

Several heads of one outline are projected in less time together, each to the same bits as alone.
"""
Projections = NDArray[np.float32]
"""Counts or expected counts, shape (angles, bins, slices) or (angles, bins, heads, slices)."""
Steps = NDArray[np.uint8]
"""Length of the way out of the head in voxels, shape (angles, pixels, slices)."""

GRID_MM = 4.0
"""Side of a voxel of the camera's grid and width of a bin."""
N_ANGLES, N_BINS = 120, 64
_ORBIT_MM = 140.0
"""Distance of the detector from the axis of rotation. [assumed]"""
_INTRINSIC_FWHM_MM, _HOLE_MM, _SPREAD_PER_MM = 3.6, 1.5, 0.045
"""Resolution of a low-energy high-resolution collimator: 8.6 mm FWHM at the axis. [assumed]"""
EFFECTIVE_PER_MM = 0.012
"""Attenuation of 159 keV photons, 0.15 per cm of water, less those that scatter by small angles: they stay in the
energy window and land about where they would have gone. Broad-beam values are 0.11 to 0.12 per cm. [assumed]"""
SCATTER_FRACTION = 0.2
"""Scattered photons over all photons that fall into the energy window. [assumed]"""
_SCATTER_FWHM_MM = 110.0
_OUTLINE = 0.25
"""The head begins at this share of the median activity inside of it; air cavities count as tissue."""
_TAPS, _SMALLEST_SHARE = 4, 1e-3
"""A pixel's photons reach so many bins to either side; smaller shares of them are left out."""
FWHM_PER_SD = float(2 * np.sqrt(2 * np.log(2)))


@dataclass(frozen=True)
class Projector:
    """A linear model of the camera.

    matrices : one an angle, shape (bins, pixels of a slice)
    transposes : of `matrices`, by rows as they are
    transmission : share of photons that leave the head, shape (angles, pixels, slices); None: no attenuation
    axial_sd : blur along z, in voxels
    shape : of the volumes, (X, Y, Z)
    """

    matrices: tuple[csr_matrix, ...]
    transposes: tuple[csr_matrix, ...]
    transmission: NDArray[np.float32] | None
    axial_sd: float
    shape: tuple[int, int, int]

    def forward(self, volume: Activity, angles: range | None = None) -> Projections:
        """Return the expected primary counts of `volume`, shape (X, Y, ..., Z), at `angles` (None: all)."""
        pixels = self._by_pixel(self._blurred_along_z(volume))
        seen = pixels if self.transmission is None else np.empty_like(pixels)
        angles = angles or range(N_ANGLES)
        projections = np.empty((len(angles), N_BINS, pixels[0].size), dtype=np.float32)
        for angle, projection in zip(angles, projections, strict=True):
            if self.transmission is not None:
                np.multiply(pixels, self.transmission[angle][:, np.newaxis], out=seen)
            projection[:] = self.matrices[angle] @ seen.reshape(len(seen), -1)
        return projections.reshape(len(angles), N_BINS, *volume.shape[2:])

    def back(self, projections: Projections, angles: range | None = None) -> Activity:
        """Return the transpose of `forward`, shape (X, Y, ..., Z); `projections` hold `angles` alone."""
        volume = np.zeros((*self.shape[:2], *projections.shape[2:]), dtype=np.float32)
        pixels = self._by_pixel(volume)
        for angle, projection in zip(angles or range(N_ANGLES), projections, strict=True):
            spread = (self.transposes[angle] @ projection.reshape(N_BINS, -1)).reshape(pixels.shape)
            if self.transmission is not None:
                spread *= self.transmission[angle][:, np.newaxis]
            pixels += spread
        return self._blurred_along_z(volume)

    def _by_pixel(self, volume: Activity) -> NDArray[np.float32]:
        """Return `volume` in shape (pixels, heads, slices)."""
        return volume.reshape(self.shape[0] * self.shape[1], -1, self.shape[2])

    def _blurred_along_z(self, volume: Activity) -> Activity:
        if self.axial_sd == 0:
            return volume
        return np.asarray(gaussian_filter1d(volume, self.axial_sd, axis=-1, mode="constant"), dtype=np.float32)


def build_projector(
    shape: tuple[int, int, int], *, blurred: bool, transmission: NDArray[np.float32] | None = None
) -> Projector:
    """Return a camera for volumes of `shape` on the 4 mm grid, with or without its blur and the head's attenuation."""
    matrices = tuple(_matrix(shape[:2], angle, blurred) for angle in _angles())
    axial_sd = collimator_sd_mm(np.array(_ORBIT_MM)) / GRID_MM if blurred else 0.0
    return Projector(matrices, transposed(matrices), transmission, float(axial_sd), shape)


def transposed(matrices: tuple[csr_matrix, ...]) -> tuple[csr_matrix, ...]:
    """Return the transposes by rows: products with them add in the same order, and none is transposed anew."""
    return tuple(matrix.T.tocsr() for matrix in matrices)


def collimator_sd_mm(distance_mm: FloatArray) -> FloatArray:
    """Return the sd of the camera's blur at a distance from the detector; mm."""
    return np.asarray(np.hypot(_INTRINSIC_FWHM_MM, _HOLE_MM + _SPREAD_PER_MM * distance_mm) / FWHM_PER_SD)


def outline(activity: Activity) -> BoolArray:
    """Return the head, shape (X, Y, Z): what holds activity, and what lies inside of that in any slice."""
    smooth = gaussian_filter(activity, 1.0)
    head = smooth > _OUTLINE * float(np.median(smooth[smooth > smooth.max() / 20]))
    head = binary_closing(np.pad(head, 3), iterations=3)[3:-3, 3:-3, 3:-3]
    return np.stack([binary_fill_holes(head[:, :, z]) for z in range(head.shape[2])], axis=2)


def ways_out(head: BoolArray) -> Steps:
    """Return how many voxels of the head a photon crosses to the detector, from each voxel, at each angle."""
    voxels = np.concatenate([head.reshape(-1, head.shape[2]), np.zeros((1, head.shape[2]), dtype=bool)])
    return np.stack([_way_out(voxels, head.shape[:2], angle) for angle in _angles()])


def transmitted(ways: Steps, per_mm: float) -> NDArray[np.float32]:
    """Return the share of photons that reach the detector, shape of `ways`, at an attenuation of `per_mm`."""
    by_steps = [math.exp(-per_mm * GRID_MM * n) for n in range(int(ways.max()) + 1)]
    return np.array(by_steps, dtype=np.float32)[ways]


def scattered(primary: Projections) -> Projections:
    """Return scatter in projections, shape of `primary`: a broad copy of them that holds `SCATTER_FRACTION` of all."""
    sd = _SCATTER_FWHM_MM / FWHM_PER_SD / GRID_MM
    broad = gaussian_filter(primary, sd, axes=(1, -1), mode="constant", truncate=3.0)
    return np.asarray(broad * (SCATTER_FRACTION / (1 - SCATTER_FRACTION)), dtype=np.float32)


def _angles() -> list[float]:
    return [2 * math.pi * i / N_ANGLES for i in range(N_ANGLES)]


def _plane_mm(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return x and y of the pixels of a slice, mm from the axis, shape (pixels,) each."""
    x, y = (GRID_MM * (np.arange(size) - (size - 1) / 2) for size in shape)
    return np.repeat(x, len(y)), np.tile(y, len(x))


def _matrix(shape: tuple[int, ...], angle: float, blurred: bool) -> csr_matrix:
    """Return the share of each pixel that each bin sees, shape (bins, pixels)."""
    x_mm, y_mm = _plane_mm(shape)
    centre = (x_mm * math.cos(angle) + y_mm * math.sin(angle)) / GRID_MM + (N_BINS - 1) / 2
    distance_mm = _ORBIT_MM - (y_mm * math.cos(angle) - x_mm * math.sin(angle))
    # A pixel's own width spreads it by 1/12 of a bin squared.
    sd = np.hypot(collimator_sd_mm(distance_mm) / GRID_MM, 12**-0.5) if blurred else np.full(len(x_mm), 0.4)
    bins = np.rint(centre).astype(np.intp) + np.arange(-_TAPS, _TAPS + 1)[:, np.newaxis]
    shares = ndtr((bins + 0.5 - centre) / sd) - ndtr((bins - 0.5 - centre) / sd)
    seen = (bins >= 0) & (bins < N_BINS) & (shares > _SMALLEST_SHARE)
    pixels = np.broadcast_to(np.arange(len(x_mm)), bins.shape)
    return csr_matrix((shares[seen].astype(np.float32), (bins[seen], pixels[seen])), shape=(N_BINS, len(x_mm)))


def _way_out(voxels: BoolArray, shape: tuple[int, ...], angle: float) -> Steps:
    """Return the ways out at one angle, shape (pixels, slices); the last row of `voxels` is what lies off the grid."""
    x, y = (place / GRID_MM + (size - 1) / 2 for place, size in zip(_plane_mm(shape), shape, strict=True))
    crossed = np.zeros((len(x), voxels.shape[1]), dtype=np.uint8)
    for step in np.arange(0.5, math.hypot(*shape)):
        i = np.rint(x - step * math.sin(angle)).astype(np.intp)
        j = np.rint(y + step * math.cos(angle)).astype(np.intp)
        on_grid = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
        crossed += voxels[np.where(on_grid, i * shape[1] + j, -1)]
    return crossed
