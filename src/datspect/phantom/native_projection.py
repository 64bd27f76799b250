"""Project and reconstruct a body as it lies in a camera: a head in any pose, cut where the field of view ends.

The attenuation is that of the body in its own pose, so the projector is built anew for each scan; what depends on the
grid alone is built once.
"""

import math
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import BoolArray
from datspect.phantom.acquisition import Acquisition, Camera, reconstruct
from datspect.phantom.background import Activity
from datspect.phantom.projector import (
    EFFECTIVE_PER_MM,
    N_ANGLES,
    N_BINS,
    Projections,
    Projector,
    Steps,
    build_projector,
    outline,
    scattered,
    transmitted,
    transposed,
)
from datspect.phantom.reconstruction import Subsets, build_subsets

N_ACROSS = N_BINS
"""Voxels of the camera's grid along x and y; what lies outside the circle within is not seen."""
N_BEYOND = 4
"""Slices of the body on either side of the field of view, from which photons stray into it."""
_UNCORRECTED_PER_MM = 0.009
"""Attenuation as Chang's correction has it where scatter is not corrected."""


def acquire_field(
    body: Activity, acquisition: Acquisition, reference_activity: float, rng: np.random.Generator | None
) -> Activity:
    """Return the reconstruction of the field of view in units of `body`, shape (64, 64, Z - 2 N_BEYOND).

    `body`: activity on the camera's 4 mm grid, shape (64, 64, Z), `N_BEYOND` slices more than the field at either end.
    The counts of `acquisition` come from an activity of `reference_activity` (sum over voxels), that of the head alone,
    so that neither a neck nor a cut changes the noise of the brain. Without `rng` there is no noise.
    """
    seen = body * _circle()[:, :, np.newaxis]
    if not seen.any():
        return np.zeros((N_ACROSS, N_ACROSS, seen.shape[2] - 2 * N_BEYOND), dtype=np.float32)
    field = slice(N_BEYOND, seen.shape[2] - N_BEYOND)
    primary, transmission = _projected(seen, field)
    scatter = scattered(primary)
    expected_sum = float((primary + scatter).sum(dtype=np.float64))
    per_activity = np.float32(
        acquisition.counts / expected_sum * float(seen.sum(dtype=np.float64)) / reference_activity
    )
    scatter = np.ascontiguousarray(scatter[:, :, field]) * per_activity
    expected = primary[:, :, field] * per_activity + scatter
    counts = expected if rng is None else rng.poisson(expected).astype(np.float32)
    return reconstruct(counts, scatter, acquisition, _camera(transmission)) / per_activity


def _projected(seen: Activity, field: slice) -> tuple[Projections, NDArray[np.float32]]:
    """Return the expected primary counts of all slices, and the transmission of those of the field alone."""
    ways = _ways_out(outline(seen))
    transmission = np.empty(ways.shape, dtype=np.float32)
    for angle, each in enumerate(ways):  # one at a time, since indices take eight bytes
        transmission[angle] = transmitted(each, EFFECTIVE_PER_MM)
    true = replace(_projectors()[0], shape=_shape_of(seen), transmission=transmission)
    return true.forward(seen), np.ascontiguousarray(transmission[:, :, field])


def _camera(transmission: NDArray[np.float32]) -> Camera:
    """Return the camera for a field of view with `transmission`, shape (angles, pixels, slices)."""
    shape = (N_ACROSS, N_ACROSS, transmission.shape[2])
    blurred, flat = _projectors()
    true, plain = replace(blurred, transmission=transmission, shape=shape), replace(flat, shape=shape)
    subsets = _plain_subsets()
    sensitivities = np.broadcast_to(subsets.sensitivities, (len(subsets.angles), *shape))
    uncorrected = replace(subsets, model=plain, sensitivities=sensitivities)
    weaker = np.float32(_UNCORRECTED_PER_MM / EFFECTIVE_PER_MM)
    chang, weak_chang = (_undoing(transmission, power).reshape(shape) for power in (np.float32(1), weaker))
    return Camera(true, plain, uncorrected, build_subsets(true), chang, weak_chang)


def _undoing(transmission: NDArray[np.float32], power: np.float32) -> NDArray[np.float32]:
    """Return the factors by which attenuation is undone, shape (pixels, slices): one over the mean of all angles."""
    total = np.zeros(transmission.shape[1:], dtype=np.float32)
    for each in transmission:
        total += each**power
    return np.float32(len(transmission)) / total


@cache
def _projectors() -> tuple[Projector, Projector]:
    """Return the blurred and the plain projector of one slice, which see nothing outside the circle."""
    inside = _circle().ravel()
    both = (build_projector((N_ACROSS, N_ACROSS, 1), blurred=blurred) for blurred in (True, False))
    blurred, plain = (
        replace(each, matrices=tuple(matrix.multiply(inside).tocsr() for matrix in each.matrices)) for each in both
    )
    blurred, plain = (replace(each, transposes=transposed(each.matrices)) for each in (blurred, plain))
    return blurred, plain


@cache
def _plain_subsets() -> Subsets:
    return build_subsets(_projectors()[1])


@cache
def _circle() -> NDArray[np.float32]:
    """Return 1 inside the circle that every angle sees, shape (64, 64)."""
    place = np.arange(N_ACROSS) - (N_ACROSS - 1) / 2
    return np.asarray(np.hypot(place[:, np.newaxis], place) <= N_BINS / 2 - 1, dtype=np.float32)


def _shape_of(body: Activity) -> tuple[int, int, int]:
    x, y, z = body.shape
    return x, y, z


@cache
def _rays(angle: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where rays to the detector run at an angle: pixel of each point (ray, step), and point of each pixel.

    Points that lie off the grid have the pixel one past the last. Steps are voxels long and begin at the detector.
    """
    cosine, sine = math.cos(2 * math.pi * angle / N_ANGLES), math.sin(2 * math.pi * angle / N_ANGLES)
    n = math.ceil(N_ACROSS * math.sqrt(2)) + 3  # even, as the sides of the grid are
    middle, centre = (n - 1) / 2, (N_ACROSS - 1) / 2
    across, along = (place.ravel() - middle for place in np.mgrid[:n, :n])
    along = -along
    x, y = across * cosine - along * sine + centre, across * sine + along * cosine + centre
    i, j = np.rint(x).astype(np.intp), np.rint(y).astype(np.intp)
    on_grid = (i >= 0) & (i < N_ACROSS) & (j >= 0) & (j < N_ACROSS)
    pixels = np.where(on_grid, i * N_ACROSS + j, N_ACROSS**2)
    px, py = (place.ravel() - centre for place in np.mgrid[:N_ACROSS, :N_ACROSS])
    ray = np.rint(px * cosine + py * sine + middle).astype(np.intp)
    step = np.rint(middle - (py * cosine - px * sine) - 0.5).astype(np.intp)  # half of a voxel lies behind its middle
    return pixels, ray * n + step


def _ways_out(tissue: BoolArray) -> Steps:
    """Return how many voxels of tissue a photon crosses to the detector, shape (angles, pixels, slices).

    Tissue is summed along each ray once, from the detector inwards, where `projector.ways_out` walks from each voxel.
    """
    n_slices = tissue.shape[2]
    voxels = np.concatenate([tissue.reshape(-1, n_slices), np.zeros((1, n_slices), dtype=bool)]).astype(np.uint8)
    ways = np.empty((N_ANGLES, N_ACROSS**2, n_slices), dtype=np.uint8)
    for angle in range(N_ANGLES):
        pixels, points = _rays(angle)
        n = math.isqrt(len(pixels))
        rays = voxels[pixels].reshape(n, n, n_slices)
        crossed = np.cumsum(rays, axis=1, dtype=np.uint8).reshape(-1, n_slices)
        ways[angle] = crossed[points]
    return ways
