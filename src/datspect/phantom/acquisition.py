"""From activity to a reconstructed scan: sites with their own cameras, blur, counting noise and the final filter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from datspect.imaging.volume import mni_affine
from datspect.params.data import PhantomParams
from datspect.phantom.anatomy import Activity

FWHM_PER_SD = 2 * np.sqrt(2 * np.log(2))
_VOXEL_MM = float(mni_affine()[1, 1])
_SCAN_FWHM_SD_MM = 0.3
"""How far two scans of one camera differ in resolution: distance to the head, motion. [assumed]"""
_SCAN_COUNTS_LOG_SD = 0.1
"""How far two scans of one site differ in counts: dose, uptake, time. [assumed]"""
STORED_VALUES_PER_COUNT = 100.0
"""Keeps rounding to integers far below the noise, and the brightest voxel below the int16 limit."""


@dataclass(frozen=True)
class Site:
    """A clinic's scanner configuration; nothing in it knows the subjects' class."""

    name: str
    intrinsic_fwhm_mm: float
    counts: float
    gain: float
    size: float
    """Share of the subjects, relative to the other sites."""


@dataclass(frozen=True)
class Acquisition:
    """How one scan was made."""

    site: str
    intrinsic_fwhm_mm: float
    counts: float
    gain: float


def draw_site(name: str, params: PhantomParams, rng: np.random.Generator) -> Site:
    """A site with its own resolution, counts, gain and size."""
    lowest, highest = params.site_counts
    return Site(
        name=name,
        intrinsic_fwhm_mm=params.intrinsic_fwhm_mm + params.site_fwhm_mm * rng.uniform(-1, 1),
        counts=params.counts_millions * 1e6 * float(np.exp(rng.uniform(np.log(lowest), np.log(highest)))),
        gain=1 + params.site_gain * rng.uniform(-1, 1),
        size=float(np.exp(rng.normal(0, 0.5))),
    )


def draw_acquisition(sites: tuple[Site, ...], rng: np.random.Generator) -> Acquisition:
    """One scan at one of `sites`, larger ones more often."""
    sizes = np.array([site.size for site in sites])
    site = sites[int(rng.choice(len(sites), p=sizes / sizes.sum()))]
    return Acquisition(
        site=site.name,
        intrinsic_fwhm_mm=site.intrinsic_fwhm_mm + _SCAN_FWHM_SD_MM * rng.standard_normal(),
        counts=site.counts * float(np.exp(_SCAN_COUNTS_LOG_SD * rng.standard_normal())),
        gain=site.gain,
    )


def acquire(
    activity: Activity, acquisition: Acquisition, filter_fwhm_mm: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Reconstructed scan: blur by the camera, Poisson counts, Gaussian filter, gain; same shape as `activity`.

    Noise comes before the filter, never after it: neighbouring voxels of a reconstruction share their noise.
    """
    expected = blur(activity, acquisition.intrinsic_fwhm_mm)
    expected *= np.float32(acquisition.counts / expected.sum(dtype=np.float64))
    counted = rng.poisson(np.maximum(expected, 0)).astype(np.float32)
    stored = blur(counted, filter_fwhm_mm) * np.float32(acquisition.gain * STORED_VALUES_PER_COUNT)
    return np.asarray(np.rint(np.clip(stored, 0, np.iinfo(np.int16).max)), dtype=np.int16)


def blur(activity: Activity, fwhm_mm: float) -> Activity:
    """Gaussian blur along the last three axes on the 2 mm grid; nothing lies beyond the edges."""
    sd_voxels = fwhm_mm / FWHM_PER_SD / _VOXEL_MM
    sds = (0.0,) * (activity.ndim - 3) + (sd_voxels,) * 3
    return np.asarray(gaussian_filter(activity, sds, mode="constant"), dtype=np.float32)
