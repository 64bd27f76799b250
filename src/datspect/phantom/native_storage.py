"""How a camera's computer stores a reconstruction: grid, order of axes, scale, type, and where its header puts it."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datspect.imaging.volume import Affine, Volume, Voxels
from datspect.phantom.background import Activity

Kept = Literal["uint16", "int16", "float32"]
"""Types of stored voxels."""
KEPT: tuple[Kept, ...] = get_args(Kept)
_SHARE_OF_KEPT = (0.55, 0.3, 0.15)
_PEAK: dict[Kept, tuple[float, float]] = {"uint16": (60, 6e4), "int16": (60, 3e4), "float32": (1.0, 1e6)}
"""Lowest and highest stored value of the brightest voxel."""

_SIDES = {128: 0.4, 256: 0.25, 64: 0.1, 0: 0.25}
"""Pixels of a side, and how often; 0: one of the rarer ones."""
_RARER_SIDES = (72, 80, 90, 96, 100, 109, 112, 120, 144, 160, 168, 180, 192, 200)
SPACING_MM = (1.37, 4.42)
_WIDTH_MM = (200.0, 640.0)
"""A field narrower than that cuts the face, and no detector is wider."""
_OTHER_SLICES, _CUBE, _LONGEST_MM = 0.2, 0.4, 630.0
"""Share of cameras whose slices lie further apart or nearer than pixels; of those that store as many slices as
pixels, the empty ones too, if that is no longer than a detector."""

_AXES = {"LAS": 0.4, "LPS": 0.25, "RAS": 0.2, "LPI": 0.07, "RPS": 0.04, "LSA": 0.02, "PSR": 0.02}
"""Where the three voxel axes lead."""
OBLIQUE = 0.4
_OBLIQUE_ERROR_DEGREES = 5.0
"""Oblique axes follow the head's tilt by some share, and miss that by up to so much."""
_PLACES = ("isocentre", "corner", "table")


@dataclass(frozen=True)
class Grid:
    """The stored grid along the camera's own axes (x to the right, y forward, z up).

    spacing_mm, shape : of voxels along x, y, z
    centre_mm : of the grid, from the middle of the reconstructed field
    """

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    centre_mm: tuple[float, float, float]

    def affine(self) -> Affine:
        """Return voxel to camera mm, shape (4, 4)."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = np.array(self.centre_mm) - affine[:3, :3] @ (np.array(self.shape) - 1) / 2
        return affine


@dataclass(frozen=True)
class Header:
    """What the file says: order of its axes, as `LAS`, and where the camera lies in its world.

    to_world : shape (4, 4), camera mm to world mm, RAS+; rigid
    """

    axes: str
    to_world: Affine


@dataclass(frozen=True)
class Scale:
    """Type of the stored voxels, and the value of the brightest one."""

    kept: Kept
    peak: float


def draw_spacing_and_side(rng: np.random.Generator) -> tuple[float, int]:
    """Draw the pixels of a camera, mm, and their number along a side."""
    while True:
        side = int(rng.choice(list(_SIDES), p=list(_SIDES.values()))) or int(rng.choice(_RARER_SIDES))
        low, high = max(SPACING_MM[0], _WIDTH_MM[0] / side), min(SPACING_MM[1], _WIDTH_MM[1] / side)
        if low < high:
            return round(float(rng.uniform(low, high)), 3), side


def draw_grid(axial_mm: float, aside_mm: NDArray[np.float64], rng: np.random.Generator) -> Grid:
    """Draw a grid for a field of `axial_mm`; its centre is moved by up to `aside_mm`, shape (2,), along x and y."""
    spacing, side = draw_spacing_and_side(rng)
    between = round(float(rng.uniform(2.0, SPACING_MM[1])), 3) if rng.random() < _OTHER_SLICES else spacing
    is_cube = rng.random() < _CUBE and axial_mm < side * between <= _LONGEST_MM
    n_slices = side if is_cube else max(1, int(axial_mm / between))
    room_mm = max(0.0, spacing * side / 2 - _WIDTH_MM[0] / 2 - 10)
    x, y = np.clip(aside_mm, -room_mm, room_mm)
    return Grid((spacing, spacing, between), (side, side, n_slices), (round(float(x), 2), round(float(y), 2), 0.0))


def draw_axes(rng: np.random.Generator) -> str:
    """Draw where the voxel axes lead, as `LAS`."""
    return str(rng.choice(list(_AXES), p=list(_AXES.values())))


def draw_to_world(tilt: NDArray[np.float64], rng: np.random.Generator) -> Affine:
    """Draw the camera's place in the world of a header, shape (4, 4), for a head with `tilt`, shape (3, 3)."""
    to_world = np.eye(4)
    if rng.random() < OBLIQUE:
        undone = share_of_rotation(tilt, -float(rng.uniform(0, 1)))
        to_world[:3, :3] = undone @ small_rotation(_OBLIQUE_ERROR_DEGREES, rng)
    match rng.choice(_PLACES):
        case "isocentre":
            to_world[:3, 3] = rng.uniform(-30, 30, 3)
        case "corner":
            to_world[:3, 3] = rng.uniform(80, 320, 3)
        case "table":
            to_world[:3, 3] = [*rng.uniform(-60, 60, 2), rng.uniform(-1400, 1400)]
    return to_world


def small_rotation(most_degrees: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a rotation about any axis by up to `most_degrees`, shape (3, 3)."""
    axis = rng.standard_normal(3)
    angle = np.radians(rng.uniform(0, most_degrees))
    return np.asarray(Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix())


def share_of_rotation(turn: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the rotation about the axis of `turn`, shape (3, 3), by `share` of its angle."""
    return np.asarray(Rotation.from_rotvec(share * Rotation.from_matrix(turn).as_rotvec()).as_matrix())


def draw_kept(rng: np.random.Generator) -> Kept:
    """Draw the type of stored voxels."""
    return KEPT[int(rng.choice(len(KEPT), p=_SHARE_OF_KEPT))]


def draw_scale(kept: Kept, rng: np.random.Generator) -> Scale:
    """Draw the brightest value, which lies over four orders of magnitude."""
    low, high = np.log(_PEAK[kept])
    return Scale(kept, float(np.exp(rng.uniform(low, high))))


def stored(image: Activity, image_affine: Affine, grid: Grid, header: Header, scale: Scale) -> Volume:
    """Return `image` as it is stored, with its affine to world mm; what lies outside of `image` is 0.

    `image_affine`: voxel of `image` to camera mm, shape (4, 4), without rotation.
    """
    upright = _scaled(image, image_affine, grid, scale)
    turned = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(header.axes))
    affine = header.to_world @ grid.affine() @ inv_ornt_aff(turned, upright.shape)
    return Volume(apply_orientation(upright, turned), np.asarray(affine, dtype=np.float64))


def _scaled(image: Activity, image_affine: Affine, grid: Grid, scale: Scale) -> Voxels:
    """Return `image` on `grid` in its stored type: linear between voxels, one axis after the other."""
    to_image = np.linalg.inv(image_affine) @ grid.affine()
    places = [to_image[axis, axis] * np.arange(size) + to_image[axis, 3] for axis, size in enumerate(grid.shape)]
    inside = [np.flatnonzero((p > -0.5) & (p < size - 0.5)) for p, size in zip(places, image.shape, strict=True)]
    for axis, (place, there) in enumerate(zip(places, inside, strict=True)):
        image = _along(image, axis, place[there])
    values = image * np.float32(scale.peak / max(float(image.max()), 1e-12))
    if scale.kept != "float32":
        values = np.rint(values, out=values)
    kept = np.zeros(grid.shape, dtype=scale.kept)
    kept[tuple(slice(there[0], there[-1] + 1) for there in inside)] = values
    return kept


def _along(image: Activity, axis: int, places: NDArray[np.float64]) -> Activity:
    """Return `image` at `places` along an axis; half a voxel beyond its ends it goes on as it is."""
    lower = np.clip(np.floor(places).astype(np.intp), 0, image.shape[axis] - 2)
    share = np.clip(places - lower, 0, 1).astype(np.float32)
    share = share.reshape([-1 if each == axis else 1 for each in range(3)])
    below, above = image.take(lower, axis), image.take(lower + 1, axis)
    above -= below
    above *= share
    above += below
    return above
