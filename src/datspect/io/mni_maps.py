"""Read maps of the ICBM-152 head in MNI space from the files that nilearn carries."""

from importlib.metadata import distribution
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import mni_affine_of
from datspect.imaging.volume import MNI_SHAPE, Affine, Volume, mni_affine

MapName = Literal["t1", "gm", "wm"]


def template_t1(z_offset_voxels: float) -> Volume:
    """Return the ICBM-152 T1 image, RAS+ on the MNI grid, moved up to where a scan lies; its brightest voxel is 1."""
    data, affine = _read_map("t1")
    to_image = np.linalg.inv(affine) @ mni_affine_of(mni_ras_affine(), z_offset_voxels)
    moved = affine_transform(data, to_image[:3, :3], to_image[:3, 3], MNI_SHAPE, order=1)
    return Volume(moved / data.max(), mni_ras_affine())


def read_tissue_map(name: MapName) -> NDArray[np.float32]:
    """Return a map at the voxels of the MNI grid, shape `MNI_SHAPE`: every second of its own, which lie on it."""
    data, affine = _read_map(name)
    to_image = np.linalg.inv(affine) @ mni_affine()
    places = [
        np.rint(first + step * np.arange(size)).astype(np.intp)
        for size, step, first in zip(MNI_SHAPE, np.diag(to_image)[:3], to_image[:3, 3], strict=True)
    ]
    return np.asarray(data[np.ix_(*places)] / data.max(), dtype=np.float32)


def _read_map(name: MapName) -> tuple[NDArray[np.float32], Affine]:
    """Return a map as stored; importing nilearn itself, and its splines, would take seconds in every process."""
    path = f"nilearn/datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    image = nib.Nifti1Image.from_filename(Path(str(distribution("nilearn").locate_file(path))))
    return np.asarray(image.dataobj, dtype=np.float32), image.affine
