"""Register a scan in any space to a template of the head: found coarsely, then turned and sized, then by an affine.

SimpleITK turns and sizes. The whole head is compared, since patients have lost the striata and a gland may be the
brightest thing in view.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, map_coordinates

from datspect.arrays import BoolArray
from datspect.imaging.head_fit import CENTRE_MM, HeadParts, fitted_affine, head_parts
from datspect.imaging.head_image import HeadImage, head_images
from datspect.imaging.head_search import LEAST_SHARE_SEEN, Flips, Start, found_heads, signs
from datspect.imaging.volume import Affine, Volume

if TYPE_CHECKING:
    import SimpleITK  # 100 MB, so that it is imported when a scan is registered, and not before

HEAD_SHARE = 0.25
"""The template's head is what has so much of the level of its grey matter, without holes."""
AROUND_MM = 12.0
"""So far around the head the air counts too: it shows where the head ends."""
SIZE_RANGE = (0.78, 1.25)
MOST_UNEVEN, MOST_SHEAR = 1.2, 0.06
"""Heads of people keep these; the template's size is 1."""
LOWEST_MM = -45.0
"""Heads are compared from here upwards, mm above the template's origin: further down are glands, neck and jaw."""

_DIM, _BRIGHT = 1.7, 4.0
"""Nothing counts as brighter than so many times the head's level. At first the head alone decides, whatever shines in
or near it; then, from nearby, the striata have their say."""
_MOST_STEPS, _FIRST_STEP, _LAST_STEP = 60, 0.5, 0.005
_GOOD = 0.93
"""A likeness that needs no second start."""
_WORTH_REFINING = 0.75
"""What is less like a head at every place is none."""
_MOST_STARTS = 3
_DISTINCT_MM = 12.0
_DECIMALS = 4
_ORTHOGONAL = 1e-4
_SAMPLED = 0.4
_SEED = 1
"""Regular samples are moved by random parts of a voxel; SimpleITK would take the clock as the seed."""
_POINTS_STEP = 4


@dataclass(frozen=True)
class Template:
    """What scans are registered to: `volume` with its axes along the world's, mm as in its affine."""

    volume: Volume
    z_offset_mm: float = 0.0

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest of the voxels."""
        return hashlib.sha256(np.ascontiguousarray(self.volume.data).tobytes()).hexdigest()[:16]

    @cached_property
    def head(self) -> BoolArray:
        """The head, shape of the volume, without holes."""
        return np.asarray(binary_fill_holes(np.asarray(self.volume.data) > HEAD_SHARE))

    @cached_property
    def head_points_mm(self) -> NDArray[np.float64]:
        """Points all over the head, from `LOWEST_MM` upwards, shape (N, 3), mm."""
        every = np.argwhere(self.head[::_POINTS_STEP, ::_POINTS_STEP, ::_POINTS_STEP]) * _POINTS_STEP
        points: NDArray[np.float64] = apply_affine(self.volume.affine, every)
        return points[points[:, 2] >= LOWEST_MM + self.z_offset_mm]

    @cached_property
    def parts(self) -> HeadParts:
        """The template as a sum of parts."""
        return head_parts(self.images[0], self.z_offset_mm)

    @cached_property
    def images(self) -> tuple[HeadImage, HeadImage]:
        """The template on the fine and on the coarse grid; `seen` is where scans are compared with it."""
        margin = int(np.ceil(AROUND_MM / self.volume.affine[2, 2]))
        affine = self.volume.affine.copy()
        affine[:3, 3] -= margin * np.diag(affine)[:3]
        compared = binary_dilation(np.pad(self.head, margin), iterations=margin)
        heights = affine[2, 3] + affine[2, 2] * np.arange(compared.shape[2])
        compared[:, :, heights < LOWEST_MM + self.z_offset_mm] = False
        fine, coarse = head_images(Volume(np.pad(self.volume.data, margin), affine))
        return _masked(fine, compared, affine), _masked(coarse, compared, affine)


def _masked(image: HeadImage, mask: BoolArray, affine: Affine) -> HeadImage:
    """Return the image with `mask`, on a finer grid with the same axes, as what is seen."""
    index = [
        np.clip(np.rint((image.corner_mm[k] + image.step_mm * np.arange(n) - affine[k, 3]) / affine[k, k]), 0, size - 1)
        for k, (n, size) in enumerate(zip(image.values.shape, mask.shape, strict=True))
    ]
    seen = mask[np.ix_(*(each.astype(int) for each in index))]
    return HeadImage(image.values, seen, image.corner_mm, image.step_mm)


@dataclass(frozen=True)
class Registration:
    """How a scan lies.

    to_scan : shape (4, 4), mm of the template to mm of the scan
    flips : axes along which the scan's voxels run the wrong way; `to_scan` holds them
    likeness : correlation with the template where they are compared, coarsely, so that noise does not count
    """

    to_scan: Affine
    flips: Flips
    likeness: float


def register(scan: Volume, template: Template) -> Registration:
    """Find the template's head in a scan of any place, size and turn; its affine (mm, RAS+) must be sound.

    The result is the most alike that was found, however little that is: judge it before it is used.

    Raises
    ------
    ScanError : nothing in the scan stands out.
    """
    fine, coarse = head_images(scan)
    fine_dim, coarse_dim = fine.dimmed(_DIM), coarse.dimmed(_DIM)
    fine_template, coarse_template = (image.dimmed(_DIM) for image in template.images)
    starts = found_heads(coarse_dim, coarse_template)
    if starts[0].likeness < _WORTH_REFINING:
        return Registration(starts[0].to_scan.round(_DECIMALS), starts[0].flips, starts[0].likeness)
    found: list[Registration] = []
    for start in _distinct(starts):
        to_scan = _turned_and_sized(fine_dim, fine_template, start)
        to_scan = fitted_affine(fine.dimmed(_BRIGHT), template.parts, to_scan).round(_DECIMALS)
        likeness = _likeness(coarse_dim, coarse_template, to_scan)
        found.append(Registration(to_scan, start.flips, likeness))
        if likeness >= _GOOD:
            break
    return max(found, key=lambda each: each.likeness)


def _likeness(scan: HeadImage, template: HeadImage, to_scan: Affine) -> float:
    """Return the correlation of two coarse images where both are seen; -1 where they do not meet."""
    places = np.argwhere(template.seen)
    points_mm = template.corner_mm + template.step_mm * places
    index = ((apply_affine(to_scan, points_mm) - scan.corner_mm) / scan.step_mm).T
    is_seen = map_coordinates(scan.seen.astype(np.float32), index, order=0, cval=0.0) > 0
    if is_seen.mean() < LEAST_SHARE_SEEN / 2:
        return -1.0
    values = map_coordinates(scan.values, index[:, is_seen], order=1, mode="nearest")
    if values.min() == values.max():
        return -1.0
    return float(np.corrcoef(values, template.values[template.seen][is_seen])[0, 1])


def is_plausible(to_scan: Affine) -> bool:
    """Return whether heads of people differ so from the template's: in size, in its ratio along axes, in shear."""
    smallest, largest = sizes_of(to_scan)
    return (SIZE_RANGE[0] <= smallest and largest <= SIZE_RANGE[1] and largest / smallest <= MOST_UNEVEN) and shear_of(
        to_scan
    ) <= MOST_SHEAR


def sizes_of(to_scan: Affine) -> tuple[float, float]:
    """Return the smallest and the largest size along any direction."""
    sizes = np.linalg.svd(to_scan[:3, :3], compute_uv=False)
    return float(sizes.min()), float(sizes.max())


def shear_of(to_scan: Affine) -> float:
    """Return the largest cosine between images of axes, which are at right angles in the template."""
    directions = to_scan[:3, :3] / np.linalg.norm(to_scan[:3, :3], axis=0)
    return float(np.abs(directions.T @ directions - np.eye(3)).max())


def turned_degrees(registration: Registration) -> float:
    """Return by how much the head is turned against the template, about any axis, once flips are undone; 0 to 180."""
    left, _, right = np.linalg.svd(registration.to_scan[:3, :3] * signs(registration.flips))
    return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))


def _distinct(starts: list[Start]) -> list[Start]:
    """Return the best starts that put the head into different places, or the wrong way round."""
    chosen: list[Start] = []
    points = np.array([(*CENTRE_MM, 1.0), (60.0, 40.0, 40.0, 1.0), (-60.0, -60.0, 20.0, 1.0)]).T
    for start in starts:
        apart = [np.linalg.norm((start.to_scan - other.to_scan) @ points, axis=0).max() for other in chosen]
        if all(distance > _DISTINCT_MM for distance in apart):
            chosen.append(start)
        if len(chosen) == _MOST_STARTS:
            break
    return chosen


def _turned_and_sized(scan: HeadImage, template: HeadImage, start: Start) -> Affine:
    """Return what registration with seven parameters reaches from `start`."""
    import SimpleITK

    mirror = np.diag([*signs(start.flips), 1.0])
    similar = SimpleITK.Similarity3DTransform()
    centre = mirror[:3, :3] @ CENTRE_MM
    similar.SetCenter(centre.tolist())
    to_scan = start.to_scan @ mirror
    similar.SetMatrix(to_scan[:3, :3].ravel().tolist(), _ORTHOGONAL)
    similar.SetTranslation((apply_affine(to_scan, centre) - centre).tolist())
    _optimise(similar, _mirrored(template, start.flips), scan)
    return _matrix(similar) @ mirror


def _optimise(transform: "SimpleITK.Transform", template: HeadImage, scan: HeadImage) -> None:
    """Change `transform` until template and scan correlate best where both are seen."""
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(_itk(template.seen.astype(np.uint8), template))
    method.SetMetricMovingMask(_itk(scan.seen.astype(np.uint8), scan))
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, _SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        _FIRST_STEP, _LAST_STEP, _MOST_STEPS, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(_itk(template.values, template), _itk(scan.values, scan))


def _mirrored(image: HeadImage, flips: Flips) -> HeadImage:
    """Return the image mirrored at the planes through the origin that `flips` names."""
    axes = tuple("xyz".index(axis) for axis in flips)
    corner_mm = image.corner_mm.copy()
    for axis in axes:
        corner_mm[axis] = -(corner_mm[axis] + image.step_mm * (image.values.shape[axis] - 1))
    return HeadImage(np.flip(image.values, axes), np.flip(image.seen, axes), corner_mm, image.step_mm)


def _itk(values: NDArray[Any], image: HeadImage) -> "SimpleITK.Image":
    """Return values as SimpleITK takes them; its axes are called x, y and z as ours, and never written to a file."""
    import SimpleITK

    found = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    found.SetOrigin(image.corner_mm.tolist())
    found.SetSpacing([image.step_mm] * 3)
    return found


def _matrix(transform: "SimpleITK.AffineTransform") -> Affine:
    turn, centre = np.array(transform.GetMatrix()).reshape(3, 3), np.array(transform.GetCenter())
    affine = np.eye(4)
    affine[:3, :3] = turn
    affine[:3, 3] = centre + transform.GetTranslation() - turn @ centre
    return affine
