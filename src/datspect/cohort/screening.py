"""Judge one scan by itself, and compute what the graph and the comparison with other scans need of it."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datspect.cohort.table import Cohort
from datspect.errors import ScanError
from datspect.imaging.appearance import appearance
from datspect.imaging.coarse_waves import Fingerprint
from datspect.imaging.grey_levels import check_grey_levels
from datspect.imaging.intensity import image_max, nonspecific_ratio
from datspect.imaging.likeness import Unseen, fingerprint, unseen
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.quantification import measure_binding, peak_slice, reference_mean
from datspect.imaging.regions import Regions, striatal_regions
from datspect.imaging.slabs import slabs
from datspect.imaging.slices import axial_slices, resize
from datspect.imaging.striatal_box import brain_voxels, striatal_box
from datspect.imaging.volume import MNI_SHAPE, Volume, smoothed
from datspect.io.digests import file_digest
from datspect.io.volumes import read_volume
from datspect.params.data import PreprocessParams

AFFINE_TOLERANCE_MM = 0.01
LOW_CONTRAST = 5.0
"""A scan below this striatal contrast gets a flag; simulated scans of advanced disease stay above 10. [assumed]"""
QUALITY_FLAGS = ("peak_outside_slices", "low_contrast", "negative_values")

_STRIATUM = ("caudate_left", "caudate_right", "putamen_left", "putamen_right")


@dataclass(frozen=True)
class ScreenedScan:
    """Image, striatal voxels and quality of one scan, or the reason why it cannot be used.

    `image`: shape (H, W, 3), in [0, 1]; `striatum`: see `striatal_voxels`; `box`: see `striatal_box`;
    `out_of_view`: see `unseen`.
    """

    scan_id: str
    reason: str = ""
    image: NDArray[np.float32] | None = None
    striatum: NDArray[np.float32] | None = None
    box: NDArray[np.float16] | None = None
    quality: dict[str, float | int | str] = field(default_factory=dict)
    content_sha256: str = ""
    fingerprint: Fingerprint | None = None
    out_of_view: Unseen | None = None


def mni_regions(params: PreprocessParams) -> Regions:
    """Return the measuring regions on the reoriented MNI grid, placed for this cohort."""
    return striatal_regions(MNI_SHAPE, mni_ras_affine(), params.z_offset_voxels)


def screen_scan(cohort: Cohort, row: int, params: PreprocessParams, regions: Regions) -> ScreenedScan:
    """Check the scan in `row` of the cohort's table, measure it and make its image; a bad scan gives its reason."""
    scan = cohort.scans.iloc[row]
    try:
        volume = reorient(read_volume(cohort.folder / scan["path"]))
        check_volume(volume)
        if file_digest(cohort.folder / scan["path"]) != scan["sha256"].lower():
            raise ScanError("the file is not the one in participants.tsv (sha256 differs); import the cohort anew")
        image = network_image(volume, params, regions)
        quality = measure_quality(volume, params, regions)
        striatum = striatal_voxels(volume, regions)
        box = striatal_box(volume, params.z_offset_voxels, brain_voxels(params.z_offset_voxels))
        likeness, out_of_view = fingerprint(volume.data), unseen(volume.data)
    except ScanError as error:
        return ScreenedScan(scan["scan_id"], reason=str(error))
    return ScreenedScan(scan["scan_id"], "", image, striatum, box, quality, voxel_sha256(volume), likeness, out_of_view)


def check_volume(volume: Volume) -> None:
    """Refuse an RAS+ volume without finite voxels on the MNI grid that vary in more than a few grey levels.

    Raises
    ------
    ScanError : shape, affine or voxels are not as they must be.
    """
    if volume.data.shape != MNI_SHAPE:
        raise ScanError(f"expected shape {MNI_SHAPE} on the 2 mm MNI grid, got {volume.data.shape}; normalise it first")
    if not np.allclose(volume.affine, mni_ras_affine(), rtol=0, atol=AFFINE_TOLERANCE_MM):
        corner = ", ".join(f"{mm:g}" for mm in volume.affine[:3, 3])
        sizes = ", ".join(f"{mm:g}" for mm in np.diag(volume.affine)[:3])
        raise ScanError(
            f"expected the 2 mm MNI grid (first voxel at -90, -126, -72 mm, steps 2, 2, 2 mm, no rotation), got first "
            f"voxel at {corner} mm, steps {sizes} mm; normalise it first"
        )
    if np.issubdtype(volume.data.dtype, np.floating) and not np.isfinite(volume.data).all():
        raise ScanError(f"{int((~np.isfinite(volume.data)).sum())} voxels are NaN or infinite; convert the scan anew")
    # Every eighth voxel settles it for nearly every scan.
    if all(part.min() == part.max() for part in (volume.data[::8, ::8, ::8], volume.data)):
        raise ScanError(f"every voxel is {volume.data.flat[0]:g}; the volume is empty")
    check_grey_levels(volume.data)


def network_image(volume: Volume, params: PreprocessParams, regions: Regions) -> NDArray[np.float32]:
    """Return the image that the network sees, shape (H, W, 3), values in [0, 1]; `volume` is RAS+.

    Smoothing is for the image alone: the reference region is that of the volume as it is.

    Raises
    ------
    ScanError : the slices or the reference region hold no signal.
    """
    seen = smoothed(volume, params.smooth_fwhm_mm) if params.smooth_fwhm_mm else volume
    slices = axial_slices(seen, params.slices)
    if params.intensity == "image_max":
        image = image_max(slices)
    else:
        image = nonspecific_ratio(slices, float(volume.data[regions.reference].mean(dtype=np.float64)))
    if params.input_size == "native":
        return image
    height, width = params.input_size
    return resize(image, height, width).astype(np.float32)


def network_slabs(volume: Volume, params: PreprocessParams) -> NDArray[np.float32]:
    """Return the slabs that a small network sees, shape (28, 24, 4), rounded as in the bank; `volume` is RAS+.

    Raises
    ------
    ScanError : the volume does not hold the box, or no signal.
    """
    offset = params.z_offset_voxels
    box = striatal_box(volume, offset, brain_voxels(offset))
    return np.asarray(slabs(box[np.newaxis])[0].astype(np.float16), np.float32)


def striatal_voxels(volume: Volume, regions: Regions) -> NDArray[np.float32]:
    """Return the box around both striata over the mean of the occipital reference, so that a scan's gain cancels.

    It has the shape (X, Y, Z) of the box, RAS+; 1 is nonspecific uptake.

    Raises
    ------
    EmptyRegionError : the reference region holds no signal.
    """
    box = volume.data[regions.striatal_box].astype(np.float64)
    return (box / reference_mean(volume.data, regions)).astype(np.float32)


def measure_quality(volume: Volume, params: PreprocessParams, regions: Regions) -> dict[str, float | int | str]:
    """Return what the quality table says of a scan: numbers, and flags.

    They are peak slice, intensity range (file units), striatal contrast, specific binding ratios and `appearance`.

    The striatal contrast is (mean of caudates and putamina - reference mean) / sd of the reference; dimensionless.

    Raises
    ------
    ScanError : the reference region or the brain holds no signal.
    """
    binding = measure_binding(volume.data, regions)
    reference = volume.data[regions.reference].astype(np.float64)
    striatal_excess = float(np.mean([binding[name] for name in _STRIATUM]) * reference.mean())
    quality: dict[str, float | int | str] = {
        "peak_slice": peak_slice(volume.data, regions),
        "intensity_min": float(volume.data.min()),
        "intensity_max": float(volume.data.max()),
        "striatal_contrast": striatal_excess / max(float(reference.std()), 1e-6 * float(reference.mean())),
        **{f"sbr_{name}": value for name, value in binding.items()},
        **appearance(volume.data, params.z_offset_voxels),
    }
    return quality | {"flags": " ".join(_flags(quality, params.slices))}


def voxel_sha256(volume: Volume) -> str:
    """Return a digest of the voxels: the same for one volume in files of different type or axis order.

    It is taken over int16, as in a cohort folder, if that holds every value, else over float32.
    """
    voxels = np.ascontiguousarray(volume.data.T)
    with np.errstate(invalid="ignore"):  # a value beyond int16 is seen in the next line
        as_stored = voxels.astype("<i2", copy=False)
    if as_stored is not voxels and not np.array_equal(as_stored, voxels):
        as_stored = voxels.astype("<f4")
    return hashlib.sha256(as_stored.data).hexdigest()


def _flags(quality: dict[str, float | int | str], slices: list[int]) -> list[str]:
    raised = (
        not min(slices) <= int(quality["peak_slice"]) <= max(slices),
        float(quality["striatal_contrast"]) < LOW_CONTRAST,
        float(quality["intensity_min"]) < 0,
    )
    return [flag for flag, up in zip(QUALITY_FLAGS, raised, strict=True) if up]
