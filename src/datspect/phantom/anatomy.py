"""Build one subject's head: nuclei with their own places, sizes and patterns of binding in an ICBM-152 background."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from datspect.arrays import FloatArray
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
    target_structure,
)
from datspect.imaging.volume import MNI_SHAPE, Affine, mni_affine
from datspect.params.data import PhantomParams
from datspect.phantom.background import GREY_MATTER, Activity, Background
from datspect.phantom.binding import MEASURED, VASCULAR, Person, Side
from datspect.phantom.pattern import EVEN, Pattern, draw_pattern, spread
from datspect.phantom.projector import FWHM_PER_SD

_FIXED_POINT_MM = np.array([0.0, -4.0, 4.0])
"""Centre of the rotations and scalings left by registration, MNI mm: it aligns best what shines most. [assumed]"""
_MARGIN_MM = 10.0
"""A deformed striatum may reach so far out of the striatal box."""
_FAILED_TILT_DEGREES = 6.0
"""Standard deviation of the rotation, about each axis, that a failed registration leaves. [assumed]"""
_MIDDLE_AGE = 60.0
_AGEING_SD_DECADES = 1.5
"""How far a head may look from its years. [assumed]"""

# Specific binding of the two small nuclei, as a share of their neighbours'. [assumed]
_ACCUMBENS_OF_CAUDATE = 0.7
_PALLIDUM_OF_PUTAMEN = 0.2

_REGIONS = ("caudate", "putamen_anterior", "putamen_posterior")
_LESION_CENTRES_MM = ((12.0, 11.0, 5.0), (23.0, 6.0, 1.0), (27.0, -8.0, 2.0))
"""In the caudate, the anterior and the posterior putamen of the right side: where an infarct may lie. [assumed]"""
_LESION_RADIUS_MM = (7.0, 10.0)
_LESION_SHIFT_SD_MM = 1.5
_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_SEEN_FWHM_MM = 11.0
"""Resolution at which a region's voxels count for what it measures."""


@dataclass(frozen=True)
class Anatomy:
    """One subject's head, in its own undeformed frame, and how the stored scan lies in it.

    to_atlas : shape (4, 4), voxel of the stored scan to MNI mm of the head
    is_misregistered : whether registration failed, by millimetres and degrees that nobody would accept
    structures : the nuclei with their individual place and size
    patterns : of binding, by side
    ageing_decades : age of the head beyond middle age
    brain_uptake : nonspecific uptake of the brain, as a factor
    lesion : where nothing binds, if anywhere
    """

    to_atlas: Affine
    is_misregistered: bool
    structures: Mapping[str, Structure]
    patterns: Mapping[str, Pattern]
    ageing_decades: float
    brain_uptake: float
    lesion: Ellipsoid | None = None


def draw_anatomy(params: PhantomParams, person: Person, rng: np.random.Generator) -> Anatomy:
    """Draw an individual head with the error of its registration to MNI."""
    to_atlas, is_misregistered = _draw_registration(params, rng)
    patterns = {
        side: draw_pattern(float(putamen), float(caudate), params.pattern_sd, rng)
        for side, (caudate, putamen) in zip(SIDES, person.losses.T, strict=True)
    }
    structures = {
        name: _vary(structure.scaled(_thickness(name, patterns)), params, rng)
        for name, structure in striatal_structures().items()
    }
    ageing = (person.age - _MIDDLE_AGE) / 10 + _AGEING_SD_DECADES * rng.standard_normal()
    brain_uptake = 1 + params.brain_uptake_sd * float(np.clip(rng.standard_normal(), -3, 3))
    lesion = _draw_lesion(person.worse_side, rng) if person.label == VASCULAR else None
    return Anatomy(to_atlas, is_misregistered, structures, patterns, ageing, brain_uptake, lesion)


def undeformed_anatomy() -> Anatomy:
    """Return the head that all others are varied from, perfectly registered."""
    return Anatomy(mni_affine(), False, striatal_structures(), dict.fromkeys(SIDES, EVEN), 0.0, 1.0)


def _draw_registration(params: PhantomParams, rng: np.random.Generator) -> tuple[Affine, bool]:
    """Draw the map from voxels of the stored scan to MNI mm of the head, and whether it is a failed one."""
    angles = rng.normal(0, params.registration_rotation_sd_degrees, 3)
    shift_mm = rng.normal(0, params.registration_shift_sd_mm, 3)
    scale = 1 + rng.normal(0, params.head_size_sd, 3)
    failed = bool(rng.random() < params.misregistered)
    least, most = params.misregistered_mm
    direction, length_mm = rng.standard_normal(3), rng.uniform(least, most)
    tilt = rng.normal(0, _FAILED_TILT_DEGREES, 3)
    if failed:
        shift_mm = shift_mm + length_mm * direction / np.sqrt((direction**2).sum())
        angles = angles + tilt
    deformation = np.eye(4)
    deformation[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * scale
    deformation[:3, 3] = _FIXED_POINT_MM + shift_mm - deformation[:3, :3] @ _FIXED_POINT_MM
    return deformation @ mni_affine_of(mni_affine(), params.z_offset_voxels), failed


def _thickness(name: str, patterns: Mapping[str, Pattern]) -> float:
    nucleus, _, side = name.rpartition("_")
    return patterns[side].thickness if nucleus.startswith("putamen") else 1.0


def _draw_lesion(side: Side, rng: np.random.Generator) -> Ellipsoid:
    """Draw the ball, in caudate or putamen of one side, that an infarct has punched out."""
    x_mm, y_mm, z_mm = _LESION_CENTRES_MM[rng.integers(len(_LESION_CENTRES_MM))]
    middle_mm = (x_mm if side == "right" else -x_mm, y_mm, z_mm)
    radius_mm = float(rng.uniform(*_LESION_RADIUS_MM))
    ball = Ellipsoid(middle_mm, (radius_mm, radius_mm, radius_mm), _UPRIGHT)
    return ball.moved(rng.normal(0, _LESION_SHIFT_SD_MM, 3))


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


def build_head(anatomy: Anatomy, background: Background) -> HeadActivity:
    """Place background and nuclei of one subject on the MNI grid, in the head's own frame."""
    base = background.of(anatomy.ageing_decades, anatomy.brain_uptake)
    box = striatal_box_slices(MNI_SHAPE, mni_affine(), _MARGIN_MM)
    shares = _shares(anatomy, box)
    inside = base[box]
    inside += np.sum(list(shares.values()), axis=0) * (np.float32(GREY_MATTER * anatomy.brain_uptake) - inside)
    components = _components(shares, anatomy.patterns, box)
    if anatomy.lesion is not None:
        components *= 1 - ellipsoid_fractions(anatomy.lesion, inside.shape, _corner_affine(box))
    return HeadActivity(base, components, box)


def _shares(anatomy: Anatomy, box: tuple[slice, slice, slice]) -> dict[str, Fractions]:
    """Return the share of each voxel of the box that each nucleus fills; the first of two that overlap has it all."""
    free = np.ones(tuple(side.stop - side.start for side in box), dtype=np.float32)
    shares: dict[str, Fractions] = {}
    for name, structure in anatomy.structures.items():
        shares[name] = np.minimum(structure_fractions(structure, free.shape, _corner_affine(box)), free)
        free -= shares[name]
    return shares


def _corner_affine(box: tuple[slice, slice, slice]) -> Affine:
    """Return voxel of the box to MNI mm, shape (4, 4)."""
    affine = mni_affine().copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return affine


def _components(
    shares: Mapping[str, Fractions], patterns: Mapping[str, Pattern], box: tuple[slice, slice, slice]
) -> Activity:
    """Return what a binding ratio of 1 adds, shape (6, *box); the small nuclei follow their neighbours.

    Patterns, sizes and places of the nuclei leave what their regions measure as it is, to first order.
    """
    affine = _corner_affine(box)
    places = [affine[axis, axis] * np.arange(side.stop - side.start) + affine[axis, 3] for axis, side in enumerate(box)]
    x_mm, y_mm, z_mm = (place.astype(np.float32) for place in np.ix_(*places))
    components: dict[str, Fractions] = {}
    seen = _seen()
    for side in SIDES:
        outwards_mm = [x_mm if side == "right" else -x_mm, y_mm, z_mm]
        spread_out = {
            region: spread(region, shares[f"{region}_{side}"], patterns[side], outwards_mm, seen[f"{region}_{side}"])
            for region in _REGIONS
        }
        small = {
            "caudate": np.float32(_ACCUMBENS_OF_CAUDATE) * shares[f"accumbens_{side}"],
            "putamen": np.float32(_PALLIDUM_OF_PUTAMEN / 2) * shares[f"pallidum_{side}"],
        }
        components |= {
            f"{region}_{side}": spread_out[region] + small[region.partition("_")[0]] for region in spread_out
        }
    return np.stack([components[name] for name in MEASURED])


@cache
def _seen() -> Mapping[str, Fractions]:
    """Return how much a voxel counts for what a region measures, shape of the box; its nucleus as a whole counts 1."""
    box = striatal_box_slices(MNI_SHAPE, mni_affine(), _MARGIN_MM)
    affine = _corner_affine(box)
    shape = tuple(side.stop - side.start for side in box)
    seen = {}
    for name in MEASURED:
        region, _, side = name.rpartition("_")
        target = structure_fractions(target_structure(region, side), shape, affine)
        counts = gaussian_filter(target, _SEEN_FWHM_MM / FWHM_PER_SD / affine[2, 2], mode="constant")
        nucleus = structure_fractions(striatal_structures()[name], shape, affine)
        seen[name] = counts / np.float32((counts * nucleus).sum(dtype=np.float64))
    return seen
