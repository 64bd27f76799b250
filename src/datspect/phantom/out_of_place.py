"""Simulate volumes on the MNI grid that no classifier of DaT SPECT may answer, though their header claims the place."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, get_args

import numpy as np

from datspect.arrays import FloatArray
from datspect.cohort.table import CONTROL, PD
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import Volume, mni_affine
from datspect.phantom.cohort import Laboratory, simulate
from datspect.phantom.hopeless import HOPELESS, Hopeless, hopeless_in_place

Altered = Literal[
    "upside_down",
    "back_to_front",
    "turned_about",
    "on_its_side",
    "shuffled_voxels",
    "shuffled_slices",
    "five_grey_levels",
    "negative",
    "squared",
    "logarithm",
    "offset",
    "binding_image",
    "standardised",
    "cut_below",
    "cut_above",
    "half_a_head",
]
"""What is made of an ordinary scan: heads that lie the wrong way, voxels out of order, other scales of intensity, and
fields of view that end within the striata."""
OutOfPlace = Altered | Hopeless | Literal["head_without_striata"]
ALTERED: tuple[Altered, ...] = get_args(Altered)
OUT_OF_PLACE: tuple[OutOfPlace, ...] = (*ALTERED, *HOPELESS, "head_without_striata")

_STREAM = 19
"""Stream of random numbers, which no subject of a cohort has."""


def out_of_place_scan(kind: OutOfPlace, laboratory: Laboratory, index: int) -> Volume:
    """Return scan `index` of a kind on the MNI grid as stored: a function of (parameters, kind, index) alone."""
    if kind not in ALTERED:
        return hopeless_in_place(kind, laboratory, index)  # type: ignore[arg-type]
    stream = (_STREAM, ALTERED.index(kind), index)
    rng = np.random.default_rng(np.random.SeedSequence(laboratory.params.seed, spawn_key=stream))
    scan = Volume(simulate(laboratory, (CONTROL, PD)[index % 2], index).data, mni_affine())
    upright = reorient(scan).data.astype(np.float64)
    return _as_stored(_ALTER[kind](upright, rng))


def _as_stored(data: FloatArray) -> Volume:
    """Return RAS+ voxels, shape `MNI_SHAPE`, as a volume of whole numbers that int16 holds."""
    return Volume(np.rint(data.clip(-32768, 32767)).astype(np.int16), mni_ras_affine())


def _shuffled(data: FloatArray, rng: np.random.Generator) -> FloatArray:
    return rng.permutation(data.ravel()).reshape(data.shape)


def _brain(data: FloatArray) -> float:
    """Return about the uptake of the brain: the median of what is brighter than a tenth of the brightest."""
    return float(np.median(data[data > 0.1 * np.percentile(data, 99.9)]))


def _grey_levels(data: FloatArray, _: np.random.Generator) -> FloatArray:
    top = np.percentile(data, 99.99)
    return np.asarray(np.rint(4 * np.clip(data / top, 0, 1)) * 100)


def _cut(above: bool, data: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Leave nothing above, or not `above` below, a slice within the striata."""
    kept, at = data.copy(), int(rng.integers(39, 44))
    kept[:, :, slice(at, None) if above else slice(at)] = 0
    return kept


def _half(data: FloatArray, rng: np.random.Generator) -> FloatArray:
    kept = data.copy()
    kept[slice(0, 45) if rng.random() < 0.5 else slice(46, None)] = 0
    return kept


def _standardised(data: FloatArray, _: np.random.Generator) -> FloatArray:
    return np.asarray(1000 * (data - data.mean()) / data.std())


_ALTER: Mapping[Altered, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    "upside_down": lambda data, _: data[:, :, ::-1],
    "back_to_front": lambda data, _: data[:, ::-1],
    "turned_about": lambda data, _: data[:, ::-1, ::-1],
    "on_its_side": lambda data, _: data.transpose(2, 1, 0),
    "shuffled_voxels": _shuffled,
    "shuffled_slices": lambda data, rng: data[:, :, rng.permutation(data.shape[2])],
    "five_grey_levels": _grey_levels,
    "negative": lambda data, _: data.max() - data,
    "squared": lambda data, _: 1000 * (data / _brain(data)) ** 2,
    "logarithm": lambda data, _: 1000 * np.log1p(np.maximum(data, 0)),
    "offset": lambda data, _: data + 2 * _brain(data),
    "binding_image": lambda data, _: 1000 * (data / _brain(data) - 1),
    "standardised": _standardised,
    "cut_below": partial(_cut, False),
    "cut_above": partial(_cut, True),
    "half_a_head": _half,
}
