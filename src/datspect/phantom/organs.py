"""Image what is not a head: other organs, and the objects by which a camera's quality is controlled."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from datspect.imaging.regions import Ellipsoid, Vector, ellipsoid_fractions
from datspect.imaging.volume import Volume
from datspect.phantom.background import Activity
from datspect.phantom.native import NativeCamera, centred, field_shape, kept
from datspect.phantom.native_projection import N_BEYOND, acquire_field
from datspect.phantom.projector import GRID_MM

_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
Solid = tuple[Vector, Vector, float]
"""Centre and semi-axes, mm in the camera, and uptake; later ones replace what earlier ones have."""

ORGANS: Mapping[str, tuple[Solid, ...]] = {
    "thorax": (
        ((0, 0, 0), (165, 105, 400), 0.5),  # chest wall
        ((68, 0, 0), (48, 72, 120), 0.9),  # lungs, which take up much of the tracer
        ((-68, 0, 0), (48, 72, 120), 0.9),
        ((-22, 20, -20), (46, 42, 52), 1.2),  # heart
        ((0, -62, 0), (20, 24, 400), 0.8),  # spine
        ((35, 10, -150), (110, 80, 75), 2.4),  # dome of the liver
    ),
    "abdomen": (
        ((0, 0, 0), (150, 100, 400), 0.4),
        ((45, 18, 40), (82, 66, 75), 2.2),  # liver
        ((-78, -28, 45), (26, 30, 48), 2.5),  # spleen
        ((58, -45, -35), (25, 24, 50), 4.0),  # kidneys
        ((-58, -45, -30), (25, 24, 50), 4.0),
        ((0, -55, 0), (20, 22, 400), 0.7),
        ((-10, 30, -70), (70, 30, 40), 1.3),  # bowel
    ),
    "thyroid": (
        ((0, 0, 0), (58, 60, 400), 0.25),  # neck
        ((22, 26, -8), (11, 11, 24), 6.0),  # lobes
        ((-22, 26, -8), (11, 11, 24), 6.0),
        ((0, 33, -16), (12, 6, 8), 4.0),  # isthmus
    ),
}
_POINTS_MM: tuple[Vector, ...] = ((0, 0, 0), (60, 0, 20), (-60, 0, -20), (0, 70, 10), (0, -70, -10))


def organ(name: str, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return a scan of one of `ORGANS`."""
    size = rng.uniform(0.85, 1.1)
    shift_mm = rng.uniform(-20, 20, 3)
    solids = [
        (_vector(size * np.array(centre) + shift_mm), _vector(size * np.array(semi)), uptake * rng.uniform(0.8, 1.2))
        for centre, semi, uptake in ORGANS[name]
    ]
    return _seen(_painted(solids, camera), camera, rng)


def points(camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return a scan of five small sources."""
    radius = rng.uniform(3, 5)
    return _seen(_painted([(each, (radius,) * 3, 100.0) for each in _POINTS_MM], camera), camera, rng)


def lines(camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return a scan of one to five line sources in a cylinder."""
    radius = rng.uniform(3, 5)
    lines: list[Solid] = [((x, y, 0), (radius, radius, 2000), 100.0) for x, y, _z in _POINTS_MM]
    return _seen(_painted([((0, 0, 0), (95, 95, 2000), 0.02), *lines[: rng.integers(1, 6)]], camera), camera, rng)


def cylinder(camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return a cylinder of activity with six cold balls, as quality control has it."""
    angles = 2 * np.pi * np.arange(6) / 6 + rng.uniform(0, 1)
    balls: list[Solid] = [
        (_vector(np.array([57 * np.cos(a), 57 * np.sin(a), 0])), (radius,) * 3, 0.0)
        for a, radius in zip(angles, (6, 8, 10, 12, 15, 18), strict=True)
    ]
    water: Solid = ((0, 0, 0), (105, 105, 3000), 1.0)
    activity = _painted([water, *balls], camera)
    half = min(90.0, camera.axial_mm / 2 - 10)
    z_mm = GRID_MM * (np.arange(activity.shape[2]) - (activity.shape[2] - 1) / 2)
    return _seen(activity * (np.abs(z_mm) < half).astype(np.float32), camera, rng)


def _seen(activity: Activity, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return what the camera makes of an activity on its 4 mm grid."""
    in_field = float(activity[:, :, N_BEYOND:-N_BEYOND].sum(dtype=np.float64))
    return kept(acquire_field(activity, camera.acquisition, in_field, rng), camera)


def _painted(solids: list[Solid], camera: NativeCamera) -> Activity:
    """Return solids on the camera's 4 mm grid, with slices beyond the field."""
    x, y, z = field_shape(camera)
    shape = (x, y, z + 2 * N_BEYOND)
    activity = np.zeros(shape, dtype=np.float32)
    for centre, semi_axes, uptake in solids:
        solid = ellipsoid_fractions(Ellipsoid(centre, semi_axes, _UPRIGHT), shape, centred(GRID_MM, shape))
        activity += solid * (np.float32(uptake) - activity)
    return activity


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
