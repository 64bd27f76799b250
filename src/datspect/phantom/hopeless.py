"""Simulate scans that no classifier of DaT SPECT may answer: cut heads, other organs and machines, test objects."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter

from datspect.cohort.table import CONTROL, PD
from datspect.imaging.regions import mni_affine_of
from datspect.imaging.resampling import resampled_to_mni
from datspect.imaging.volume import Volume, mni_affine
from datspect.phantom import modalities, organs
from datspect.phantom.anatomy import build_head
from datspect.phantom.cohort import Laboratory, draw_subject
from datspect.phantom.native import (
    STRIATA_MNI_MM,
    NativeCamera,
    NativeSubject,
    draw_native_camera,
    draw_native_subject,
    field_shape,
    kept,
    moved,
    native_scan,
    raised,
)

Hopeless = Literal[
    "striata_above_field",
    "striata_below_field",
    "thorax",
    "abdomen",
    "thyroid",
    "noise",
    "fdg_pet",
    "amyloid_pet",
    "ct",
    "mr_t1",
    "empty",
    "constant",
    "point_sources",
    "line_sources",
    "cylinder",
]
"""Scans without striata in them, or of another kind: each must be refused."""
Doubtful = Literal["head_without_striata"]
"""A DaT scan in which nothing binds, which late disease and faulty injections look like."""
HOPELESS: tuple[Hopeless, ...] = get_args(Hopeless)
DOUBTFUL: tuple[Doubtful, ...] = get_args(Doubtful)

_STREAM = 16
"""Stream of random numbers, which no subject of a cohort has."""
_Z_OFFSET_VOXELS = 4.0
"""Stored MNI volumes lie so far above MNI."""
OUTSIDE_MM = (24.0, 45.0)
"""The middles of the striata lie so far outside of a field that does not hold them."""


def hopeless_scan(kind: Hopeless | Doubtful, laboratory: Laboratory, index: int) -> Volume:
    """Return scan `index` of a kind, as stored: a function of (parameters, kind, index) alone."""
    return _scan_and_camera(kind, laboratory, index)[0]


def hopeless_in_place(kind: Hopeless | Doubtful, laboratory: Laboratory, index: int) -> Volume:
    """Return the same scan on the stored MNI grid, where a perfect registration of the head would put it."""
    volume, camera = _scan_and_camera(kind, laboratory, index)
    to_scan = camera.header.to_world @ camera.head_to_camera @ mni_affine_of(mni_affine(), _Z_OFFSET_VOXELS)
    in_mni = mni_affine() @ np.linalg.inv(to_scan) @ volume.affine
    return resampled_to_mni(Volume(volume.data, in_mni), is_whole=False)


def _scan_and_camera(kind: Hopeless | Doubtful, laboratory: Laboratory, index: int) -> tuple[Volume, NativeCamera]:
    stream = (_STREAM, (*HOPELESS, *DOUBTFUL).index(kind), index)
    rng = np.random.default_rng(np.random.SeedSequence(laboratory.params.seed, spawn_key=stream))
    label = (CONTROL, PD)[index % 2]
    subject, _ = draw_native_subject(laboratory, label, index)
    camera = draw_native_camera(laboratory, rng)
    if kind == "head_without_striata":
        _, anatomy, _ = draw_subject(laboratory.params, label, index)
        nothing_binds = build_head(anatomy, laboratory.background).activity(np.zeros(6))
        return native_scan(replace(subject, activity=nothing_binds), camera, rng).volume, camera
    return _MAKERS[kind](subject, camera, rng), camera


def without_striata(camera: NativeCamera, rng: np.random.Generator, *, above: bool) -> NativeCamera:
    """Return the camera moved so that its field of view ends below the striata, or, not `above`, begins over them."""
    heights_mm = moved(camera.head_to_camera, STRIATA_MNI_MM)[:, 2]
    gap_mm = rng.uniform(*OUTSIDE_MM)
    if above:
        up_mm = heights_mm.min() - gap_mm - camera.axial_mm / 2
    else:
        up_mm = heights_mm.max() + gap_mm + camera.axial_mm / 2
    return raised(camera, float(up_mm))


def _outside(above: bool, subject: NativeSubject, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    return native_scan(subject, without_striata(camera, rng, above=above), rng).volume


def _noise(camera: NativeCamera, rng: np.random.Generator) -> Volume:
    image = gaussian_filter(rng.standard_normal(field_shape(camera)).astype(np.float32), rng.uniform(0.5, 1.5))
    return kept(image - image.min() if rng.random() < 0.5 else np.abs(image), camera)


def _even(empty: bool, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    volume = kept(np.ones(field_shape(camera), dtype=np.float32), camera)
    value = 0.0 if empty else float(rng.uniform(1, 1000))
    return Volume(np.full(volume.data.shape, value, dtype=volume.data.dtype), volume.affine)


_MAKERS: Mapping[Hopeless, Callable[[NativeSubject, NativeCamera, np.random.Generator], Volume]] = {
    "striata_above_field": partial(_outside, True),
    "striata_below_field": partial(_outside, False),
    "thorax": lambda _, camera, rng: organs.organ("thorax", camera, rng),
    "abdomen": lambda _, camera, rng: organs.organ("abdomen", camera, rng),
    "thyroid": lambda _, camera, rng: organs.organ("thyroid", camera, rng),
    "noise": lambda _, camera, rng: _noise(camera, rng),
    "fdg_pet": lambda subject, camera, rng: modalities.pet("fdg_pet", subject.body, camera, rng),
    "amyloid_pet": lambda subject, camera, rng: modalities.pet("amyloid_pet", subject.body, camera, rng),
    "ct": lambda subject, camera, rng: modalities.ct(subject.body, camera, rng),
    "mr_t1": lambda subject, camera, rng: modalities.mr(subject.body, camera, rng),
    "empty": lambda _, camera, rng: _even(True, camera, rng),
    "constant": lambda _, camera, rng: _even(False, camera, rng),
    "point_sources": lambda _, camera, rng: organs.points(camera, rng),
    "line_sources": lambda _, camera, rng: organs.lines(camera, rng),
    "cylinder": lambda _, camera, rng: organs.cylinder(camera, rng),
}
