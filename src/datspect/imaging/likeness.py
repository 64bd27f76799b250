"""Find scans that are copies of one acquisition, however smoothed, shifted or exported anew.

A copy keeps the counting noise and the small anatomy of its original, which no second acquisition has. Copies keep
both in the coarse spatial frequencies. They are compared there, after place, sharpness and scale are fitted away.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from datspect.errors import ScanError
from datspect.imaging.coarse_waves import FINEST_MM, Fingerprint, coefficients, grid, voxels
from datspect.imaging.volume import MNI_SHAPE, Voxels

Unseen = NDArray[np.uint8]
"""How much of each 8 mm cell of the MNI grid a scan does not show, 0 to 255; shape (23, 28, 23), 15 kB."""

COARSEST_MM = 40.0
"""Wavelengths from `FINEST_MM` to this are compared. Finer ones do not outlive 8 mm of smoothing. Coarser ones are the
head's outline and serve to align the scans."""
MIN_SCANS = 16
"""Fewer scans do not show what is common to all; see `near_copies`."""
ALIKE = 0.5
"""Two scans may be copies from this correlation, once the cohort's mean is fitted away; one pair of distinct subjects
in thirty reaches it."""
COPIED = 0.35
"""Least partial correlation of copies. Distinct subjects reach 0.3 in a cohort of sixty, 0.15 in one of hundreds; a
second acquisition of the same head reaches 0.2."""
FALSE_ALARM = 1e-3
"""Chance that a cohort's candidates hold a false alarm, if partial correlations of distinct scans are normal."""
NOISE_SHARE = 0.05
"""Part of a scan's residual that never counts as its own: rounding and interpolation may add it."""
STRICT_MISFIT = 1.2e-3
"""Relative misfit of a copy in a small cohort. Counting noise alone sets two acquisitions 50 times further apart."""
_CLUSTER = 0.8
"""A third scan may be a copy too from this correlation."""
_CLUSTER_SHARE = 0.1
"""Such scans are copies only if they are at most this share of the cohort; else they show what is common."""
_CUT = 0.02
"""From this share of the mean scan a scan counts as cut: less is noise at the edge of the head."""
_NOTHING = 0.2
"""Of the volume's mean, about a twentieth of the brain's uptake: the smoothed edge of a cut scan lies above it."""
_CELL = 4
"""Voxels along the side of a cell of `Unseen`."""
_ALIGNING_STEPS = 8
_NORMAL = NormalDist()


def fingerprint(data: Voxels) -> Fingerprint:
    """Return what `near_copies` compares, shape (3692,), of voxels `data`, shape `MNI_SHAPE`, RAS+, any scale.

    Raises
    ------
    ScanError : the shape is another one, or the volume has no structure coarser than `FINEST_MM`.
    """
    if data.shape != MNI_SHAPE:
        raise ScanError(f"expected shape {MNI_SHAPE} on the 2 mm MNI grid, got {data.shape}; normalise it first")
    found = coefficients(data)
    size = np.linalg.norm(found[1:])  # without the mean, which an offset of the grey values changes
    if not size > 0:
        raise ScanError("the volume has no structure; it is empty")
    return np.asarray(found / size, dtype=np.complex64)


def unseen(data: Voxels) -> Unseen:
    """Return where voxels `data`, shape `MNI_SHAPE`, hold next to nothing: air, or what lies out of view."""
    lowest = float(data.min())
    nothing = data <= lowest + _NOTHING * (data.mean(dtype=np.float64) - lowest)
    empty = np.pad(nothing.astype(np.float32), [(0, -size % _CELL) for size in MNI_SHAPE])
    cells = empty.reshape([part for size in empty.shape for part in (size // _CELL, _CELL)])
    return np.asarray(np.rint(255 * cells.mean(axis=(1, 3, 5))), dtype=np.uint8)


def near_copies(
    fingerprints: NDArray[np.complex64], out_of_view: Sequence[Unseen | None] = ()
) -> list[tuple[int, int]]:
    """Return pairs (i, j), i < j, that are copies of one acquisition; `fingerprints` has shape (n, 3692).

    `out_of_view`: what `unseen` gives of each scan, in the same order. Two cut fields of view are alike where they end,
    as few others are. So copies must be found again once what is cut away is fitted away too. Without it a scan counts
    as whole.

    `MIN_SCANS` or more scans: two are copies under two conditions. They correlate by `ALIKE` once the mean scan is
    fitted away. They still correlate by `COPIED` and beyond chance once all that the other scans explain is fitted away
    too (the partial correlation). Distinct scans of one disease, camera or head shape are alike, but only in what other
    scans share as well.

    Fewer scans do not show what others share, and a stricter rule holds: one scan must follow from the other by scale,
    offset, shift and blur, but for a misfit of `STRICT_MISFIT`. This finds copies that were exported anew or lightly
    smoothed; it does not find shifts that lose slices or interpolate.
    """
    if len(fingerprints) < MIN_SCANS:
        pairs = zip(*np.triu_indices(len(fingerprints), 1), strict=True)
        return [(int(i), int(j)) for i, j in pairs if misfit(fingerprints[i], fingerprints[j]) <= STRICT_MISFIT]
    alike = _alike(_residuals(fingerprints))
    if not alike:
        return []
    shown = _alike(_residuals(fingerprints, out_of_view))
    return [pair for pair in alike if pair in shown]


def _alike(residuals: NDArray[np.float64]) -> list[tuple[int, int]]:
    correlation = residuals @ residuals.T
    candidates = [(int(i), int(j)) for i, j in np.argwhere(np.triu(correlation, 1) >= ALIKE)]
    precision = np.asarray(np.linalg.inv(correlation + NOISE_SHARE * np.eye(len(correlation))), dtype=np.float64)
    limit = _limit(precision, len(candidates))
    return [pair for pair in candidates if _within_cluster(precision, correlation, pair) >= limit]


def misfit(first: Fingerprint, second: Fingerprint) -> float:
    """Return what share of `second`, shape (3692,), does not follow from `first` by scale, offset, shift and blur."""
    moved = _aligned(second[np.newaxis], first)
    rest = _without(moved[:, 1:], _blurs_and_shifts(first)[:, 1:])
    return float(np.linalg.norm(rest) / np.linalg.norm(second[1:]))


def _limit(precision: NDArray[np.float64], n_candidates: int) -> float:
    """Return the partial correlation that no pair of distinct scans among `n_candidates` reaches by chance."""
    scale = np.sqrt(np.diag(precision))
    values = (-precision / scale / scale[:, np.newaxis])[np.triu_indices(len(precision), 1)]
    centre = float(np.median(values))
    spread = float(np.median(np.abs(values - centre)) / _NORMAL.inv_cdf(0.75))
    return max(COPIED, centre + _NORMAL.inv_cdf(1 - FALSE_ALARM / max(1, n_candidates)) * spread)


def _within_cluster(precision: NDArray[np.float64], correlation: NDArray[np.float64], pair: tuple[int, int]) -> float:
    """Return a pair's partial correlation given all scans outside its cluster: a third copy must not explain it."""
    similar = np.flatnonzero((correlation[list(pair)] >= _CLUSTER).any(axis=0))
    others = [int(scan) for scan in similar if scan not in pair]
    if len(others) > _CLUSTER_SHARE * len(correlation):
        others = []
    cluster = [*pair, *others]
    covariance = np.linalg.inv(precision[np.ix_(cluster, cluster)])
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def _residuals(fingerprints: NDArray[np.complex64], out_of_view: Sequence[Unseen | None] = ()) -> NDArray[np.float64]:
    """Return what the mean scan, blurred, moved and cut to fit, leaves of each; real rows of norm 1."""
    mean = fingerprints.mean(axis=0)
    for _ in range(2):
        aligned = _aligned(fingerprints, mean)
        mean = aligned.mean(axis=0)
    compared = np.linalg.norm(grid()[0], axis=0) >= 1 / COARSEST_MM
    whole = _blurs_and_shifts(mean)[:, compared]
    rest = _without(aligned[:, compared], whole)
    for scan, missing in _cut_away(mean, out_of_view).items():
        # Aligned with the whole mean, the scan would be pulled away from its cut.
        moved = _aligned(fingerprints[scan : scan + 1], mean - missing)
        cut = np.concatenate([whole, _blurs_and_shifts(missing)[:, compared]])
        rest[scan] = _without(moved[:, compared], cut)[0]
    sizes = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.asarray(rest / np.maximum(sizes, np.finfo(np.float32).tiny), dtype=np.float64)


def _cut_away(mean: Fingerprint, out_of_view: Sequence[Unseen | None]) -> dict[int, Fingerprint]:
    """Return the part of the mean scan that each cut scan does not show, by the scan's place in `out_of_view`."""
    shown = np.maximum(voxels(mean), 0)
    found = {}
    for scan, cells in enumerate(out_of_view):
        if cells is None:
            continue
        missing = shown * _at_voxels(cells)
        if missing.sum() > _CUT * shown.sum():
            found[scan] = coefficients(missing)
    return found


def _at_voxels(cells: Unseen) -> NDArray[np.float32]:
    """Return the share of each voxel's cell, 0 to 1, shape `MNI_SHAPE`."""
    for axis in range(cells.ndim):
        cells = np.repeat(cells, _CELL, axis=axis)
    return np.asarray(cells[tuple(slice(size) for size in MNI_SHAPE)] / np.float32(255))


def _aligned(fingerprints: NDArray[np.complex64], reference: Fingerprint) -> NDArray[np.complex64]:
    """Return the scans moved onto `reference`, by their coarsest waves; shape (n, 3692)."""
    frequencies = grid()[0]
    coarse = np.linalg.norm(frequencies, axis=0) <= 1 / COARSEST_MM
    waves, product = frequencies[:, coarse], fingerprints[:, coarse] * reference[coarse].conj()
    curvature = np.einsum("nd,ad,bd->nab", np.abs(product), waves, waves) * 2 * np.pi
    shifts_mm = np.zeros((len(fingerprints), 3))
    for _ in range(_ALIGNING_STEPS):
        # The curvature at perfect agreement is the largest: a step never overshoots, and the overlap never falls.
        slope = -(product * _phases(shifts_mm, waves)).imag @ waves.T
        shifts_mm += np.linalg.solve(curvature, slope[:, :, np.newaxis])[:, :, 0]
    return np.asarray(fingerprints * _phases(shifts_mm, frequencies))


def _phases(shifts_mm: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Return exp(2 pi i shift wave), shape (n, waves)."""
    angles = (2 * np.pi * shifts_mm @ waves).astype(np.float32)
    phases = np.empty(angles.shape, dtype=np.complex64)
    # exp of complex numbers takes thirty times as long.
    np.cos(angles, out=phases.real)
    np.sin(angles, out=phases.imag)
    return phases


def _blurs_and_shifts(scan: Fingerprint) -> NDArray[np.complex64]:
    """Return `scan` and what a little blur or shift along any axis adds to it, shape (12, 3692).

    A blur multiplies the coefficient of frequency f by a function of f^2 along each axis, a shift by 1 + i a f.
    """
    waves = grid()[0] * FINEST_MM
    squared = (waves**2).sum(axis=0)
    factors = [np.ones_like(squared), *waves**2, squared**2, squared**3, *(1j * waves), *(1j * waves * squared)]
    return np.asarray(np.stack(factors) * scan, dtype=np.complex64)


def _without(scans: NDArray[np.complex64], basis: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return what a fit of `basis` with real factors leaves of each scan; real and imaginary parts side by side."""
    rows, columns = (np.concatenate([part.real, part.imag], axis=1) for part in (scans, basis))
    directions = np.linalg.qr(columns.T)[0]
    return np.asarray(rows - (rows @ directions) @ directions.T)
