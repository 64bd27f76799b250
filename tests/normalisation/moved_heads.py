"""Put heads into other spaces by affines that are known, as cameras and converters leave them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from datspect.imaging.volume import Affine, Volume
from datspect.io.nifti import Space
from datspect.io.scan_reading import ReadScan
from datspect.params.whole import load_params
from datspect.phantom.cohort import Laboratory, build_laboratory
from datspect.phantom.native import STRIATA_MNI_MM, NativeScan, ordinary_scan
from datspect.phantom.template import mean_phantom

OFFSET_VOXELS = 4.0
STRIATA_MM = STRIATA_MNI_MM + np.array([0.0, 0.0, 2.0 * OFFSET_VOXELS])
"""Middles of the striata, shape (4, 3), where a cohort that lies `OFFSET_VOXELS` above MNI has them."""
MIDDLE_MM = (0.0, -18.0, 12.0)


def pose(
    turn_degrees: Sequence[float] = (0, 0, 0),
    shift_mm: Sequence[float] = (0, 0, 0),
    size: float | Sequence[float] = 1.0,
    flips: str = "",
) -> Affine:
    """Return an affine, shape (4, 4), that turns, sizes and flips about the head's middle and then shifts."""
    signs = [-1.0 if axis in flips else 1.0 for axis in "xyz"]
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", turn_degrees, degrees=True).as_matrix()
    affine[:3, :3] = turn * np.array(signs) * size
    affine[:3, 3] = np.add(MIDDLE_MM, shift_mm) - affine[:3, :3] @ MIDDLE_MM
    return affine


def imaged(
    to_scan: Affine,
    *,
    sizes_mm: Sequence[float] = (4.0, 4.0, 4.0),
    shape: Sequence[int] = (64, 64, 48),
    field_mm: Sequence[float] = (0, 0, 0),
    head: Volume | None = None,
) -> Volume:
    """Return a head as seen by a camera whose field is `field_mm` off the head's middle; int16, the level is 1000."""
    head = head or mean_phantom(OFFSET_VOXELS)
    affine = np.diag([*sizes_mm, 1.0])
    middle = to_scan[:3, :3] @ MIDDLE_MM + to_scan[:3, 3]
    affine[:3, 3] = middle + field_mm - affine[:3, :3] @ (np.array(shape) - 1) / 2
    to_head = np.linalg.inv(to_scan @ head.affine) @ affine
    data = affine_transform(np.asarray(head.data, np.float32), to_head[:3, :3], to_head[:3, 3], tuple(shape), order=1)
    noise = np.random.default_rng(3).normal(0, 0.03, data.shape)
    return Volume(np.rint(1000 * np.maximum(data + noise, 0)).astype(np.int16), affine)


def stored_as(volume: Volume, axes: str) -> Volume:
    """Return the same volume with its axes in another order or sense, such as `LIP`."""
    orientation = axcodes2ornt(tuple(axes))  # of the stored axes, as seen from RAS+
    into = nib.orientations.ornt_transform(axcodes2ornt(("R", "A", "S")), orientation)
    data = apply_orientation(volume.data, into)
    return Volume(np.ascontiguousarray(data), volume.affine @ inv_ornt_aff(into, volume.data.shape))


def read(volume: Volume, space: Space = "other") -> ReadScan:
    return ReadScan(volume, "header", space, 1.0)


def nifti_bytes(volume: Volume, code: int = 1) -> bytes:
    image = nib.Nifti1Image(volume.data, volume.affine)
    image.set_sform(volume.affine, code=code)
    image.set_qform(None, code=0)
    content: bytes = image.to_bytes()
    return content


@cache
def laboratory() -> Laboratory:
    """One site, and heads that lie in MNI as well as they can."""
    params = load_params(Path(__file__).parents[2] / "params.yaml").phantom
    few = {"n_pd": 3, "n_control": 3, "n_sites": 1, "misregistered": 0.0}
    return build_laboratory(params.model_copy(update=few), n_workers=1)


@cache
def native_scan(label: str, index: int, axes: str | None = None) -> NativeScan:
    return ordinary_scan(laboratory(), label, index, axes=axes)


def distances_mm(found: Affine, expected: Affine, points_mm: NDArray[np.float64] = STRIATA_MM) -> NDArray[np.float64]:
    """Return how far apart two affines put points, shape (N,), mm."""
    return np.linalg.norm(
        nib.affines.apply_affine(found, points_mm) - nib.affines.apply_affine(expected, points_mm), axis=1
    )
