"""Read and write volumes as NIfTI files."""

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from datspect.errors import ScanError
from datspect.imaging.volume import Volume
from datspect.io.atomic import replacing

_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError, WrapStructError)


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file with its scaling applied; uncompressed integers without scaling stay memory-mapped.

    Raises
    ------
    ScanError : the file is missing, no plain file, not NIfTI, cut short, or holds no real numbers. The message
        holds no path, which may name a patient.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise ScanError("no plain file; a scan is a file, no folder, pipe or device")
    try:
        image = nib.Nifti1Image.from_filename(path)
        data = np.asanyarray(image.dataobj)
    except FileNotFoundError:
        raise ScanError("file not found") from None
    except _UNREADABLE as error:
        raise ScanError(f"not a readable NIfTI file ({type(error).__name__}); copy or convert it anew") from None
    if not (np.issubdtype(data.dtype, np.integer) or np.issubdtype(data.dtype, np.floating)):
        raise ScanError(f"expected voxels that are real numbers, got type {data.dtype}")
    return Volume(data, np.asarray(image.affine, dtype=np.float64))


def write_volume(path: Path, volume: Volume) -> None:
    """Write `volume` as uncompressed int16 NIfTI, values rounded, no scaling, so that slices can be memory-mapped.

    Raises
    ------
    ScanError : a value is not finite or does not fit into int16.
    """
    if not np.abs(volume.data).max(initial=0) <= np.iinfo(np.int16).max:  # "not" since NaN compares false
        raise ScanError("values are not finite or exceed int16; scale the volume first")
    image = nib.Nifti1Image(np.rint(volume.data).astype(np.int16), volume.affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as unfinished:
        nib.save(image, unfinished)
