"""Read one scan of a download: recognise it by its content and not its name, check it, bring it to int16."""

import io
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.placement import on_template_grid, placed
from datspect.imaging.resampling import resampled_to_mni
from datspect.imaging.volume import Volume, Voxels
from datspect.io.dicom import looks_like_dicom, read_dicom
from datspect.io.nifti import Space, looks_like_nifti, read_nifti
from datspect.io.other_files import kind_by_content
from datspect.io.sources import Source, opened

PlacedBy = Literal["header", "convention"]

LARGEST_FILE_BYTES = 2**28
"""256 MiB: the largest number of voxels that is read, at the widest type."""

LARGEST_SCALED = 32000
"""The largest absolute value of a scan that had to be scaled to fit into int16."""

_HEAD_BYTES = 132


@dataclass(frozen=True)
class ReadScan:
    """A volume of int16 as `io.volumes.write_volume` takes it, and how it was read.

    `placed_by` tells whether the header gave the directions of the axes or the convention for PPMI did. `space` tells
    whether the affine leads to MNI space. Values are those of the file times `scale`.
    """

    volume: Volume
    placed_by: PlacedBy
    space: Space
    scale: float


def read_scan(source: Source) -> ReadScan:
    """Read a DICOM or NIfTI file.

    Raises
    ------
    IneligibleError : the file is whole, but not a reconstructed DaT scan on the MNI grid (DICOM only).
    ScanError : the file is neither DICOM nor NIfTI, spoilt, or without voxels that mean something.
    """
    with opened(source, LARGEST_FILE_BYTES) as stream:
        return _scaled(*_read(stream))


def _scaled(volume: Volume, placed_by: PlacedBy, space: Space) -> ReadScan:
    scaled, scale = _in_int16(volume.data)
    if scaled.min() == scaled.max():
        raise ScanError("all voxels hold the same value, or nearly so; download or convert it anew")
    return ReadScan(Volume(scaled, volume.affine), placed_by, space, scale)


def read_nifti_bytes(content: bytes) -> ReadScan:
    """Read a NIfTI file, packed or not, from bytes.

    Raises
    ------
    ScanError : it is too large, not NIfTI, spoilt, or without voxels that mean something.
    """
    if len(content) > LARGEST_FILE_BYTES:
        raise ScanError(f"the file has {len(content):,} bytes; a scan may have {LARGEST_FILE_BYTES:,}")
    if not looks_like_nifti(content[:_HEAD_BYTES]):
        raise ScanError("not a NIfTI file, by its content")
    return _scaled(*_read(io.BytesIO(content)))


def on_mni_grid(scan: ReadScan, *, resample: bool) -> tuple[Volume, bool]:
    """Return the volume in RAS+ order on the 2 mm MNI grid, and whether it was resampled.

    Raises
    ------
    IneligibleError : the volume does not lie in MNI space, or lies on another grid there and `resample` is false.
    """
    if on_template_grid(scan.volume.data.shape, scan.volume.affine):
        return Volume(reorient(scan.volume).data, mni_ras_affine()), False
    if scan.space != "mni":
        raise IneligibleError("it does not lie in MNI space; normalise it to the MNI template first")
    if not resample:
        raise IneligibleError("it lies in MNI space on another grid; the same command with --resample brings it over")
    return reorient(resampled_to_mni(scan.volume)), True


def _read(stream: BinaryIO) -> tuple[Volume, PlacedBy, Space]:
    head = stream.read(_HEAD_BYTES)
    if looks_like_nifti(head):
        volume, space = read_nifti(stream)
        return volume, "header", space
    if looks_like_dicom(head):
        scan = read_dicom(stream)
        placed_by: PlacedBy = "header" if scan.geometry.orientation else "convention"
        return placed(scan.frames, scan.geometry), placed_by, "mni"
    kind = kind_by_content(head)
    raise ScanError(f"neither a DICOM nor a NIfTI file, by its content{f': {kind}' if kind else ''}")


def _in_int16(voxels: Voxels) -> tuple[Voxels, float]:
    """Return voxels as int16 and their factor; integers that fit keep 1, since absolute units mean nothing."""
    is_integer = voxels.dtype.kind in "iu"
    if not (is_integer or np.isfinite(voxels).all()):
        raise ScanError("voxels hold NaN or infinity; replace them, for instance by 0 outside the head")
    largest = max(-float(voxels.min()), float(voxels.max()))
    is_whole = is_integer or np.array_equal(voxels, np.rint(voxels))
    if is_whole and largest <= np.iinfo(np.int16).max:
        return voxels.astype(np.int16), 1.0
    scale = LARGEST_SCALED / largest
    if not (np.isfinite(largest) and np.isfinite(scale)):
        raise ScanError("values are too large or too small to be scaled; convert the scan anew")
    return np.rint(voxels * scale).astype(np.int16), scale
