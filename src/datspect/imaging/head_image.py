"""See a scan coarsely, for registration: along the axes of the world, smooth, in units of the head's level."""

from dataclasses import dataclass, replace

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from datspect.arrays import BoolArray
from datspect.errors import IneligibleError, ScanError
from datspect.imaging.volume import FWHM_PER_SD, Affine, Volume

FINE_MM, COARSE_MM = 4.0, 8.0
"""Steps of the grids on which registration works; further out there is nothing that SPECT resolves."""
FINE_FWHM_MM, COARSE_FWHM_MM = 6.0, 14.0

_TOP_PERCENTILE = 99.9
_TRACE = 0.05
_HEAD_SHARE = 0.35
_LEVEL_STEPS = 6
VIEW_RANGE_MM = (50.0, 1000.0)
"""No side of a camera's field of view that shows a head is shorter or longer."""
_CUT_SHARE = 0.01
"""A slice of which so much is head was cut through it."""


@dataclass(frozen=True)
class HeadImage:
    """A scan, or a template, on a cubic grid along x, y and z of the world.

    values : shape (X, Y, Z), in units of the head's level, not below 0
    seen : shape (X, Y, Z), whether a voxel lies within the scan's field of view
    corner_mm : centre of the first voxel, mm
    step_mm : from voxel to voxel
    """

    values: NDArray[np.float32]
    seen: BoolArray
    corner_mm: NDArray[np.float64]
    step_mm: float

    def dimmed(self, most: float) -> "HeadImage":
        """Return the image with nothing brighter than `most` times the head's level."""
        return replace(self, values=np.minimum(self.values, np.float32(most)))


def head_images(volume: Volume) -> tuple[HeadImage, HeadImage]:
    """Return a scan on the fine and on the coarse grid.

    Raises
    ------
    ScanError : nothing in it stands out from nothing.
    """
    data, affine = _thinned(np.asarray(volume.data, dtype=np.float32), volume.affine)
    coarse, coarse_seen, corner_mm = _on_grid(data, affine, COARSE_MM, COARSE_FWHM_MM)
    level = head_level(coarse[coarse_seen])
    fine, fine_seen, _ = _on_grid(data, affine, FINE_MM, FINE_FWHM_MM)
    return (
        HeadImage(_in_units(fine, level), fine_seen, corner_mm, FINE_MM),
        HeadImage(_in_units(coarse, level), coarse_seen, corner_mm, COARSE_MM),
    )


def field_of_view(volume: Volume) -> Volume:
    """Return the part of a volume that a camera has seen, a view: without the empty slices behind a cut through a head.

    Reconstructions are often stored with empty slices around them. Where the slice before them holds air, they are air
    as well and stay; where it holds a head, what they hide is unknown. The slice at a cut is left out with them.

    Raises
    ------
    IneligibleError : what was seen is shorter or longer than `VIEW_RANGE_MM`.
    ScanError : nothing in the volume stands out.
    """
    data = np.asarray(volume.data)
    least = _HEAD_SHARE * head_level(np.asarray(data[::2, ::2, ::2], dtype=np.float32).ravel())
    kept = []
    for axis in range(3):
        planes = np.moveaxis(data, axis, 0).reshape(data.shape[axis], -1)
        empty, head = planes.min(axis=1) == planes.max(axis=1), (planes > least).mean(axis=1) > _CUT_SHARE
        kept.append(slice(_cut_end(empty, head), len(planes) - _cut_end(empty[::-1], head[::-1])))
    _check_lengths(kept, voxel_sizes(volume.affine))
    affine = volume.affine.copy()
    affine[:3, 3] = apply_affine(volume.affine, [side.start for side in kept])
    return Volume(data[tuple(kept)], affine)


def _check_lengths(kept: list[slice], sizes_mm: NDArray[np.float64]) -> None:
    lengths_mm = [max(0, side.stop - side.start) * size for side, size in zip(kept, sizes_mm, strict=True)]
    if min(lengths_mm) < VIEW_RANGE_MM[0] or max(lengths_mm) > VIEW_RANGE_MM[1]:
        raise IneligibleError(
            "the field of view has {:.0f} x {:.0f} x {:.0f} mm; one of a head has {:.0f} to {:.0f} mm a side: leave it "
            "out, or mend the voxel size in the header".format(*lengths_mm, *VIEW_RANGE_MM)
        )


def _cut_end(empty: BoolArray, head: BoolArray) -> int:
    """Return how many slices at the start are behind a cut, the cut itself among them."""
    n_empty = int(np.argmin(empty))
    return n_empty + 1 if n_empty and head[n_empty : n_empty + 2].any() else 0


def head_level(values: NDArray[np.float32]) -> float:
    """Return the level of nonspecific uptake in the head: the median of what is not background, however much that is.

    Raises
    ------
    ScanError : nothing stands out.
    """
    top = float(np.percentile(values, _TOP_PERCENTILE))
    least = _TRACE * top
    level = 0.0
    for _ in range(_LEVEL_STEPS):
        bright = values[values > least]
        if not top > 0 or not len(bright):
            raise ScanError("nothing in the volume stands out from its background; it is empty, or no scan of a head")
        level = float(np.median(bright))
        least = _HEAD_SHARE * level
    return level


def _in_units(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    return np.asarray(np.maximum(values / np.float32(level), 0), dtype=np.float32)


def _thinned(data: NDArray[np.float32], affine: Affine) -> tuple[NDArray[np.float32], Affine]:
    """Return means of blocks where voxels are much smaller than the fine grid's; the affine follows."""
    factors = [max(1, int(FINE_MM / size)) for size in voxel_sizes(affine)]
    if max(factors) == 1:
        return data, affine
    kept = data[tuple(slice(0, size // factor * factor) for size, factor in zip(data.shape, factors, strict=True))]
    shape = [part for size, factor in zip(kept.shape, factors, strict=True) for part in (size // factor, factor)]
    blocks = np.diag([*map(float, factors), 1.0])
    blocks[:3, 3] = (np.array(factors) - 1) / 2
    return kept.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32), affine @ blocks


def _on_grid(
    data: NDArray[np.float32], affine: Affine, step_mm: float, fwhm_mm: float
) -> tuple[NDArray[np.float32], BoolArray, NDArray[np.float64]]:
    """Return the smoothed data on a grid around all of it, what of the grid it covers, and the grid's corner."""
    smooth = gaussian_filter(data, fwhm_mm / FWHM_PER_SD / voxel_sizes(affine), mode="nearest", truncate=3)
    ends = np.array(np.meshgrid(*([0, size - 1] for size in data.shape))).reshape(3, -1).T
    world = apply_affine(affine, ends)
    corner_mm = world.min(axis=0)
    shape = tuple(int(length) for length in np.ceil((world.max(axis=0) - corner_mm) / step_mm).astype(int) + 1)
    grid = np.diag([step_mm, step_mm, step_mm, 1.0])
    grid[:3, 3] = corner_mm
    to_data = np.linalg.inv(affine) @ grid
    values = affine_transform(smooth, to_data[:3, :3], to_data[:3, 3], shape, order=1, mode="nearest")
    inside = np.ones(shape, dtype=bool)
    for axis, size in enumerate(data.shape):
        index = sum(
            (to_data[axis, k] * np.arange(shape[k]).reshape([-1 if k == j else 1 for j in range(3)]) for k in range(3)),
            to_data[axis, 3],
        )
        inside &= (index > -0.5) & (index < size - 0.5)
    return values, inside, corner_mm
