"""Continue a head downwards as a camera sees it: jaw, neck, shoulders, and salivary glands, which take up tracer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datspect.imaging.regions import SIDES, Ellipsoid, Fractions, Vector, ellipsoid_fractions
from datspect.imaging.volume import Affine, mni_affine
from datspect.phantom.background import Activity

# Uptake relative to the occipital region, lowest and highest among subjects. [assumed]
_TISSUE = (0.4, 0.75)
_GLANDS: Mapping[str, tuple[float, float]] = {
    "parotid": (1.0, 3.0),
    "submandibular": (1.0, 3.0),
    "sublingual": (0.6, 1.5),
}
_MOUTH = 0.25
_SIDE_LOG_SD = 0.12
"""Glands of the two sides differ a little."""

_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Centre and semi-axes, MNI mm; of those aside the right one. The first two continue the head's own. [assumed]
_MOVES_WITH_HEAD: tuple[tuple[Vector, Vector], ...] = (
    ((0, 32, -45), (60, 54, 70)),  # jaw
    ((0, -22, -85), (58, 60, 75)),  # nape and throat
)
_MOVES_WITH_TRUNK: tuple[tuple[Vector, Vector], ...] = (
    ((0, -28, -150), (56, 58, 95)),  # neck
    ((0, -35, -310), (215, 105, 145)),  # shoulders and chest
)
_MOUTH_SHAPE: tuple[Vector, Vector] = ((0, 50, -78), (22, 26, 22))
_GLAND_SHAPES: Mapping[str, tuple[Vector, Vector]] = {
    "parotid": ((47, -10, -62), (11, 17, 25)),
    "submandibular": ((27, 10, -98), (9, 15, 9)),
    "sublingual": ((10, 44, -100), (5, 13, 5)),
}
NECK_JOINT_MM = np.array([0.0, -35.0, -95.0])
"""About here the head turns on the trunk, MNI mm."""
_HEAD_ENDS_MM = float(mni_affine()[2, 3])
"""Height of the lowest slice of the MNI grid, where the head's own activity ends."""
_SEAM_MM = 4.0


@dataclass(frozen=True)
class Body:
    """Uptake of one subject below the head, relative to the occipital region.

    tissue : of muscle and skin
    glands : keyed `parotid_left`
    """

    tissue: float
    glands: Mapping[str, float]


def draw_body(rng: np.random.Generator) -> Body:
    """Draw what a subject's neck and glands take up."""
    tissue = float(rng.uniform(*_TISSUE))
    glands: dict[str, float] = {}
    for name, between in _GLANDS.items():
        uptake = rng.uniform(*between)
        glands |= {f"{name}_{side}": float(uptake * np.exp(_SIDE_LOG_SD * rng.standard_normal())) for side in SIDES}
    return Body(tissue, glands)


def with_body(head: Activity, body: Body, to_head: Affine, to_trunk: Affine) -> Activity:
    """Return `head`, shape (X, Y, Z) on any grid, continued downwards by `body`.

    `to_head` and `to_trunk`, shape (4, 4), lead from voxels of the grid to MNI mm of the head, and of the trunk in the
    same frame as long as the neck is straight.
    """
    shape = head.shape
    tissue = np.zeros(shape, dtype=np.float32)
    for shapes, affine in ((_MOVES_WITH_HEAD, to_head), (_MOVES_WITH_TRUNK, to_trunk)):
        for each in shapes:
            np.maximum(tissue, _fractions(each, shape, affine), out=tissue)
    below = tissue * np.float32(body.tissue)
    below += _fractions(_MOUTH_SHAPE, shape, to_head) * tissue * np.float32(_MOUTH - body.tissue)
    share = _share_of_head(shape, to_head)
    activity = np.asarray(share * head + (1 - share) * below, dtype=np.float32)
    for name, uptake in body.glands.items():
        gland, _, side = name.rpartition("_")
        activity += _fractions(_GLAND_SHAPES[gland], shape, to_head, side) * (np.float32(uptake) - activity)
    return activity


def _fractions(
    shape_mm: tuple[Vector, Vector], shape: tuple[int, ...], affine: Affine, side: str = "right"
) -> Fractions:
    right = Ellipsoid(*shape_mm, _UPRIGHT)
    x, y, z = shape
    return ellipsoid_fractions(right if side == "right" else right.mirrored(), (x, y, z), affine)


def _share_of_head(shape: tuple[int, ...], to_head: Affine) -> Fractions:
    """Return 1 where the head's own grid reaches, 0 below it, and a ramp between."""
    i, j, k = (np.arange(size, dtype=np.float64) * to_head[2, axis] for axis, size in enumerate(shape))
    z_mm = i[:, np.newaxis, np.newaxis] + j[:, np.newaxis] + k + to_head[2, 3]
    return np.asarray(np.clip((z_mm - _HEAD_ENDS_MM) / _SEAM_MM, 0, 1), dtype=np.float32)
