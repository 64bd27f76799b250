"""Read one scan of a download: recognise it by its content and not its name, check it, bring it to int16."""

import io
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from datspect.errors import ScanError
from datspect.imaging.missing import without_missing
from datspect.imaging.placement import on_template_grid, placed
from datspect.imaging.volume import Volume, Voxels
from datspect.io.dicom import DicomScan, read_dicom
from datspect.io.dicom_header import HEAD_BYTES, looks_like_dicom
from datspect.io.dicom_series import check_slice, read_dicom_series
from datspect.io.nifti import Frames, NiftiScan, PlacedBy, Space, looks_like_nifti, read_nifti
from datspect.io.other_files import kind_by_content
from datspect.io.pairs import read_pair
from datspect.io.several_files import SeveralFiles
from datspect.io.sources import Source, opened

LARGEST_FILE_BYTES = 2**28
"""256 MiB: the largest number of voxels that is read, at the widest type."""

LARGEST_SCALED = 32000
"""The largest absolute value of a scan that had to be scaled to fit into int16."""


@dataclass(frozen=True)
class ReadScan:
    """A volume of int16 as `io.volumes.write_volume` takes it, and how it was read.

    The affine of `volume` (voxel to mm, RAS+) is where the header puts it. `placed_by` tells whether the header gave
    the directions of the axes, or a convention did: that of PPMI for DICOM, that of ANALYZE for NIfTI, where left and
    right may be exchanged. `space` tells whether header or grid say that the affine leads to MNI space: a hint, since
    headers lie. Values are those of the file times `scale`. `n_missing` voxels outside the head were NaN and are 0.
    The volume is the mean of `n_frames`.
    """

    volume: Volume
    placed_by: PlacedBy
    space: Space
    scale: float
    n_missing: int = 0
    n_frames: int = 1
    sides_known: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should be told of the reading."""
        said = {
            f"{self.n_missing} voxels outside the head were NaN and count as 0": self.n_missing > 0,
            f"the mean of {self.n_frames} frames": self.n_frames > 1,
            "its header gives no orientation, so that left and right may be exchanged": not self.sides_known,
        }
        return tuple(note for note, applies in said.items() if applies)


def read_scan(source: Source, *, frames: Frames = "refuse") -> ReadScan:
    """Read a DICOM or NIfTI file, a series of DICOM slices or a pair, in MNI space or where the scanner left it.

    Several frames in one NIfTI file are refused unless `frames` is mean.

    Raises
    ------
    IneligibleError : the file is whole, but not a reconstructed DaT scan (DICOM only).
    ScanError : the file is neither DICOM nor NIfTI, spoilt, or without voxels that mean something.
    """
    if isinstance(source, SeveralFiles):
        return _read_several(source, frames)
    with opened(source, LARGEST_FILE_BYTES) as stream:
        return _read(stream, frames, source.name)


def read_nifti_bytes(content: bytes) -> ReadScan:
    """Read a NIfTI file, packed or not, from bytes.

    Raises
    ------
    ScanError : it is too large, not NIfTI, spoilt, or without voxels that mean something.
    """
    if len(content) > LARGEST_FILE_BYTES:
        raise ScanError(f"the file has {len(content):,} bytes; a scan may have {LARGEST_FILE_BYTES:,}")
    if not looks_like_nifti(content[:HEAD_BYTES]):
        raise ScanError("not a NIfTI file, by its content")
    return _read(io.BytesIO(content), "refuse")


def _read_several(source: SeveralFiles, frames: Frames) -> ReadScan:
    if source.form == "series":
        with opened(source.parts[0], LARGEST_FILE_BYTES) as first:
            check_slice(first)
    if source.size > LARGEST_FILE_BYTES:
        raise ScanError(f"its files have {source.size:,} bytes; a scan may have {LARGEST_FILE_BYTES:,}")
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(part, LARGEST_FILE_BYTES)) for part in source.parts]
        if source.form == "pair":
            header, voxels = streams
            return _of_nifti(read_pair(header, voxels, frames))
        return _of_dicom(read_dicom_series(streams))


def _read(stream: BinaryIO, frames: Frames, name: str = "") -> ReadScan:
    head = stream.read(HEAD_BYTES)
    if looks_like_nifti(head):
        return _of_nifti(read_nifti(stream, frames))
    if looks_like_dicom(head):
        return _of_dicom(read_dicom(stream))
    if name.lower().endswith((".img", ".img.gz")):
        raise ScanError("the voxels of a pair without their header: put it (.hdr) beside them under the same name")
    kind = kind_by_content(head)
    raise ScanError(f"neither a DICOM nor a NIfTI file, by its content{f': {kind}' if kind else ''}")


def _of_nifti(scan: NiftiScan) -> ReadScan:
    read = _scaled(scan.volume, scan.placed_by, scan.space)
    return replace(read, n_frames=scan.n_frames, sides_known=scan.placed_by == "header")


def _of_dicom(scan: DicomScan) -> ReadScan:
    volume = placed(scan.frames, scan.geometry)
    is_mni = on_template_grid(volume.data.shape, volume.affine)
    is_said = scan.geometry.orientation is not None
    read = _scaled(volume, "header" if is_said else "convention", "mni" if is_mni else "other")
    return replace(read, sides_known=is_said or is_mni)


def _scaled(volume: Volume, placed_by: PlacedBy, space: Space) -> ReadScan:
    voxels, n_missing = without_missing(volume.data)
    scaled, scale = _in_int16(voxels)
    if scaled.min() == scaled.max():
        raise ScanError("all voxels hold the same value, or nearly so; download or convert it anew")
    return ReadScan(Volume(scaled, volume.affine), placed_by, space, scale, n_missing)


def _in_int16(voxels: Voxels) -> tuple[Voxels, float]:
    """Return finite voxels as int16 and their factor; integers that fit keep 1, since absolute units mean nothing."""
    is_integer = voxels.dtype.kind in "iu"
    largest = max(-float(voxels.min()), float(voxels.max()))
    is_whole = is_integer or np.array_equal(voxels, np.rint(voxels))
    if is_whole and largest <= np.iinfo(np.int16).max:
        return voxels.astype(np.int16), 1.0
    scale = LARGEST_SCALED / largest if largest else np.inf  # 0: numbers of 128 bits below the smallest of 64
    most = float(np.finfo(np.float64 if is_integer else voxels.dtype).max)  # a factor beyond it would become infinite
    if not (np.isfinite([largest, scale]).all() and scale <= most):
        raise ScanError("values are too large or too small to be scaled; convert the scan anew")
    return np.rint(voxels * scale).astype(np.int16), scale
