"""Alter a scan as departments, heads and cameras differ, one thing at a time: the rows of the robustness panel.

Scans lie on the MNI grid in RAS+ order. What is drawn (noise, side, place) depends on the seed and the scan alone, so
rows of one alteration differ by nothing but their strength, and other scans change nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.passes import along, blurring, moving, turned
from datspect.imaging.regions import mni_affine_of
from datspect.imaging.striatal_box import VOXEL_MM, brain_uptake, brain_voxels
from datspect.imaging.volume import FWHM_PER_SD, MNI_SHAPE
from datspect.params.robustness import AlterationName

EDITION = 1
"""Of the panel, to be raised when an alteration changes: answers are compared only within one edition."""
NOISE_FWHM_MM = 6.0
"""Of the Gaussian filter that noise went through: what PPMI's reconstructions end with."""
SMOOTHING_FWHM_MM = 18.0
"""What Wenzel et al. (2019, doi:10.1007/s00259-019-04502-5) smoothed half of their scans with."""
GLAND_MM, GLAND_FWHM_MM = (70.0, -10.0, 2.0), 12.0
"""Centre of a bright gland or scalp in MNI mm, beside the striata and as high as they: 40 mm from the putamen."""
HOT_Z_MM = (0.0, 4.0)
"""Height of a hot voxel, MNI mm: that of the paper's three slices."""
MIDDLE_Z_MM = 4.0
"""Height of the middle of a truncated field of view, MNI mm."""

_STREAM = 5  # of imaging/volume_augmentation.py are 2 and 3


class Original:
    """A scan as it is, with what its alterations are made of.

    data : shape `MNI_SHAPE`, RAS+, any unit; z_offset_voxels : how far above MNI it lies
    seed, scan_id : what is drawn depends on them alone
    """

    def __init__(self, data: FloatArray, z_offset_voxels: float, seed: int, scan_id: str) -> None:
        self.data = np.ascontiguousarray(data, np.float32)
        self.z_offset_voxels = z_offset_voxels
        self._key = (seed, int(hashlib.sha256(scan_id.encode()).hexdigest()[:8], 16))

    @cached_property
    def uptake(self) -> float:
        """The uptake of the brain.

        Raises
        ------
        EmptyRegionError : it is not positive.
        """
        return brain_uptake(self.data, brain_voxels(self.z_offset_voxels))

    @cached_property
    def peak(self) -> float:
        """The highest value."""
        return float(self.data.max())

    @cached_property
    def side(self) -> int:
        """1 or -1: to which side what could go to either goes."""
        return 1 if self._generator(0).random() < 0.5 else -1

    @cached_property
    def is_chosen(self) -> bool:
        """Whether the scan belongs to the half that is smoothed where both kinds are mixed."""
        return bool(self._generator(1).random() < 0.5)

    @cached_property
    def noise(self) -> NDArray[np.float32]:
        """Noise of a filtered reconstruction: mean 0, sd 1, shape `MNI_SHAPE`."""
        noise = self._generator(2).standard_normal(MNI_SHAPE, dtype=np.float32)
        for axis, n in enumerate(MNI_SHAPE):
            noise = along(noise, axis, blurring(n, NOISE_FWHM_MM / VOXEL_MM))
        kernel = blurring(MNI_SHAPE[0], NOISE_FWHM_MM / VOXEL_MM)[MNI_SHAPE[0] // 2]
        return np.asarray(noise / np.square(kernel).sum() ** 1.5, np.float32)

    @cached_property
    def hot_voxel(self) -> tuple[int, int, int]:
        """A voxel of the brain outside the striatal box, between the heights `HOT_Z_MM`."""
        brain = brain_voxels(self.z_offset_voxels)
        z_mm = (brain.z - self.centre[2]) * VOXEL_MM
        rows = np.flatnonzero((z_mm >= HOT_Z_MM[0]) & (z_mm <= HOT_Z_MM[1]))
        row = int(self._generator(3).choice(rows))
        return int(brain.x[row]), int(brain.y[row]), int(brain.z[row])

    @property
    def centre(self) -> tuple[float, float, float]:
        """The voxel at the origin of MNI space, between the striata."""
        x, y, z = -mni_affine_of(mni_ras_affine(), self.z_offset_voxels)[:3, 3] / VOXEL_MM
        return float(x), float(y), float(z)

    def moved(self, axis: int, mm: float = 0.0, scale: float = 1.0) -> FloatArray:
        """Return the scan moved along an axis, or stretched along it about `centre`."""
        return along(self.data, axis, moving(MNI_SHAPE[axis], mm / VOXEL_MM, scale, self.centre[axis]))

    def _generator(self, purpose: int) -> np.random.Generator:
        seed, scan = self._key
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM, scan, purpose)))


@dataclass(frozen=True)
class Alteration:
    """What is done to a scan, and how much of it.

    name : as rows, tables and params.yaml call it; what : for people, `{}` is the strength
    unit : of the strength; strengths : rising in effect, the last is the edge of what departments see
    apply : from a scan and a strength to altered voxels
    """

    name: AlterationName
    what: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Original, float], FloatArray]


@dataclass(frozen=True)
class Row:
    """One row of the panel: an alteration at one strength."""

    alteration: Alteration
    strength: float

    @property
    def name(self) -> str:
        """Its name: `blur_8`, or that of the alteration if it has one strength alone."""
        alone = len(self.alteration.strengths) == 1
        return self.alteration.name if alone else f"{self.alteration.name}_{self.strength:g}"

    @property
    def title(self) -> str:
        """Its name for people, in short: `blur, 8 mm FWHM`."""
        name = self.alteration.name.replace("_", " ")
        return name if len(self.alteration.strengths) == 1 else f"{name}, {self.strength:g} {self.alteration.unit}"

    @property
    def text(self) -> str:
        """What was done, in words."""
        return self.alteration.what.format(f"{self.strength:g}")

    @property
    def is_largest(self) -> bool:
        """Whether it is the alteration's last strength."""
        return self.strength == self.alteration.strengths[-1]


def altered(original: Original, row: Row) -> NDArray[np.float32]:
    """Return the voxels of an altered scan, shape `MNI_SHAPE`, RAS+; `original` stays as it is.

    >>> level = Original(np.ones(MNI_SHAPE), z_offset_voxels=0, seed=1, scan_id="S1")
    >>> float(altered(level, rows(["gain"])[-1]).mean())
    4.0
    """
    return np.asarray(row.alteration.apply(original, row.strength), np.float32)


def rows(names: Iterable[AlterationName]) -> list[Row]:
    """Return the rows of the named alterations, in the order of `ALTERATIONS`."""
    wanted = set(names)
    return [Row(each, strength) for each in ALTERATIONS.values() if each.name in wanted for strength in each.strengths]


def smoothed_by(original: Original, fwhm_mm: float) -> FloatArray:
    """Return the scan after a Gaussian filter along each axis."""
    data: FloatArray = original.data
    for axis, n in enumerate(MNI_SHAPE):
        data = along(data, axis, blurring(n, fwhm_mm / VOXEL_MM))
    return data


def _noisy(original: Original, share: float) -> FloatArray:
    sd: FloatArray = share * np.sqrt(original.uptake * np.maximum(original.data, 0))
    lowest = min(0.0, float(original.data.min()))
    return np.asarray(np.maximum(original.data + sd.astype(np.float32) * original.noise, lowest))


def _in_grey_levels(original: Original, n_levels: float) -> FloatArray:
    step = np.float32(original.peak / (n_levels - 1))
    return np.asarray(np.rint(original.data / step) * step)


def _turned(axis: int) -> Callable[[Original, float], FloatArray]:
    return lambda original, degrees: turned(original.data, axis, original.side * degrees, original.centre)


def _stretched(original: Original, percent: float) -> FloatArray:
    data: FloatArray = original.data
    for axis, n in enumerate(MNI_SHAPE):
        data = along(data, axis, moving(n, 0.0, 1 + percent / 100, original.centre[axis]))
    return data


def _with_hot_voxel(original: Original, times: float) -> FloatArray:
    data = original.data.copy()
    data[original.hot_voxel] = times * original.peak
    return data


def _with_gland(original: Original, times: float) -> FloatArray:
    x, y, z = GLAND_MM
    spots = [
        np.exp(-0.5 * np.square(((np.arange(n) - centre) * VOXEL_MM - at) * FWHM_PER_SD / GLAND_FWHM_MM))
        for n, centre, at in zip(MNI_SHAPE, original.centre, (original.side * x, y, z), strict=True)
    ]
    gland = spots[0][:, None, None] * spots[1][:, None] * spots[2]
    return np.asarray(original.data + np.float32(times * original.peak) * gland.astype(np.float32))


def _truncated(original: Original, length_mm: float) -> FloatArray:
    z_mm = (np.arange(MNI_SHAPE[2]) - original.centre[2]) * VOXEL_MM
    return np.asarray(original.data * (np.abs(z_mm - MIDDLE_Z_MM) <= length_mm / 2).astype(np.float32))


_ALL = (
    Alteration("blur", "blurred by {} mm FWHM more", "mm FWHM", (4.0, 6.0, 8.0), smoothed_by),
    Alteration(
        "noise",
        "noise of {} % more at the brain's uptake",
        "%",
        (3.0, 6.0, 10.0),
        lambda original, percent: _noisy(original, percent / 100),
    ),
    Alteration("grey_levels", "stored in {} grey levels", "levels", (64.0, 32.0, 16.0), _in_grey_levels),
    Alteration("up", "moved up by {} mm", "mm", (1.0, 2.0, 4.0), lambda original, mm: original.moved(2, mm)),
    Alteration(
        "aside",
        "moved aside by {} mm, left or right",
        "mm",
        (2.0, 4.0, 6.0),
        lambda original, mm: original.moved(0, original.side * mm),
    ),
    Alteration("nod", "nodding by {} degrees, forwards or backwards", "degrees", (3.0, 6.0, 10.0), _turned(0)),
    Alteration("turn", "turned by {} degrees, left or right", "degrees", (3.0, 6.0, 10.0), _turned(2)),
    Alteration("tilt", "tilted by {} degrees, left or right", "degrees", (2.0, 4.0, 6.0), _turned(1)),
    Alteration("larger", "larger by {} % along all axes", "%", (2.0, 4.0, 6.0), _stretched),
    Alteration(
        "smaller",
        "smaller by {} % along all axes",
        "%",
        (2.0, 4.0, 6.0),
        lambda original, percent: _stretched(original, -percent),
    ),
    Alteration(
        "narrower",
        "narrower by {} % from left to right",
        "%",
        (2.0, 4.0, 6.0),
        lambda original, percent: original.moved(0, scale=1 - percent / 100),
    ),
    Alteration("gain", "all counts times {}", "times", (1.5, 2.0, 4.0), lambda original, gain: original.data * gain),
    Alteration("hot_voxel", "one voxel of {} times the scan's maximum", "times", (1.5, 2.0, 4.0), _with_hot_voxel),
    Alteration(
        "gland",
        "a bright gland beside the striata, {} times the scan's maximum",
        "times",
        (0.5, 1.0, 2.0),
        _with_gland,
    ),
    Alteration("field_of_view", "a field of view of {} mm from top to bottom", "mm", (120.0, 100.0, 80.0), _truncated),
    Alteration(
        "offset",
        "{} % of the brain's uptake added everywhere",
        "%",
        (5.0, 10.0, 20.0),
        lambda original, percent: original.data + np.float32(percent / 100 * original.uptake),
    ),
    Alteration("sides", "left and right exchanged", "times", (1.0,), lambda original, _: original.data[::-1]),
)
ALTERATIONS: Mapping[AlterationName, Alteration] = {each.name: each for each in _ALL}
"""All alterations by name, in the order of the panel."""
