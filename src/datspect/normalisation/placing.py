"""Bring a scan that was read onto the 2 mm MNI grid, where its voxels show that it belongs; its header is a hint.

`auto` decides by likeness to the mean phantom at the place that the header claims. Cameras do not write the grids and
codes of MNI space, so a header that claims it needs only to be plausible. Whatever else comes is registered, and counts
as lying in MNI space where registration leaves it where it is.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.grey_levels import check_grey_levels
from datspect.imaging.head_image import field_of_view
from datspect.imaging.head_search import Flips
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.placement import on_template_grid
from datspect.imaging.regions import striatal_regions
from datspect.imaging.registration import Registration, Template, register, turned_degrees
from datspect.imaging.resampling import resampled_to_mni
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume
from datspect.io.scan_reading import ReadScan
from datspect.normalisation.striata import striata_of
from datspect.normalisation.verdict import RegistrationQuality, quality_of
from datspect.phantom.template import mean_phantom
from datspect.phantom.uprightness import Uprightness, check_uprightness, uprighted

Space = Literal["auto", "mni", "native"]
How = Literal["as it is", "resampled", "registered"]
WrongWay = Literal["refuse", "fix", "leave"]

PLAUSIBLE = 0.8
"""Correlation with the mean phantom from which a header that claims MNI space is believed; the simulated cohort, with
its failed registrations, has 0.82 and more."""
NEAR_MM = 6.0
"""Registrations of the same head to MNI by different programs differ by less."""
HIGHER_MM = 12.0
"""Cohorts in MNI space differ so much in height, and not more."""
USUAL_Z_OFFSET_VOXELS = 4.0
MOST_TURNED_DEGREES = 45.0
"""Cameras leave no head tilted so far. Two axes that were exchanged in a file turn it more, and exchange left and right
with them; voxels do not tell that from a turn alone."""
_BOX_STEP = 3


@dataclass(frozen=True)
class Placed:
    """A scan in MNI space, and how it came there.

    volume : on the 2 mm MNI grid, RAS+
    how : its voxels stayed as they are, or were resampled by the header, or by registration
    seen : how it lay before flips were undone
    fixed : flips that were undone
    to_scan : shape (4, 4), mm of the MNI grid to mm of the scan as its header has them; None unless registered
    quality : of the registration; None unless registered
    z_offset_voxels : so far above MNI lies what was registered
    """

    volume: Volume
    how: How
    seen: Uprightness
    fixed: Flips
    to_scan: Affine | None = None
    quality: RegistrationQuality | None = None
    z_offset_voxels: float = USUAL_Z_OFFSET_VOXELS


class NotPlacedError(IneligibleError):
    """A scan was registered, and the result is not to be trusted; `volume` shows it on the MNI grid, RAS+."""

    def __init__(self, quality: RegistrationQuality, volume: Volume, z_offset_voxels: float) -> None:
        super().__init__(f"it was not brought to MNI space with confidence: {'; '.join(quality.reasons)}")
        self.quality, self.volume, self.z_offset_voxels = quality, volume, z_offset_voxels


def placed(
    scan: ReadScan,
    *,
    space: Space = "auto",
    wrong_way: WrongWay = "refuse",
    z_offset_voxels: float | None = None,
    template: Template | None = None,
    turn: AbstractContextManager[object] | None = None,
) -> Placed:
    """Bring a scan onto the MNI grid; registered heads are put `z_offset_voxels` above MNI, as the graph expects them.

    `template`: what scans are registered to, None for the mean phantom. `wrong_way`: what becomes of heads that lie
    upside down or back to front. What is registered is never left so. `turn`: entered while the scan is
    registered, so that a server can let few be at it at a time.

    Raises
    ------
    NotPlacedError : it was registered, and is not where it should be.
    ScanError : the scan cannot be placed, or lies the wrong way; the message says what was seen.
    """
    check_grey_levels(scan.volume.data)  # as stored: resampling would make more of them
    offset = USUAL_Z_OFFSET_VOXELS if z_offset_voxels is None else z_offset_voxels
    if space != "native":
        claimed = _as_claimed(scan, must=space == "mni")
        if claimed is not None:
            return _upright(*claimed, wrong_way)
    with turn or nullcontext():
        seen = field_of_view(scan.volume)
        template = head_template(offset) if template is None else template
        registration = register(seen, template)
        registered = _registered(seen, registration, template, offset, wrong_way)
    if space == "auto" and _stays(registration):
        volume = reorient(resampled_to_mni(scan.volume, is_whole=False))
        return _upright(volume, "resampled", check_uprightness(volume), wrong_way)
    return registered


@cache
def head_template(z_offset_voxels: float) -> Template:
    """Return the mean phantom as the template of registration, `z_offset_voxels` above MNI."""
    return Template(mean_phantom(z_offset_voxels), z_offset_voxels * float(mni_ras_affine()[2, 2]))


def _as_claimed(scan: ReadScan, *, must: bool) -> tuple[Volume, How, Uprightness] | None:
    """Return the scan where its header puts it in MNI space; None if it claims none, or shows no head there.

    The grid of the template claims its place: converters leave it the scanner's origin.
    """
    claims = scan.space == "mni" or must
    is_on_grid = on_template_grid(scan.volume.data.shape, scan.volume.affine, wherever=not claims)
    if not (is_on_grid or claims):
        return None
    try:
        volume = _on_grid(scan.volume) if is_on_grid else reorient(resampled_to_mni(scan.volume))
    except ScanError:
        if must:
            raise
        return None
    seen = check_uprightness(volume)
    if not must and seen.correlations[seen.best] < PLAUSIBLE:
        return None
    return volume, "as it is" if is_on_grid else "resampled", seen


def _on_grid(volume: Volume) -> Volume:
    return Volume(reorient(volume).data, mni_ras_affine())


def _stays(registration: Registration) -> bool:
    """Return whether registration moves the head nowhere, but for the height at which cohorts differ."""
    if registration.flips:
        return False
    points = np.array(np.meshgrid((-60.0, 60.0), (-90.0, 60.0), (-30.0, 60.0))).reshape(3, -1).T
    moved = apply_affine(registration.to_scan, points) - points
    higher_mm = moved[:, 2].mean()
    moved[:, 2] -= higher_mm
    return bool(abs(higher_mm) <= HIGHER_MM and np.linalg.norm(moved, axis=1).max() <= NEAR_MM)


def _upright(volume: Volume, how: How, seen: Uprightness, wrong_way: WrongWay) -> Placed:
    """Return a scan that lies in MNI space, turned or refused if it lies the wrong way."""
    if seen.best and wrong_way == "refuse":
        raise ScanError(_wrong_way(seen.best))
    fixed: Flips = seen.best if wrong_way == "fix" else ""
    return Placed(uprighted(volume, fixed), how, seen, fixed)


def _wrong_way(flips: Flips) -> str:
    what = {"y": "back to front", "z": "upside down", "yz": "upside down and back to front"}[flips]
    return (
        f"the head lies {what}, against what the header says; predict and import turn it with --fix-orientation (left "
        "and right may then be exchanged: look at the scan)"
    )


def _registered(
    scan: Volume, registration: Registration, template: Template, z_offset_voxels: float, wrong_way: WrongWay
) -> Placed:
    in_mni = Volume(scan.data, np.linalg.inv(registration.to_scan) @ scan.affine)
    volume = reorient(resampled_to_mni(in_mni, is_whole=False))
    striata = striata_of(volume, z_offset_voxels)
    quality = quality_of(registration, scan, template, striata, _needed_mm(z_offset_voxels))
    if quality.reasons:
        raise NotPlacedError(quality, volume, z_offset_voxels)
    turned = turned_degrees(registration)
    if turned > MOST_TURNED_DEGREES:
        raise ScanError(
            f"the head lies turned by {turned:.0f} degrees against what the header says, so that left and right may be "
            "exchanged; correct the axes in the header, or convert the scan anew (--fix-orientation does not turn it)"
        )
    if registration.flips and wrong_way != "fix":
        raise ScanError(_wrong_way(registration.flips))
    return Placed(
        volume=volume,
        how="registered",
        seen=check_uprightness(volume),
        fixed=registration.flips,
        to_scan=registration.to_scan,
        quality=quality,
        z_offset_voxels=z_offset_voxels,
    )


@cache
def _needed_mm(z_offset_voxels: float) -> NDArray[np.float64]:
    """Return the points that every scan must show, shape (N, 3), mm: the striatal box and the occipital reference."""
    regions = striatal_regions(MNI_SHAPE, mni_ras_affine(), z_offset_voxels)
    occipital = np.stack(regions.reference, axis=1)
    # All through the box: its corners alone would be lost among the points of the occipital lobes.
    every = (np.arange(side.start, side.stop, _BOX_STEP) for side in regions.striatal_box)
    box = np.array(np.meshgrid(*every)).reshape(3, -1).T
    points: NDArray[np.float64] = apply_affine(mni_ras_affine(), np.concatenate([box, occipital]))
    return points
