"""Analytic regions in MNI space: the striatal nuclei, an occipital reference and the striatal box."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datspect.imaging.volume import Affine, Mask

Fractions = NDArray[np.float32]
"""Share of each voxel that lies inside a structure, in [0, 1]."""

Vector = tuple[float, float, float]
SIDES = ("left", "right")
NUCLEI = ("caudate", "putamen_anterior", "putamen_posterior", "accumbens", "pallidum")


class VoxelIndices(NamedTuple):
    """Voxels of a region as three index arrays of shape (n,); they index a volume as a mask does, but faster."""

    x: NDArray[np.intp]
    y: NDArray[np.intp]
    z: NDArray[np.intp]


@dataclass(frozen=True)
class Ellipsoid:
    """A solid ellipsoid; world mm, RAS+. `axes` are the orthonormal directions of `semi_axes_mm`."""

    centre_mm: Vector
    semi_axes_mm: Vector
    axes: tuple[Vector, Vector, Vector]

    def mirrored(self) -> "Ellipsoid":
        """Return the same ellipsoid on the other side of the midsagittal plane, x = 0."""
        first, second, third = (_mirrored(axis) for axis in self.axes)
        return Ellipsoid(_mirrored(self.centre_mm), self.semi_axes_mm, (first, second, third))

    def scaled(self, factor: float) -> "Ellipsoid":
        """Return the same ellipsoid with its semi-axes times `factor`, about its own centre."""
        return replace(self, semi_axes_mm=_vector(np.asarray(self.semi_axes_mm) * factor))

    def moved(self, shift_mm: NDArray[np.float64]) -> "Ellipsoid":
        """Return the same ellipsoid moved by `shift_mm`, shape (3,)."""
        return replace(self, centre_mm=_vector(np.asarray(self.centre_mm) + shift_mm))


Half = Literal["anterior", "posterior"]


@dataclass(frozen=True)
class Structure:
    """A union of ellipsoids, or its half before (`anterior`) or behind (`posterior`) the coronal plane y = 0."""

    ellipsoids: tuple[Ellipsoid, ...]
    half: Half | None = None

    def mirrored(self) -> "Structure":
        """Return the same structure on the other side of the midsagittal plane."""
        return replace(self, ellipsoids=tuple(ellipsoid.mirrored() for ellipsoid in self.ellipsoids))

    def scaled(self, factor: float) -> "Structure":
        """Return the same structure with each ellipsoid scaled about its own centre; the plane y = 0 stays."""
        return replace(self, ellipsoids=tuple(ellipsoid.scaled(factor) for ellipsoid in self.ellipsoids))

    def moved(self, shift_mm: NDArray[np.float64]) -> "Structure":
        """Return the same structure moved by `shift_mm`, shape (3,); the plane y = 0 stays."""
        return replace(self, ellipsoids=tuple(ellipsoid.moved(shift_mm) for ellipsoid in self.ellipsoids))


@dataclass(frozen=True)
class Regions:
    """The regions that measure a scan, on a grid of `shape`.

    targets : voxels of each target region, keyed `caudate_left` ... `putamen_posterior_right`
    reference : voxels of the occipital reference region
    striatal_box : index ranges along x, y and z that hold both striata
    """

    shape: tuple[int, int, int]
    targets: Mapping[str, VoxelIndices]
    reference: VoxelIndices
    striatal_box: tuple[slice, slice, slice]


def _mirrored(vector: Vector) -> Vector:
    x, y, z = vector
    return (-x, y, z)


def _orthonormal(first: Vector, second: Vector) -> tuple[Vector, Vector, Vector]:
    """Return right-handed axes: `first`, the part of `second` across it, and their cross product."""
    one = np.asarray(first) / np.linalg.norm(first)
    two = np.asarray(second) - np.dot(second, one) * one
    two /= np.linalg.norm(two)
    three = np.cross(one, two)
    return _vector(one), _vector(two), _vector(three)


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


# Right-hand structures (x > 0), MNI mm. Ellipsoids were fitted to CIT168 (Pauli 2018, doi:10.1038/sdata.2018.63) and
# compared with Harvard-Oxford; then place, tilt and size were fitted to profiles through the mean of normal DaT SPECT
# scans (docs/phantom.md). The tracer's caudate is its head: it lies lower than the nucleus and reaches less far up. The
# second axis of the caudate lies in the sagittal plane.
_CAUDATE = Ellipsoid((11.5, 10.7, 4.1), (17.5, 8.6, 6.2), _orthonormal((0.07, 0.67, -0.74), (0.0, 0.74, 0.67)))
_PUTAMEN = (
    Ellipsoid((27.7, -11.1, 2.5), (14.0, 11.2, 4.5), _orthonormal((-0.20, 0.33, 0.92), (-0.11, 0.93, -0.36))),
    Ellipsoid((22.1, 6.3, -1.0), (17.5, 11.5, 8.3), _orthonormal((0.31, -0.35, 0.88), (-0.26, 0.86, 0.44))),
)
# Only centre and volume are known of these two (0.55 and 2.0 ml); the shapes are rounded guesses.
_ACCUMBENS = Ellipsoid((9.5, 12, -7), (4.1, 6.4, 5.0), _orthonormal((1, 0, 0), (0, 1, 0)))
_PALLIDUM = Ellipsoid((17.7, -7.0, -0.6), (5.0, 10.6, 9.0), _orthonormal((1, 0.5, 0), (-0.5, 1, 0)))

_RIGHT: Mapping[str, Structure] = {
    "caudate": Structure((_CAUDATE,)),
    "putamen": Structure(_PUTAMEN),
    "putamen_anterior": Structure(_PUTAMEN, "anterior"),
    "putamen_posterior": Structure(_PUTAMEN, "posterior"),
    "accumbens": Structure((_ACCUMBENS,)),
    "pallidum": Structure((_PALLIDUM,)),
}
_TARGET_SIZES = {"caudate": 0.6, "putamen": 0.95, "putamen_anterior": 0.95, "putamen_posterior": 0.95}
"""Linear size of each measured target within its nucleus. The hot middle of the caudate and nearly all of the putamen
give the published ratio of the two, 1.4; cameras leave 50 to 65 % of the specific signal in them."""

# Occipital cortex and the white matter below it, well inside the brain so that a few millimetres of
# misregistration bring in neither scalp nor cerebellum. [assumed]
_OCCIPITAL = Ellipsoid((20, -78, 8), (14, 12, 10), _orthonormal((1, 0, 0), (0, 1, 0)))
STRIATAL_BOX_MM = ((-44.0, 44.0), (-32.0, 34.0), (-22.0, 30.0))
"""Ranges of x, y and z that hold both striata with a blur's width around them, MNI mm. [assumed]"""


def striatal_structures() -> dict[str, Structure]:
    """Return the nuclei of `NUCLEI` on both sides, keyed `caudate_left`; MNI mm."""
    return {f"{nucleus}_{side}": structure(nucleus, side) for nucleus in NUCLEI for side in SIDES}


def structure(name: str, side: str) -> Structure:
    """Return `caudate`, `putamen`, `putamen_anterior`, `putamen_posterior`, `accumbens` or `pallidum` of a side."""
    return _RIGHT[name] if side == "right" else _RIGHT[name].mirrored()


def target_structure(name: str, side: str) -> Structure:
    """Return what is measured of `caudate`, `putamen`, `putamen_anterior` or `putamen_posterior` of a side."""
    return structure(name, side).scaled(_TARGET_SIZES[name])


def structure_fractions(structure: Structure, shape: tuple[int, int, int], affine: Affine) -> Fractions:
    """Return the share of each voxel inside `structure`, shape `shape`; `affine`, shape (4, 4), leads to MNI mm."""
    inside = np.zeros(shape, dtype=np.float32)
    for ellipsoid in structure.ellipsoids:
        np.maximum(inside, ellipsoid_fractions(ellipsoid, shape, affine), out=inside)
    if structure.half is not None:
        y_mm = _linear_on_grid(affine[1], tuple(slice(0, size) for size in shape))
        behind = np.clip(0.5 - y_mm / np.float32(_voxel_size_mm(affine)), 0, 1)
        inside *= behind if structure.half == "posterior" else 1 - behind
    return inside


def ellipsoid_fractions(ellipsoid: Ellipsoid, shape: tuple[int, int, int], affine: Affine) -> Fractions:
    """Return the share of each voxel inside `ellipsoid`, shape `shape`: a ramp one voxel wide across its surface.

    `affine`, shape (4, 4), leads to MNI mm. The ramp treats the surface as flat, so the volume is 1 + h^2 / (4 r^2)
    times too large for voxels of h and a radius of r: 2 % for the striatal nuclei at 2 mm.
    """
    semi_axes = np.asarray(ellipsoid.semi_axes_mm)
    to_unit_sphere = np.asarray(ellipsoid.axes) / semi_axes[:, np.newaxis] @ affine[:3]
    to_unit_sphere[:, 3] -= np.asarray(ellipsoid.axes) @ np.asarray(ellipsoid.centre_mm) / semi_axes
    # Zero from this radius outwards, since the distance below is at least (radius - 1) times the shortest semi-axis.
    box = _box_of_sphere(to_unit_sphere, 1 + 0.5 * _voxel_size_mm(affine) / float(semi_axes.min()), shape)
    fractions = np.zeros(shape, dtype=np.float32)
    inside = fractions[box]
    squared_radius, squared_slope = np.zeros_like(inside), np.zeros_like(inside)
    for row, semi_axis in zip(to_unit_sphere, semi_axes, strict=True):
        coordinate_squared = np.square(_linear_on_grid(row, box))
        squared_radius += coordinate_squared
        squared_slope += coordinate_squared / np.float32(semi_axis**2)
    # Distance to the surface to first order: (r - 1) / |gradient of r|.
    radius = np.sqrt(squared_radius)
    distance_mm = (radius - 1) * radius / np.sqrt(np.maximum(squared_slope, np.float32(1e-12)))
    np.clip(0.5 - distance_mm / np.float32(_voxel_size_mm(affine)), 0, 1, out=inside)
    return fractions


def striatal_regions(shape: tuple[int, int, int], affine: Affine, z_offset_voxels: float) -> Regions:
    """Return the regions that measure scans of `shape` whose voxels lie `z_offset_voxels` slices above MNI.

    `affine`: shape (4, 4), voxel to world (mm, RAS+ world); its axes run along x, y and z in this order, either way.
    """
    to_mni = mni_affine_of(affine, z_offset_voxels)
    targets = {f"{name}_{side}": target_structure(name, side) for name in _TARGET_SIZES for side in SIDES}
    return Regions(
        shape=shape,
        targets={name: _indices(structure_mask(target, shape, to_mni)) for name, target in targets.items()},
        reference=_indices(occipital_mask(shape, to_mni)),
        striatal_box=striatal_box_slices(shape, to_mni),
    )


def mni_affine_of(affine: Affine, z_offset_voxels: float) -> Affine:
    """Return voxel to MNI mm, shape (4, 4), of volumes that lie `z_offset_voxels` slices above where `affine` says."""
    shifted = affine.copy()
    shifted[:3, 3] -= z_offset_voxels * affine[:3, 2]
    return shifted


def structure_mask(structure: Structure, shape: tuple[int, int, int], affine: Affine) -> Mask:
    """Return the voxels with more than half of their volume inside `structure`: bool, shape `shape`.

    >>> from datspect.imaging.volume import MNI_SHAPE, mni_affine
    >>> left, right = (structure_mask(structure("putamen", side), MNI_SHAPE, mni_affine()) for side in SIDES)
    >>> bool(np.array_equal(left, right[::-1]))  # the plane x = 0 is a mirror
    True
    """
    return structure_fractions(structure, shape, affine) > np.float32(0.5)


def occipital_mask(shape: tuple[int, int, int], affine: Affine) -> Mask:
    """Return the occipital reference region of both sides: bool, shape `shape`."""
    return structure_mask(Structure((_OCCIPITAL, _OCCIPITAL.mirrored())), shape, affine)


def striatal_box_slices(
    shape: tuple[int, int, int], affine: Affine, margin_mm: float = 0.0
) -> tuple[slice, slice, slice]:
    """Return index ranges of the box `STRIATAL_BOX_MM`, grown by `margin_mm` on every side, on a grid of `shape`."""
    x, y, z = (
        _indices_between(low - margin_mm, high + margin_mm, affine[axis, axis], affine[axis, 3], shape[axis])
        for axis, (low, high) in enumerate(STRIATAL_BOX_MM)
    )
    return x, y, z


def _indices_between(low_mm: float, high_mm: float, step_mm: float, origin_mm: float, size: int) -> slice:
    first, last = sorted(((low_mm - origin_mm) / step_mm, (high_mm - origin_mm) / step_mm))
    return slice(max(0, int(np.ceil(first))), min(size, int(np.floor(last)) + 1))


def _box_of_sphere(
    to_unit_sphere: NDArray[np.float64], radius: float, shape: tuple[int, int, int]
) -> tuple[slice, slice, slice]:
    """Return index ranges, on a grid of `shape`, of a box around all voxels within `radius` of a sphere's centre.

    `to_unit_sphere`: shape (3, 4), voxel to coordinates in which the sphere is the unit sphere.
    """
    to_voxels = np.linalg.inv(to_unit_sphere[:, :3])
    centre = -to_voxels @ to_unit_sphere[:, 3]
    reach = radius * np.sqrt((to_voxels**2).sum(axis=1)) + 1  # 1: more than rounding can cost
    low, high = np.floor(centre - reach), np.ceil(centre + reach) + 1
    x, y, z = (
        slice(*(int(np.clip(end, 0, size)) for end in ends)) for *ends, size in zip(low, high, shape, strict=True)
    )
    return x, y, z


def _linear_on_grid(row: NDArray[np.float64], box: tuple[slice, ...]) -> Fractions:
    """Return row[0] i + row[1] j + row[2] k + row[3] at every voxel (i, j, k) of `box`, shape of the box.

    The sums of broadcast vectors give the same bits whatever the BLAS and its threads; a matrix product would not.
    """
    i, j, k = (np.arange(side.start, side.stop, dtype=np.float64) * row[axis] for axis, side in enumerate(box))
    plane = ((i[:, np.newaxis] + j) + row[3]).astype(np.float32)
    return np.asarray(plane[:, :, np.newaxis] + k.astype(np.float32), dtype=np.float32)


def _voxel_size_mm(affine: Affine) -> float:
    return float(np.abs(np.linalg.det(affine[:3, :3])) ** (1 / 3))


def _indices(mask: Mask) -> VoxelIndices:
    return VoxelIndices(*np.nonzero(mask))
