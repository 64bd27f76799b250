"""Fit an affine to a head that was found: striata may be as bright as they are, and heads keep the sizes of people's.

A patient's striata are dim, or dim on one side. Compared with a template whose striata are bright they pull the fit
aside, so the template follows the scan: each nucleus counts by itself, as bright as it fits best. What is cut out of
view says nothing of the size of the head; there what is known of heads decides.
"""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.ndimage import distance_transform_edt, map_coordinates

from datspect.arrays import FloatArray
from datspect.imaging.head_image import HeadImage
from datspect.imaging.regions import striatal_structures, structure_fractions
from datspect.imaging.volume import Affine

SIZE, SIZE_SD = 0.95, 0.08
"""Size of heads over that of the MNI template, which is larger than the average; and its spread. [assumed]"""
SIDE_SD, SHEAR_SD = 0.03, 0.015
"""So much heads differ from each other along single axes and in shear. [assumed]"""

CENTRE_MM = np.array([0.0, -18.0, 8.0])
"""The middle of a head, mm of the template: sizes and turns are about it."""
_RADIUS_MM = 60.0
"""Steps of turn, size and shear are measured by what they move there."""
_ONE_OF = 500
"""So many points of the head count as one independent measurement: noise and anatomy are smooth, and no template has
the folds of a person. Of 10 to 1,000 the last was the most exact on simulated scans, by little."""
_EVERY = 2
_NEAR_MM, _FAR_MM = 8.0, 14.0
"""Up to the first distance uptake counts as a nucleus's, from the second on as the head's."""
_AROUND_MM = 24.0
_MOST_STEPS, _MOST_MM, _ENOUGH_MM = 15, 5.0, 0.02
_LEAST_POINTS = 1000
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, eq=False)
class HeadParts:
    """A template at N points inside and around its head, as a sum of P parts.

    points_mm : shape (N, 3), mm of the template
    parts : shape (N, P): uptake of the head without its striata, then what each nucleus adds
    """

    points_mm: FloatArray
    parts: FloatArray


def head_parts(template: HeadImage, z_offset_mm: float) -> HeadParts:
    """Take a template apart; its voxels lie `z_offset_mm` above MNI, and `seen` is where it is compared."""
    to_mni = np.diag([*[template.step_mm] * 3, 1.0])
    to_mni[:3, 3] = template.corner_mm - [0.0, 0.0, z_offset_mm]
    fractions = [structure_fractions(each, template.values.shape, to_mni) for each in striatal_structures().values()]
    distances = np.stack([distance_transform_edt(each <= each.max() / 2) * template.step_mm for each in fractions])
    nearest = distances.min(axis=0)
    share = np.clip((_FAR_MM - nearest) / (_FAR_MM - _NEAR_MM), 0, 1)
    around = np.median(template.values[(nearest > _FAR_MM) & (nearest < _AROUND_MM)])
    binding = share * (template.values - around)
    parts = [template.values - binding, *(binding * (distances.argmin(axis=0) == k) for k in range(len(fractions)))]
    places = np.argwhere(template.seen)
    places = places[places.sum(axis=1) % _EVERY == 0]
    values = np.stack([each[tuple(places.T)] for each in parts], axis=1)
    return HeadParts(template.corner_mm + template.step_mm * places, values)


def fitted_affine(scan: HeadImage, head: HeadParts, to_scan: Affine) -> Affine:
    """Return the affine, template mm to scan mm, near `to_scan` by which the scan is most nearly a sum of the parts.

    The steps are those of Gauss and Newton. Where little of the head is seen the affine stays as it is.
    """
    gradient: list[NDArray[np.float32]] = list(np.gradient(scan.values, scan.step_mm))
    moves, likely = _generators(), _change_of_unusual()
    shifts_mm = np.einsum("pij,nj->npi", moves[:, :3], np.c_[head.points_mm, np.ones(len(head.points_mm))])
    for _ in range(_MOST_STEPS):
        index = ((apply_affine(to_scan, head.points_mm) - scan.corner_mm) / scan.step_mm).T
        is_seen = map_coordinates(scan.seen.astype(np.uint8), index, order=0, mode="constant", cval=0) > 0
        if is_seen.sum() < _LEAST_POINTS:
            break
        index = index[:, is_seen]
        slopes = np.stack([_sampled(each, index) for each in gradient], axis=1) @ to_scan[:3, :3]
        change = np.einsum("ni,npi->np", slopes, shifts_mm[is_seen])
        step = _step(_sampled(scan.values, index), change, head.parts[is_seen], _unusual(to_scan), likely)
        to_scan = to_scan @ expm(np.einsum("p,pij->ij", step, moves))
        if np.abs(step).max() < _ENOUGH_MM:
            break
    return to_scan


def _sampled(values: NDArray[np.float32], index: FloatArray) -> FloatArray:
    """Return values at places, shape (3, N)."""
    return np.asarray(map_coordinates(values, index, np.float64, order=1, mode="nearest"))


def _step(
    values: FloatArray, change: FloatArray, parts: FloatArray, unusual: FloatArray, likely: FloatArray
) -> FloatArray:
    """Return the most probable step, shape (12,), mm.

    values, change : of the scan at N points, shape (N,), and what each move changes of them, shape (N, 12)
    parts : shape (N, P); as much of each as fits best is left out of both
    unusual, likely : how unusual the head is, shape (7,), and what each move changes of it, shape (7, 12)
    """
    basis, _ = np.linalg.qr(np.c_[np.ones(len(values)), parts])
    left, change = (each - basis @ (basis.T @ each) for each in (values, change))
    weight = 1 / (_ONE_OF * max(float(left.var()), _LEAST_VARIANCE))
    curvature = weight * change.T @ change + likely.T @ likely
    step: FloatArray = -np.linalg.lstsq(curvature, weight * change.T @ left + likely.T @ unusual, rcond=None)[0]
    return step * min(1.0, _MOST_MM / max(float(np.abs(step).max()), _ENOUGH_MM))


def _generators() -> FloatArray:
    """Return moves by 1 mm, shape (12, 4, 4): shifts, and about the centre turns, growth along axes, and shears."""
    moves = np.zeros((12, 4, 4))
    for k, (a, b) in enumerate(((1, 2), (0, 2), (0, 1))):
        moves[k, k, 3] = 1.0
        moves[3 + k, a, b], moves[3 + k, b, a] = -1 / _RADIUS_MM, 1 / _RADIUS_MM
        moves[6 + k, k, k] = 1 / _RADIUS_MM
        moves[9 + k, a, b] = moves[9 + k, b, a] = 1 / _RADIUS_MM
    moves[3:, :3, 3] = -moves[3:, :3, :3] @ CENTRE_MM
    return moves


def _unusual(to_scan: Affine) -> FloatArray:
    """Return how far a head's sizes and shears are from those of people, shape (7,), in standard deviations."""
    squared, axes = np.linalg.eigh(to_scan[:3, :3].T @ to_scan[:3, :3])
    stretch = (axes * (np.log(squared) / 2)) @ axes.T
    mean = np.trace(stretch) / 3
    sides, shears = np.diag(stretch) - mean, stretch[(1, 0, 0), (2, 2, 1)]
    return np.concatenate([sides / SIDE_SD, [(mean - np.log(SIZE)) / SIZE_SD], shears / SHEAR_SD])


def _change_of_unusual() -> FloatArray:
    """Return by how much `_unusual` changes with each of `_generators`, shape (7, 12), where sizes are near 1."""
    change = np.zeros((7, 12))
    change[:3, 6:9] = (np.eye(3) - 1 / 3) / SIDE_SD
    change[3, 6:9] = 1 / 3 / SIZE_SD
    change[4:, 9:] = np.eye(3) / SHEAR_SD
    return change / _RADIUS_MM
