"""Image a head as other machines do: PET of other tracers, CT and MR."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from datspect.arrays import BoolArray
from datspect.imaging.regions import Ellipsoid, ellipsoid_fractions, striatal_structures, structure_fractions
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.mni_maps import read_tissue_map
from datspect.phantom.background import Activity
from datspect.phantom.body import Body
from datspect.phantom.native import (
    NativeCamera,
    fine_affine,
    fine_shape,
    kept,
    kept_fine,
    posed,
    sampled,
)
from datspect.phantom.native_projection import N_BEYOND
from datspect.phantom.native_storage import Scale, stored

_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
PET: Mapping[str, Mapping[str, float]] = {
    "fdg_pet": {"grey": 1.0, "white": 0.3, "striata": 1.05, "around": 0.15, "glands": 0.25},
    "amyloid_pet": {"grey": 0.55, "white": 1.0, "striata": 0.6, "around": 0.25, "glands": 0.4},
}
"""Uptake of other tracers, relative to where there is most: FDG shows the cortex, amyloid tracers white matter."""


def pet(tracer: str, body: Body, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return a PET of another tracer: sharper and quieter than SPECT."""
    uptake = PET[tracer]
    grey, white, striata = _tissues()
    head = uptake["around"] * _head_mask().astype(np.float32)
    head += _brain() * (uptake["grey"] * grey + uptake["white"] * white - head)
    head += striata * (np.float32(uptake["striata"]) - head)
    body = replace(body, tissue=uptake["around"], glands=dict.fromkeys(body.glands, uptake["glands"]))
    image = gaussian_filter(posed(head, body, camera), rng.uniform(0.6, 0.9))[:, :, N_BEYOND:-N_BEYOND]
    grain = gaussian_filter(rng.standard_normal(image.shape).astype(np.float32), 0.6)
    return kept(np.maximum(image + 0.12 * np.sqrt(np.maximum(image, 0)) * grain, 0), camera)


def ct(body: Body, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return Hounsfield units: air, tissue, brain and a skull."""
    depth_mm = _depth_in_head_mm()
    density = np.where(depth_mm > 0, 1.05, 0.0).astype(np.float32)
    around = _head_mask() & ~_brain()
    bone = around & (distance_transform_edt(~_brain(), sampling=2.0) < 7) & (_height_mm() > -45)
    density[bone] = rng.uniform(1.7, 2.1)
    density[_brain()] = 1.035
    image = _structure(density, replace(body, tissue=1.05, glands=dict.fromkeys(body.glands, 1.05)), camera)
    density_volume = stored(
        image, fine_affine(camera), camera.grid, camera.header, Scale("float32", float(image.max()))
    )
    units = np.rint(1000 * (density_volume.data - 1) + rng.normal(0, 8, density_volume.data.shape))
    return Volume(np.clip(units, -1024, 3071).astype(np.int16), density_volume.affine)


def mr(body: Body, camera: NativeCamera, rng: np.random.Generator) -> Volume:
    """Return a T1: bright fat and white matter, dark skull."""
    depth_mm = _depth_in_head_mm()
    head = np.where((depth_mm > 0) & (depth_mm < 7), 0.9, np.where(depth_mm > 0, 0.15, 0)).astype(np.float32)
    head[_brain()] = read_tissue_map("t1")[_brain()]
    body = replace(body, tissue=0.5, glands=dict.fromkeys(body.glands, 0.6))
    image = _structure(head, body, camera)
    return kept_fine(np.abs(image + rng.normal(0, 0.02, image.shape).astype(np.float32)), camera)


def _structure(head: Activity, body: Body, camera: NativeCamera) -> Activity:
    """Return head and body on the refined grid of the field, without any camera's blur."""
    return sampled(head, body, camera, fine_affine(camera), fine_shape(camera))


@cache
def _tissues() -> tuple[Activity, Activity, Activity]:
    """Return shares of grey and white matter and of the striata, shape `MNI_SHAPE`."""
    striata = np.zeros(MNI_SHAPE, dtype=np.float32)
    for nucleus in striatal_structures().values():
        np.maximum(striata, structure_fractions(nucleus, MNI_SHAPE, mni_affine()), out=striata)
    return read_tissue_map("gm"), read_tissue_map("wm"), striata


@cache
def _brain() -> BoolArray:
    return np.asarray(read_tissue_map("t1") > np.float32(0.2))


@cache
def _depth_in_head_mm() -> NDArray[np.float64]:
    """Return the depth below the skin, 0 outside of the head, shape `MNI_SHAPE`."""
    head = distance_transform_edt(~_brain(), sampling=2.0) <= 13
    for shape in (((0, 32, -45), (60, 54, 70)), ((0, -22, -85), (58, 60, 75))):
        head |= ellipsoid_fractions(Ellipsoid(*shape, _UPRIGHT), MNI_SHAPE, mni_affine()) > 0.5
    padded = np.pad(head, ((0, 0), (0, 0), (8, 0)), mode="edge")
    return np.asarray(distance_transform_edt(padded, sampling=2.0)[:, :, 8:])


def _head_mask() -> BoolArray:
    return np.asarray(_depth_in_head_mm() > 0)


def _height_mm() -> NDArray[np.float64]:
    return np.asarray(mni_affine()[2, 2] * np.arange(MNI_SHAPE[2]) + mni_affine()[2, 3])
