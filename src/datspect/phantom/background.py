"""Build the head without its striata: grey and white matter, ventricles, brainstem, skull, scalp, face and neck.

The uptakes are fitted to ratios of large regions in the mean of normal DaT SPECT scans (docs/phantom.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

from datspect.arrays import BoolArray
from datspect.imaging.regions import Ellipsoid, Fractions, Vector, ellipsoid_fractions, occipital_mask
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.io.mni_maps import read_tissue_map

Activity = NDArray[np.float32]
"""Tracer per volume, in units of occipital grey matter."""

# Uptake relative to the occipital region.
GREY_MATTER = 1.0
"""Of the striata themselves, before any binding."""
_UPTAKE = {
    "grey": 0.88,
    "white": 1.19,
    "fluid": 1.0,
    "ventricles": 0.95,
    "skull": 0.62,
    "scalp": 1.0,
    "face": 0.78,
    "nose": 0.25,
}
_NUCLEI = {"thalamus": 1.36, "midbrain": 1.86, "pons": 1.55}
# What is added to grey and white matter: by place, and in millimetres along y and z. [fitted]
_INSULA, _TEMPORAL = 0.3, 0.3
_GREY_SLOPE = (-0.0027, -0.0017)
_WHITE_SLOPE = (0.0017, 0.0012)
_MIDDLE_MM = (-18.0, 0.0)
"""y and z at which the slopes begin."""

_BRAIN = 0.2
"""Voxels from this share of the brightest T1 voxel upwards are brain; the map holds nothing else."""
_SCALP_MM = 8.0
_AROUND_BRAIN_MM = 9.0
"""Skull and scalp together are at least this thick."""
_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Centre and semi-axes, MNI mm; of those aside the right one. [assumed]
_HEAD_SHAPES: tuple[tuple[Vector, Vector], ...] = (
    ((0, -17, 0), (81, 102, 93)),  # cranium
    ((0, 32, -45), (60, 54, 70)),  # face
    ((0, -22, -85), (58, 60, 75)),  # neck
)
_NUCLEUS_SHAPES: Mapping[str, tuple[Vector, Vector]] = {
    "thalamus": ((11, -18, 8), (8, 13, 8)),
    "midbrain": ((0, -21, -13), (11, 8, 8)),
    "pons": ((0, -27, -30), (14, 11, 14)),
}
_INSULA_SHAPE: tuple[Vector, Vector] = ((40, 4, 0), (6, 18, 12))
_TEMPORAL_SHAPE: tuple[Vector, Vector] = ((52, -18, -14), (18, 40, 16))
_NOSE_SHAPE: tuple[Vector, Vector] = ((0, 52, -46), (13, 26, 20))
_VENTRICLES_MM = ((-34, 34), (-50, 36), (-16, 34))
"""Box around the ventricles: fluid outside of it lies between the folds of the cortex."""
_SKULL_BASE = (-20.0, 0.12)
"""Height of the skull's base at y = 0, mm, and its slope: below lie face and neck."""
_SHRINKING_PER_DECADE, _WIDENING_PER_DECADE = -0.02, 0.12
"""Change of grey matter, and of white matter beside the ventricles into fluid, per decade of age. [assumed]"""


@dataclass(frozen=True)
class Background:
    """Nonspecific activity of the undeformed head on the MNI grid, shape `MNI_SHAPE` each.

    uptake : of a head of middle age
    ageing : what a decade of age adds
    brain : share of each voxel that varies with the brain's uptake
    """

    uptake: Activity
    ageing: Activity
    brain: Activity

    def of(self, decades: float, brain_uptake: float = 1.0) -> Activity:
        """Return the activity, shape `MNI_SHAPE`, `decades` after middle age, with the brain's uptake as a factor."""
        aged = self.uptake + np.float32(decades) * self.ageing
        return np.asarray(aged * (1 + np.float32(brain_uptake - 1) * self.brain), dtype=np.float32)


def read_background() -> Background:
    """Return the background of the ICBM-152 head."""
    grey, white, t1 = read_tissue_map("gm"), read_tissue_map("wm"), read_tissue_map("t1")
    return background(grey, white, t1 > np.float32(_BRAIN))


def background(grey: Fractions, white: Fractions, brain: BoolArray) -> Background:
    """Return the background of a head with maps of grey matter, white matter and brain, all of shape `MNI_SHAPE`."""
    brain = binary_fill_holes(brain)
    grey, white = grey * brain, white * brain
    fluid = np.clip(brain - grey - white, 0, 1)
    ventricles = fluid * _box(_VENTRICLES_MM)
    matter = _grey_and_white(grey, white)
    inside = matter + _UPTAKE["ventricles"] * ventricles + _UPTAKE["fluid"] * (fluid - ventricles)
    for name, shape in _NUCLEUS_SHAPES.items():
        inside += _inside(shape) * (_NUCLEI[name] - inside)
    uptake = np.where(brain, inside, _around(brain)).astype(np.float32)
    ageing = _SHRINKING_PER_DECADE * _UPTAKE["grey"] * grey
    ageing += _WIDENING_PER_DECADE * _beside(ventricles) * white * (_UPTAKE["ventricles"] - _UPTAKE["white"])
    # The occipital region is 1 by definition.
    scale = 1 / float(gaussian_filter(uptake, 2.0)[occipital_mask(MNI_SHAPE, mni_affine())].mean(dtype=np.float64))
    return Background(uptake * np.float32(scale), ageing.astype(np.float32), brain.astype(np.float32))


def _grey_and_white(grey: Fractions, white: Fractions) -> Activity:
    y_mm, z_mm = (mm - middle for mm, middle in zip(_millimetres()[1:], _MIDDLE_MM, strict=True))
    grey_uptake = _UPTAKE["grey"] + _GREY_SLOPE[0] * y_mm + _GREY_SLOPE[1] * z_mm
    white_uptake = _UPTAKE["white"] + _WHITE_SLOPE[0] * y_mm + _WHITE_SLOPE[1] * z_mm
    places = _INSULA * _inside(_INSULA_SHAPE) + _TEMPORAL * _inside(_TEMPORAL_SHAPE)
    return np.asarray(grey * (grey_uptake + places) + white * (white_uptake + places), dtype=np.float32)


def _around(brain: BoolArray) -> Activity:
    """Return the activity outside the brain: skull under the scalp, and face and neck below the skull's base."""
    head = np.max([_inside(shape) for shape in _HEAD_SHAPES], axis=0) > 0.5
    head |= distance_transform_edt(~brain, sampling=2.0) <= _AROUND_BRAIN_MM
    # Below the grid the head goes on.
    below = int(_SCALP_MM)
    depth_mm = distance_transform_edt(np.pad(head, ((0, 0), (0, 0), (below, 0)), mode="edge"), sampling=2.0)
    deep = depth_mm[:, :, below:] > _SCALP_MM
    _, y_mm, z_mm = _millimetres()
    base = (z_mm < _SKULL_BASE[0] + _SKULL_BASE[1] * y_mm) | ((z_mm < -12) & (y_mm > 40))
    tissue = np.where(base, _UPTAKE["face"], _UPTAKE["skull"])
    tissue = tissue + _inside(_NOSE_SHAPE) * (_UPTAKE["nose"] - tissue)
    return np.asarray(np.where(head, np.where(deep, tissue, _UPTAKE["scalp"]), 0), dtype=np.float32)


def _beside(ventricles: Fractions) -> Activity:
    """Return how near the ventricles a voxel lies, in [0, 1]."""
    return np.asarray(np.minimum(4 * gaussian_filter(ventricles, 1.5), 1), dtype=np.float32)


def _inside(shape: tuple[Vector, Vector]) -> Fractions:
    """Return the share of each voxel inside an upright ellipsoid or its mirror image, shape `MNI_SHAPE`."""
    right = Ellipsoid(*shape, _UPRIGHT)
    fractions = ellipsoid_fractions(right, MNI_SHAPE, mni_affine())
    return fractions if shape[0][0] == 0 else np.maximum(fractions, fractions[::-1])


def _box(ranges_mm: tuple[tuple[int, int], ...]) -> BoolArray:
    low_high = zip(_millimetres(), ranges_mm, strict=True)
    x, y, z = ((low <= mm) & (mm <= high) for mm, (low, high) in low_high)
    return np.asarray(x & y & z)


def _millimetres() -> list[NDArray[np.float32]]:
    """Return MNI x, y and z of the grid, each along its own axis."""
    affine = mni_affine()
    axes = [affine[axis, axis] * np.arange(size) + affine[axis, 3] for axis, size in enumerate(MNI_SHAPE)]
    return [values.astype(np.float32) for values in np.ix_(*axes)]
