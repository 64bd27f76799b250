"""Make activity into a reconstructed scan: sites with cameras of three families, counts, reconstruction and filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from datspect.arrays import BoolArray
from datspect.imaging.trilinear import resampled
from datspect.imaging.volume import MNI_SHAPE, Affine, mni_affine
from datspect.params.data import PhantomParams
from datspect.phantom.background import Activity
from datspect.phantom.projector import (
    EFFECTIVE_PER_MM,
    FWHM_PER_SD,
    GRID_MM,
    Projections,
    Projector,
    build_projector,
    outline,
    scattered,
    transmitted,
    ways_out,
)
from datspect.phantom.reconstruction import Subsets, build_subsets, filtered_backprojection, osem

Family = Literal["fbp", "osem_chang", "osem_recovery"]
"""Filtered backprojection without attenuation correction; OSEM with Chang's; OSEM that knows attenuation and the
camera's blur."""
FAMILIES: tuple[Family, ...] = get_args(Family)

_EXTRA_FILTER_MM = {"fbp": 0.5, "osem_chang": 0.0, "osem_recovery": 1.0}
"""Noise asks for a wider filter in some families than `filter_fwhm_mm`. [assumed]"""
_ITERATIONS: dict[Family, tuple[int, ...]] = {"fbp": (1,), "osem_chang": (3, 4), "osem_recovery": (4, 5)}
"""Iterations over eight subsets at the sites of a family. [assumed]"""
_CORRECTS_SCATTER = {"fbp": 0.8, "osem_chang": 0.8, "osem_recovery": 1.0}
"""Share of the sites of a family that subtract scatter or allow for it. [assumed]"""
_UNCORRECTED_PER_MM = 0.009
"""Attenuation as Chang's correction has it where scatter is not corrected: scatter fills the middle of the head."""
_SCAN_COUNTS_LOG_SD = 0.1
"""Spread of counts among scans of one site: dose, uptake, time. [assumed]"""
_SITE_SIZE_LOG_SD = 0.5
STORED_VALUE = 1000.0
"""Stored value of occipital grey matter at two million counts: rounding to integers stays far below the noise, and the
brightest voxel below the int16 limit."""
_USUAL_COUNTS = 2e6


@dataclass(frozen=True)
class Site:
    """A clinic with its camera and its protocol, which do not depend on the subjects' class."""

    name: str
    family: Family
    n_iterations: int
    corrects_scatter: bool
    filter_fwhm_mm: float
    counts: float
    gain: float
    size: float
    """Share of the subjects, relative to the other sites."""


@dataclass(frozen=True)
class Acquisition:
    """How one scan was made."""

    site: str
    family: Family
    n_iterations: int
    corrects_scatter: bool
    filter_fwhm_mm: float
    counts: float
    gain: float


@dataclass(frozen=True)
class Camera:
    """All that projects and reconstructs heads of one outline; shapes are those of the 4 mm grid.

    true : what happens: attenuation and blur
    plain : what a reconstruction believes that corrects neither
    uncorrected, corrected : ordered subsets of `plain` and of `true`
    chang, weak_chang : factors by which attenuation is undone after reconstruction, with scatter corrected and without
    """

    true: Projector
    plain: Projector
    uncorrected: Subsets
    corrected: Subsets
    chang: Activity
    weak_chang: Activity


def draw_site(name: str, family: Family, params: PhantomParams, rng: np.random.Generator) -> Site:
    """Draw a site of a family with its own protocol, counts, gain and size."""
    lowest, highest = params.site_counts
    return Site(
        name=name,
        family=family,
        n_iterations=int(rng.choice(_ITERATIONS[family])),
        corrects_scatter=bool(rng.random() < _CORRECTS_SCATTER[family]),
        filter_fwhm_mm=params.filter_fwhm_mm + _EXTRA_FILTER_MM[family] + params.site_filter_mm * rng.uniform(-1, 1),
        counts=params.counts_millions * 1e6 * float(np.exp(rng.uniform(np.log(lowest), np.log(highest)))),
        gain=1 + params.site_gain * rng.uniform(-1, 1),
        size=float(np.exp(rng.normal(0, _SITE_SIZE_LOG_SD))),
    )


def families_of_sites(params: PhantomParams, rng: np.random.Generator) -> list[Family]:
    """Return the family of each site, in random order: the shares of `family_shares` as nearly as sites allow."""
    shares = np.array([getattr(params.family_shares, family) for family in FAMILIES], dtype=np.float64)
    ends = np.rint(np.cumsum(shares) / shares.sum() * params.n_sites).astype(int)
    counts = np.diff(ends, prepend=0)
    families = [family for family, n in zip(FAMILIES, counts, strict=True) for _ in range(n)]
    return [families[i] for i in rng.permutation(params.n_sites)]


def sites_of_label(sites: tuple[Site, ...], label_index: int) -> BoolArray:
    """Return which sites are label 0's or 1's own, shape (sites,): within each family of cameras every second one.

    So a site tells the label and its family does not: what is learnt of known sites does not help at new ones.
    """
    own = np.zeros(len(sites), bool)
    by_family = sorted(range(len(sites)), key=lambda i: (sites[i].family, i))
    own[by_family[label_index::2]] = True
    return own


def draw_acquisition(
    sites: tuple[Site, ...], rng: np.random.Generator, own: BoolArray | None = None, own_share: float = 0.0
) -> Acquisition:
    """Draw one scan at one of `sites`, larger ones more often.

    `own`, shape (sites,): where a share `own_share` of the scans is made; None for a scan that may be made anywhere.
    """
    sizes = np.array([site.size for site in sites])
    chances = sizes / sizes.sum()
    if own is not None:
        among_own = np.where(own, sizes, 0.0)
        chances = (1 - own_share) * chances + own_share * among_own / among_own.sum()
    site = sites[int(rng.choice(len(sites), p=chances))]
    return acquisition_at(site, site.counts * float(np.exp(_SCAN_COUNTS_LOG_SD * rng.standard_normal())))


def acquisition_at(site: Site, counts: float) -> Acquisition:
    """Return a scan at `site` with so many counts."""
    return Acquisition(
        site.name, site.family, site.n_iterations, site.corrects_scatter, site.filter_fwhm_mm, counts, site.gain
    )


def build_camera(activity: Activity) -> Camera:
    """Return the camera for heads of the outline of `activity`, on the 4 mm grid."""
    ways = ways_out(outline(activity))
    true = build_projector(activity.shape, blurred=True, transmission=transmitted(ways, EFFECTIVE_PER_MM))
    plain = build_projector(activity.shape, blurred=False)
    chang, weak_chang = (
        (1 / transmitted(ways, per_mm).mean(axis=0, dtype=np.float64)).astype(np.float32).reshape(activity.shape)
        for per_mm in (EFFECTIVE_PER_MM, _UNCORRECTED_PER_MM)
    )
    return Camera(true, plain, build_subsets(plain), build_subsets(true), chang, weak_chang)


def acquire(activity: Activity, acquisition: Acquisition, camera: Camera, rng: np.random.Generator | None) -> Activity:
    """Return the reconstruction of `activity`, both on the 4 mm grid and in its units; without `rng` without noise."""
    rngs = None if rng is None else [rng]
    return acquire_together(activity[:, :, np.newaxis], [acquisition], camera, rngs)[:, :, 0]


def acquire_together(
    activities: Activity,
    acquisitions: Sequence[Acquisition],
    camera: Camera,
    rngs: Sequence[np.random.Generator] | None,
) -> Activity:
    """Return what `acquire` does of several heads, shape (X, Y, heads, Z), in less time.

    `acquisitions`: a head each, all at one site.
    """
    primary = camera.true.forward(activities)
    scatter = scattered(primary)
    expected = primary + scatter
    by_head = np.ascontiguousarray(np.moveaxis(expected, 2, 0))
    counts_per_activity = np.array(
        [made.counts / each.sum(dtype=np.float64) for made, each in zip(acquisitions, by_head, strict=True)], np.float32
    )[:, np.newaxis]
    counts = expected * counts_per_activity
    if rngs is not None:
        for head, rng in enumerate(rngs):
            counts[:, :, head] = rng.poisson(by_head[head] * counts_per_activity[head])
    return reconstruct(counts, scatter * counts_per_activity, acquisitions[0], camera) / counts_per_activity


def reconstruct(counts: Projections, scatter: Projections, acquisition: Acquisition, camera: Camera) -> Activity:
    """Return the filtered reconstruction on the 4 mm grid, as the family of the acquisition makes it; none negative.

    `scatter`: the scatter that is expected, shape of `counts`; sites that do not correct it leave it aside.
    """
    known = scatter if acquisition.corrects_scatter else None
    match acquisition.family:
        case "fbp":
            image = filtered_backprojection(counts if known is None else counts - known, camera.plain)
        case "osem_chang":
            chang = camera.weak_chang if known is None else camera.chang
            image = osem(counts, known, camera.uncorrected, acquisition.n_iterations)
            image *= np.expand_dims(chang, tuple(range(2, image.ndim - 1)))
        case "osem_recovery":
            image = osem(counts, known, camera.corrected, acquisition.n_iterations)
    sd = acquisition.filter_fwhm_mm / FWHM_PER_SD / GRID_MM
    filtered = gaussian_filter(image, sd, axes=(0, 1, -1), mode="nearest")
    return np.asarray(np.maximum(filtered, 0), dtype=np.float32)


def coarsened(activity: Activity) -> Activity:
    """Return `activity`, odd sides on the 2 mm grid, on the 4 mm grid of every second voxel: means of neighbours."""
    for axis in range(activity.ndim - 3, activity.ndim):
        rows = np.moveaxis(activity, axis, 0)
        smooth = rows[::2] / 2
        smooth[1:] += rows[1:-1:2] / 4
        smooth[:-1] += rows[1::2] / 4
        smooth[0] += rows[0] / 4
        smooth[-1] += rows[-1] / 4
        activity = np.moveaxis(smooth.astype(np.float32), 0, axis)
    return np.ascontiguousarray(activity, dtype=np.float32)


def refined(image: Activity) -> Activity:
    """Return `image` of the 4 mm grid on the 2 mm grid: its voxels, and between them a cubic through four of them."""
    for axis in range(3):
        rows = np.moveaxis(image, axis, 0)
        edged = np.concatenate([rows[:1], rows, rows[-1:]])
        fine = np.empty((2 * len(rows) - 1, *rows.shape[1:]), dtype=np.float32)
        fine[::2] = rows
        fine[1::2] = (9 * (edged[1:-2] + edged[2:-1]) - (edged[:-3] + edged[3:])) / 16
        image = np.moveaxis(fine, 0, axis)
    return np.ascontiguousarray(image)


def stored_scan(image: Activity, acquisition: Acquisition, to_atlas: Affine) -> NDArray[np.int16]:
    """Return the scan that is stored, shape `MNI_SHAPE`: `image`, on the 4 mm grid, resampled, times counts and gain.

    `to_atlas`: shape (4, 4), voxel of the stored scan to MNI mm of the head.
    """
    registered = resampled(refined(image), np.linalg.inv(mni_affine()) @ to_atlas, MNI_SHAPE)
    scale = acquisition.gain * STORED_VALUE * acquisition.counts / _USUAL_COUNTS
    stored = np.clip(registered * np.float32(scale), 0, np.iinfo(np.int16).max)
    return np.asarray(np.rint(stored), dtype=np.int16)


def blur(activity: Activity, fwhm_mm: float) -> Activity:
    """Blur `activity`, shape (..., X, Y, Z) on the 2 mm grid, by a Gaussian; nothing lies beyond the edges."""
    sd_voxels = fwhm_mm / FWHM_PER_SD / float(mni_affine()[1, 1])
    sds = (0.0,) * (activity.ndim - 3) + (sd_voxels,) * 3
    return np.asarray(gaussian_filter(activity, sds, mode="constant"), dtype=np.float32)
