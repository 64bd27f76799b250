"""Find a head in a field of view: where, and turned how, the template correlates best; coarse, but never far off.

Every shift is tried at once, by Fourier transforms, for some turns of the template and for voxels that may run the
wrong way. Only what lies under the template's mask counts, so that necks, shoulders and cut views do no harm (masked
normalised correlation: Padfield 2012, doi:10.1109/TIP.2011.2181402).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from datspect.imaging.head_image import HeadImage
from datspect.imaging.volume import Affine

Flips = Literal["", "y", "z", "yz"]
"""Axes along which voxels run the wrong way; "" for none."""

FLIPS: tuple[Flips, ...] = ("", "y", "z", "yz")

TURN_DEGREES = 16.0
"""Heads lie within some twenty degrees of upright; half a step is near enough for what comes after."""
LEAST_SHARE_SEEN = 0.6
"""So much of the mask must lie within the field of view."""

_TURNS = tuple(
    TURN_DEGREES * np.array(turn)
    for turn in (
        *((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)),
        *((1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0), (1, 0, 1), (1, 0, -1), (-1, 0, 1), (-1, 0, -1)),
    )
)
_SMALLEST_VARIANCE = 1e-6

Spectrum = NDArray[np.complex64]


@dataclass(frozen=True)
class Start:
    """A place of the head: `to_scan`, shape (4, 4), leads from the template's mm to those of the scan."""

    likeness: float
    flips: Flips
    to_scan: Affine


def found_heads(scan: HeadImage, template: HeadImage, flips: Iterable[Flips] = FLIPS) -> list[Start]:
    """Return the best place for every turn and flip, best first; `template.seen` is the mask. Both grids are coarse."""
    padded = _padded_shape(scan, template)
    seen = scan.seen.astype(np.float32)
    values = scan.values * seen
    spectra = (fft.rfftn(values, s=padded), fft.rfftn(values**2, s=padded), fft.rfftn(seen, s=padded))
    starts = []
    for flip in flips:
        for turn in _TURNS:
            matrix = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * signs(flip)
            likeness, place = _best_place(spectra, *_turned(template, matrix), padded)
            starts.append(Start(likeness, flip, _to_scan(matrix, place, scan, template)))
    return sorted(starts, key=lambda start: -start.likeness)


def _padded_shape(scan: HeadImage, template: HeadImage) -> list[int]:
    """Return the shape of a grid on which the two can be shifted past each other."""
    lengths = np.add(scan.values.shape, template.values.shape) - 1
    return [int(fft.next_fast_len(length, real=True)) for length in lengths.tolist()]


def signs(flips: Flips) -> NDArray[np.float64]:
    """Return -1 for axes that run the wrong way, else 1, shape (3,)."""
    return np.array([-1.0 if axis in flips else 1.0 for axis in "xyz"])


def _turned(template: HeadImage, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return values and mask of the template, turned about the middle of its grid."""
    inverse = np.linalg.inv(matrix)
    middle = (np.array(template.values.shape) - 1) / 2
    turn = partial(affine_transform, matrix=inverse, offset=middle - inverse @ middle, order=1, output=np.float32)
    return turn(template.values), turn(template.seen.astype(np.float32))


def _best_place(
    scan: tuple[Spectrum, Spectrum, Spectrum],
    template: NDArray[np.float32],
    mask: NDArray[np.float32],
    padded: list[int],
) -> tuple[float, NDArray[np.intp]]:
    """Return the highest correlation over all shifts that leave enough of the mask in view, and that shift."""
    values, squares, seen = scan
    of_template = [fft.rfftn(part, s=padded) for part in (mask, template * mask, template**2 * mask)]
    weight, first, second = (np.conj(part) for part in of_template)

    def summed(left: Spectrum, right: Spectrum) -> NDArray[np.float32]:
        return np.asarray(fft.irfftn(left * right, s=padded))

    count = np.maximum(summed(seen, weight), 1.0)
    of_scan, of_mask = summed(values, weight), summed(seen, first)
    covariance = summed(values, first) - of_scan * of_mask / count
    variances = (summed(squares, weight) - of_scan**2 / count, summed(seen, second) - of_mask**2 / count)
    smallest = _SMALLEST_VARIANCE * count
    correlation = covariance / np.sqrt(np.maximum(variances[0], smallest) * np.maximum(variances[1], smallest))
    correlation[count < LEAST_SHARE_SEEN * mask.sum()] = -1
    best = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    return float(correlation[best]), np.array(best)


def _to_scan(matrix: NDArray[np.float64], place: NDArray[np.intp], scan: HeadImage, template: HeadImage) -> Affine:
    """Return the affine of a turn and a shift in voxels, which runs round at the end of the padded grid."""
    length = [
        fft.next_fast_len(a + b - 1, real=True) for a, b in zip(scan.values.shape, template.values.shape, strict=True)
    ]
    shift = np.where(place < np.array(scan.values.shape), place, place - np.array(length))
    middle = (np.array(template.values.shape) - 1) / 2
    here = template.corner_mm + template.step_mm * middle
    there = scan.corner_mm + scan.step_mm * (middle + shift)
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = there - matrix @ here
    return affine
