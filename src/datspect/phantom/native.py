"""Image a phantom subject as a camera does: in its own space, with neck and glands, cut, tilted, stored in any way."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import affine_transform, convolve1d

from datspect.arrays import BoolArray, FloatArray
from datspect.imaging.regions import SIDES, mni_affine_of
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, mni_affine
from datspect.phantom.acquisition import Acquisition, refined, stored_scan
from datspect.phantom.anatomy import build_head
from datspect.phantom.background import Activity
from datspect.phantom.binding import Person
from datspect.phantom.body import NECK_JOINT_MM, Body, draw_body, with_body
from datspect.phantom.cohort import Laboratory, draw_subject, drawn_acquisition, pseudonym
from datspect.phantom.native_projection import N_ACROSS, N_BEYOND, acquire_field
from datspect.phantom.native_storage import (
    Grid,
    Header,
    Scale,
    draw_axes,
    draw_grid,
    draw_kept,
    draw_scale,
    draw_to_world,
    share_of_rotation,
    small_rotation,
    stored,
)
from datspect.phantom.projector import GRID_MM

STRIATA = tuple(f"{nucleus}_{side}" for nucleus in ("caudate", "putamen") for side in SIDES)
STRIATA_MNI_MM = np.array([[-11.5, 10.7, 4.1], [11.5, 10.7, 4.1], [-25.0, -2.0, 1.0], [25.0, -2.0, 1.0]])
"""Middles of caudates and putamina of the undeformed head in the order of `STRIATA`, MNI mm, shape (4, 3)."""
HEAD_MIDDLE_MM = np.array([0.0, -18.0, 10.0])
VERTEX_MM = np.array([0.0, -18.0, 88.0])
_Z_OFFSET_VOXELS = 4.0
"""Stored MNI volumes lie so far above MNI, as those of the default phantom do."""

TILT_DEGREES, SHIFT_MM = 20.0, 80.0
_TRUNK_TURNS = 0.3
"""The trunk takes so much of the head's tilt. [assumed]"""
_HEAD_SIZE, _HEAD_SIZE_SD, _HEAD_SIDE_SD = 0.94, 0.035, 0.025
"""Size of heads over that of the MNI template, which is larger than the average: mean, spread, and of each axis.
[assumed]"""
AXIAL_MM = (108.0, 400.0)
_AXIAL_MODES = ((0.2, 108.0, 170.0), (0.6, 170.0, 260.0), (0.2, 260.0, 400.0))
"""Share of the scans, shortest and longest field of view along the body's axis. [assumed]"""
_SHORT_MM = 200.0
"""Shorter fields cut the vertex or the cerebellum."""
_STRIATA_INSIDE_MM = 36.0
"""Ordinary scans hold so much above and below the middle of the striata."""
_ASIDE_MM = (25.0, 8.0)
"""The head's middle lies so far off the camera's axis at most, to the side and forward; the rest of a shift comes from
where the stored grid was placed."""

_STATION = 17
"""Stream of random numbers, which no subject of a cohort has."""
_STATIONS_OF_A_SITE = 3


@dataclass(frozen=True)
class NativeSubject:
    """A person of the phantom with a body; `activity` is of the undeformed head, shape `MNI_SHAPE`."""

    subject_id: str
    person: Person
    activity: Activity
    body: Body
    true_binding: FloatArray


@dataclass(frozen=True)
class NativeCamera:
    """How one native scan is made and stored.

    head_to_camera : shape (4, 4), MNI mm of the undeformed head to camera mm: its pose and size
    trunk_to_camera : the same for the trunk, whose frame is the head's as long as the neck is straight
    axial_mm : length of the field of view, whose middle is the camera's z = 0
    """

    acquisition: Acquisition
    head_to_camera: Affine
    trunk_to_camera: Affine
    axial_mm: float
    grid: Grid
    header: Header
    scale: Scale


@dataclass(frozen=True)
class NativeScan:
    """A phantom scan in native space and the truth about it.

    volume : as stored, with the affine (voxel to world mm, RAS+) that its header gives
    to_native : shape (4, 4), MNI mm of the undeformed template to world mm of `volume`
    striata_mni_mm, striata_native_mm : shape (4, 3), in the order of `STRIATA`
    in_mni : the same reconstruction, noise included, on the stored MNI grid, `z_offset_voxels` above MNI; int16
    """

    volume: Volume
    to_native: Affine
    striata_mni_mm: FloatArray
    striata_native_mm: FloatArray
    in_mni: Volume
    camera: NativeCamera


def draw_native_subject(laboratory: Laboratory, label: str, index: int) -> tuple[NativeSubject, np.random.Generator]:
    """Draw subject `index` of class or group `label`, the person of the cohort, and a generator to go on with."""
    person, anatomy, rng = draw_subject(laboratory.params, label, index)
    true_binding = laboratory.recovery.true_binding(person.binding)
    activity = build_head(anatomy, laboratory.background).activity(true_binding)
    subject_id = pseudonym(laboratory.params.seed, label, index)
    return NativeSubject(subject_id, person, activity, draw_body(rng), true_binding), rng


def draw_native_camera(
    laboratory: Laboratory, rng: np.random.Generator, label: str | None = None, *, axes: str | None = None
) -> NativeCamera:
    """Draw an ordinary scan: both striata lie within the field of view; `axes` as `LPS` fixes the stored order.

    `label`: of the subject, whose site may depend on it; None for a scan that may be made anywhere.
    """
    acquisition = drawn_acquisition(laboratory, label, rng)
    turn = small_rotation(TILT_DEGREES, rng)
    size = np.diag((_HEAD_SIZE + _HEAD_SIZE_SD * _bell(rng, 1)) * (1 + _HEAD_SIDE_SD * _bell(rng, 3)))
    axial_mm = _draw_axial_mm(rng)
    middle_mm = np.array([*(rng.uniform(-1, 1, 2) * _ASIDE_MM), _draw_height(axial_mm, rng)])
    head = _about(HEAD_MIDDLE_MM, turn @ size, middle_mm)
    trunk = _about(NECK_JOINT_MM, share_of_rotation(turn, _TRUNK_TURNS) @ size, moved(head, NECK_JOINT_MM))
    most_aside = np.sqrt(max(0.0, SHIFT_MM**2 - middle_mm[2] ** 2))
    angle, radius = rng.uniform(0, 2 * np.pi), most_aside * rng.uniform(0, 1)
    aside_mm = middle_mm[:2] - radius * np.array([np.cos(angle), np.sin(angle)])
    station = _draw_station(laboratory, acquisition, rng)
    grid = draw_grid(axial_mm, aside_mm, station)
    header = Header(axes or draw_axes(station), draw_to_world(turn, rng))
    return NativeCamera(acquisition, head, trunk, axial_mm, grid, header, draw_scale(draw_kept(station), rng))


def ordinary_scan(laboratory: Laboratory, label: str, index: int, *, axes: str | None = None) -> NativeScan:
    """Return an ordinary native scan of a subject: a function of (parameters, label, index, axes) alone."""
    subject, rng = draw_native_subject(laboratory, label, index)
    camera = draw_native_camera(laboratory, rng, label, axes=axes)
    return native_scan(subject, camera, rng)


def raised(camera: NativeCamera, up_mm: float) -> NativeCamera:
    """Return the camera with its field of view `up_mm` higher on the body."""
    lower = np.eye(4)
    lower[2, 3] = -up_mm
    return replace(camera, head_to_camera=lower @ camera.head_to_camera, trunk_to_camera=lower @ camera.trunk_to_camera)


def native_scan(subject: NativeSubject, camera: NativeCamera, rng: np.random.Generator | None) -> NativeScan:
    """Return the scan of `subject` by `camera`; without `rng` it has no noise."""
    body = posed(subject.activity, subject.body, camera)
    reference = float(subject.activity.sum(dtype=np.float64)) / _grid_voxels_per_mni_voxel(camera)
    image = acquire_field(body, camera.acquisition, reference, rng)
    to_native = camera.header.to_world @ camera.head_to_camera
    striata_native_mm = moved(to_native, STRIATA_MNI_MM)
    return NativeScan(kept(image, camera), to_native, STRIATA_MNI_MM, striata_native_mm, _in_mni(image, camera), camera)


def posed(head: Activity, body: Body, camera: NativeCamera) -> Activity:
    """Return head, shape `MNI_SHAPE`, and body on the camera's 4 mm grid, with slices beyond the field."""
    smooth = head
    for axis in range(3):
        smooth = convolve1d(smooth, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    x, y, z = field_shape(camera)
    shape = (x, y, z + 2 * N_BEYOND)
    return sampled(smooth, body, camera, centred(GRID_MM, shape), shape)


def sampled(head: Activity, body: Body, camera: NativeCamera, affine: Affine, shape: tuple[int, int, int]) -> Activity:
    """Return head, shape `MNI_SHAPE`, and body as they lie on a grid of `shape`; `affine`: its voxel to camera mm."""
    to_head = np.linalg.inv(camera.head_to_camera) @ affine
    to_trunk = np.linalg.inv(camera.trunk_to_camera) @ affine
    to_voxels = np.linalg.inv(mni_affine()) @ to_head
    on_grid = affine_transform(head, to_voxels[:3, :3], to_voxels[:3, 3], shape, order=1, output=np.float32)
    return with_body(on_grid, body, to_head, to_trunk)


def field_shape(camera: NativeCamera) -> tuple[int, int, int]:
    """Return the shape of the field of view on the 4 mm grid."""
    return N_ACROSS, N_ACROSS, round(camera.axial_mm / GRID_MM)


def fine_shape(camera: NativeCamera) -> tuple[int, int, int]:
    """Return the shape of the field of view once refined."""
    x, y, z = (2 * size - 1 for size in field_shape(camera))
    return x, y, z


def fine_affine(camera: NativeCamera) -> Affine:
    """Return voxel of the refined field of view to camera mm, shape (4, 4)."""
    return centred(GRID_MM / 2, fine_shape(camera))


def kept(image: Activity, camera: NativeCamera) -> Volume:
    """Return an image of the field of view, on the 4 mm grid, as it is stored."""
    return kept_fine(np.maximum(refined(image), 0), camera)


def kept_fine(image: Activity, camera: NativeCamera) -> Volume:
    """Return an image of the refined field of view as it is stored."""
    return stored(image, fine_affine(camera), camera.grid, camera.header, camera.scale)


def _in_mni(image: Activity, camera: NativeCamera) -> Volume:
    to_image = (
        np.linalg.inv(fine_affine(camera)) @ camera.head_to_camera @ mni_affine_of(mni_affine(), _Z_OFFSET_VOXELS)
    )
    # `stored_scan` takes the voxels of the refined image for those of the MNI grid.
    scan = stored_scan(image, camera.acquisition, mni_affine() @ to_image)
    scan[_places_off(to_image, fine_shape(camera))] = 0
    return Volume(scan, mni_affine())


def _places_off(to_image: Affine, image_shape: tuple[int, ...]) -> BoolArray:
    """Return the voxels of the MNI grid that lie outside an image; `to_image` leads to its voxels."""
    i, j, k = np.ogrid[tuple(slice(size) for size in MNI_SHAPE)]
    off = np.zeros(MNI_SHAPE, dtype=bool)
    for row, size in zip(to_image[:3], image_shape, strict=True):
        place = row[0] * i + row[1] * j + row[2] * k + row[3]
        off |= (place < -0.5) | (place > size - 0.5)
    return off


def _grid_voxels_per_mni_voxel(camera: NativeCamera) -> float:
    volume = abs(np.linalg.det(mni_affine()[:3, :3] @ camera.head_to_camera[:3, :3]))
    return float(GRID_MM**3 / volume)


def centred(voxel_mm: float, shape: tuple[int, ...]) -> Affine:
    """Return voxel to camera mm, shape (4, 4), of cubes about the camera's middle."""
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = -voxel_mm * (np.array(shape) - 1) / 2
    return affine


def _about(fixed_mm: FloatArray, linear: FloatArray, to_mm: FloatArray) -> Affine:
    """Return the affine, shape (4, 4), that is `linear` about `fixed_mm` and moves that to `to_mm`."""
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = to_mm - linear @ fixed_mm
    return affine


def moved(affine: Affine, points_mm: FloatArray) -> FloatArray:
    """Return points, shape (..., 3), as `affine` maps them."""
    return np.asarray(points_mm @ affine[:3, :3].T + affine[:3, 3])


def _draw_station(laboratory: Laboratory, acquisition: Acquisition, rng: np.random.Generator) -> np.random.Generator:
    """Draw one of a site's stations, whose own generator gives all its scans the same grid, axes and type."""
    site = [site.name for site in laboratory.sites].index(acquisition.site)
    stream = (_STATION, site, int(rng.integers(_STATIONS_OF_A_SITE)))
    return np.random.default_rng(np.random.SeedSequence(laboratory.params.seed, spawn_key=stream))


def _bell(rng: np.random.Generator, n: int) -> FloatArray:
    return np.clip(rng.standard_normal(n), -2.5, 2.5)


def _draw_axial_mm(rng: np.random.Generator) -> float:
    shares, shortest, longest = zip(*_AXIAL_MODES, strict=True)
    mode = int(rng.choice(len(shares), p=shares))
    return float(rng.uniform(shortest[mode], longest[mode]))


def _draw_height(axial_mm: float, rng: np.random.Generator) -> float:
    """Draw how far the head's middle lies above the middle of the field, mm; in long fields it lies high."""
    most = min(SHIFT_MM, axial_mm / 2 - _STRIATA_INSIDE_MM)
    lowest = -most if axial_mm < _SHORT_MM else -most / 2
    return float(rng.uniform(lowest, most))
