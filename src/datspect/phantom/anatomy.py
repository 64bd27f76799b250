"""Build the simulated head: an ICBM-152 background with analytic striata, deformed from subject to subject."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, binary_fill_holes, distance_transform_edt
from scipy.spatial.transform import Rotation

from datspect.arrays import BoolArray, FloatArray
from datspect.imaging.regions import (
    SIDES,
    Ellipsoid,
    Fractions,
    Structure,
    ellipsoid_fractions,
    mni_affine_of,
    striatal_box_slices,
    striatal_structures,
    structure_fractions,
)
from datspect.imaging.volume import MNI_SHAPE, Affine, mni_affine
from datspect.io.mni_maps import read_tissue_map
from datspect.params.data import PhantomParams
from datspect.phantom.binding import MEASURED

Activity = NDArray[np.float32]
"""Tracer per volume, in units of occipital grey matter."""

# Uptake relative to occipital grey matter, read from DaT SPECT images of healthy subjects.
GREY_MATTER, WHITE_MATTER, VENTRICLE, SCALP = 1.0, 1.15, 0.97, 0.83
_THALAMUS, _MIDBRAIN = 1.2, 1.5
_BRAIN = 0.2
"""Voxels from this share of the brightest T1 voxel upwards are brain; the map holds nothing else."""
_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Rough ellipsoids; MNI mm. [assumed]
_THALAMUS_SHAPE = Ellipsoid((11, -18, 8), (8, 13, 8), _UPRIGHT)
_MIDBRAIN_SHAPE = Ellipsoid((0, -21, -13), (11, 8, 8), _UPRIGHT)
_SCALP_DISTANCE_MM = (6.0, 14.0)
"""Where the scalp lies, counted outwards from the brain's surface. [assumed]"""

_FIXED_POINT_MM = np.array([0.0, -4.0, 4.0])
"""Centre of the rotations and scalings left by registration, MNI mm: it aligns best what shines most. [assumed]"""
_MARGIN_MM = 10.0
"""A deformed striatum may reach so far out of the striatal box."""

# Specific binding of the two small nuclei, as a share of their neighbours'. [assumed]
_ACCUMBENS_OF_CAUDATE = 1.0
_PALLIDUM_OF_PUTAMEN = 0.2


@dataclass(frozen=True)
class Anatomy:
    """One subject's head on the grid of the stored scan.

    to_atlas : shape (4, 4), voxel to MNI mm of the undeformed head
    structures : the nuclei with their individual place and size
    box : voxels that hold all of them
    """

    to_atlas: Affine
    structures: Mapping[str, Structure]
    box: tuple[slice, slice, slice]


def read_background() -> Activity:
    """Return the nonspecific activity of the undeformed head without striata, on the MNI grid, shape `MNI_SHAPE`."""
    grey, white, t1 = read_tissue_map("gm"), read_tissue_map("wm"), read_tissue_map("t1")
    return background(grey, white, t1 > np.float32(_BRAIN))


def background(grey: Fractions, white: Fractions, brain: BoolArray) -> Activity:
    """Return nonspecific activity from maps of grey matter, white matter and brain, all of shape `MNI_SHAPE`."""
    brain = binary_fill_holes(brain)
    rest = np.clip(1 - grey - white, 0, 1)
    activity = np.where(brain, GREY_MATTER * grey + WHITE_MATTER * white + VENTRICLE * rest, 0)
    for ellipsoid, uptake in (
        (_THALAMUS_SHAPE, _THALAMUS),
        (_THALAMUS_SHAPE.mirrored(), _THALAMUS),
        (_MIDBRAIN_SHAPE, _MIDBRAIN),
    ):
        inside = ellipsoid_fractions(ellipsoid, MNI_SHAPE, mni_affine())
        activity += inside * (uptake - activity)
    distance_mm = distance_transform_edt(~brain, sampling=2.0)
    nearest, farthest = _SCALP_DISTANCE_MM
    activity[(distance_mm >= nearest) & (distance_mm <= farthest)] = SCALP
    return np.asarray(activity, dtype=np.float32)


def draw_anatomy(params: PhantomParams, rng: np.random.Generator) -> Anatomy:
    """Draw an individual head with the error of its registration to MNI."""
    angles = rng.normal(0, params.registration_rotation_sd_degrees, 3)
    shift_mm = rng.normal(0, params.registration_shift_sd_mm, 3)
    scale = np.exp(rng.normal(0, params.head_size_sd, 3))
    deformation = np.eye(4)
    deformation[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * scale
    deformation[:3, 3] = _FIXED_POINT_MM + shift_mm - deformation[:3, :3] @ _FIXED_POINT_MM
    to_mni = mni_affine_of(mni_affine(), params.z_offset_voxels)
    structures = {name: _vary(structure, params, rng) for name, structure in striatal_structures().items()}
    return Anatomy(deformation @ to_mni, structures, striatal_box_slices(MNI_SHAPE, to_mni, _MARGIN_MM))


def _vary(structure: Structure, params: PhantomParams, rng: np.random.Generator) -> Structure:
    """Return the structure moved and scaled a little; its halves still meet at the same plane."""
    shift_mm = rng.normal(0, params.nucleus_shift_sd_mm, 3)
    return structure.moved(shift_mm).scaled(float(np.exp(rng.normal(0, params.nucleus_size_sd))))


@dataclass(frozen=True)
class HeadActivity:
    """A subject's activity as a sum: `base` plus the binding ratio of every nucleus times its component.

    base : shape `MNI_SHAPE`; the head without any binding
    components : shape (6, *box), in the order of `MEASURED`
    box : where the components lie
    """

    base: Activity
    components: Activity
    box: tuple[slice, slice, slice]

    def activity(self, binding: FloatArray) -> Activity:
        """Return the activity, shape `MNI_SHAPE`, with true binding ratios, shape (6,), in the order of `MEASURED`."""
        activity = self.base.copy()
        for ratio, component in zip(binding, self.components, strict=True):
            activity[self.box] += np.float32(ratio) * component
        return activity


def build_head(anatomy: Anatomy, undeformed: Activity) -> HeadActivity:
    """Place background, shape `MNI_SHAPE`, and nuclei of one subject on the grid of the stored scan."""
    to_background = np.linalg.inv(mni_affine()) @ anatomy.to_atlas
    base = np.asarray(
        affine_transform(undeformed, to_background[:3, :3], to_background[:3, 3], MNI_SHAPE, order=1), dtype=np.float32
    )
    shares = _shares(anatomy)
    inside = base[anatomy.box]
    inside += np.sum(list(shares.values()), axis=0) * (np.float32(GREY_MATTER) - inside)
    return HeadActivity(base, _components(shares), anatomy.box)


def _shares(anatomy: Anatomy) -> dict[str, Fractions]:
    """Return the share of each voxel of the box that each nucleus fills; the first of two that overlap has it all."""
    origin = np.eye(4)
    origin[:3, 3] = [side.start for side in anatomy.box]
    shape = tuple(side.stop - side.start for side in anatomy.box)
    free = np.ones(shape, dtype=np.float32)
    shares = {}
    for name, structure in anatomy.structures.items():
        shares[name] = np.minimum(structure_fractions(structure, free.shape, anatomy.to_atlas @ origin), free)
        free -= shares[name]
    return shares


def _components(shares: Mapping[str, Fractions]) -> Activity:
    """Return what a binding ratio of 1 adds, shape (6, *box); the small nuclei follow their neighbours."""
    components = {}
    for side in SIDES:
        pallidum = np.float32(_PALLIDUM_OF_PUTAMEN / 2) * shares[f"pallidum_{side}"]
        accumbens = np.float32(_ACCUMBENS_OF_CAUDATE) * shares[f"accumbens_{side}"]
        components[f"caudate_{side}"] = shares[f"caudate_{side}"] + accumbens
        components[f"putamen_anterior_{side}"] = shares[f"putamen_anterior_{side}"] + pallidum
        components[f"putamen_posterior_{side}"] = shares[f"putamen_posterior_{side}"] + pallidum
    return np.stack([components[name] for name in MEASURED])
