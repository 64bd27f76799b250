"""Read volumes from NIfTI files of a download: untrusted, often within a zip, so that every size is bounded first.

`io.volumes` reads the files that this project wrote; this module reads those of others.
"""

import gzip
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError

from datspect.errors import ScanError
from datspect.imaging.placement import MOST_VOXELS, check_affine, on_template_grid
from datspect.imaging.volume import Affine, Volume, Voxels
from datspect.io.silence import faults_named

Space = Literal["mni", "other"]
PlacedBy = Literal["header", "convention"]
Frames = Literal["refuse", "mean"]
"""What to do with several volumes in one file: refuse them, or take their mean."""

Stream = BinaryIO | gzip.GzipFile
Shape = tuple[int, int, int]

GZIP_MAGIC = b"\x1f\x8b"
HEADER_SIZES = {348: Nifti1Header, 540: Nifti2Header}
MNI152 = 4
"""Code of an affine that leads to MNI space; 1 is scanner, 2 another scan, 3 Talairach, 5 another template."""

MOST_VOXELS_OF_FRAMES = 2**25
"""Most voxels of all volumes of one file together: sixteen of 128 x 128 x 128."""

HALF_OF_PAIR = (
    "the header of a pair of files: put its voxels (.img) beside it under the same name, or join both: "
    "nib-convert NAME.img NAME.nii"
)

MOST_EXTENSION_BYTES = 2**20
MOST_TRAILING_BYTES = 2**16
"""Bytes allowed after the voxels: some writers pad their files."""

FAULTS = (HeaderDataError, ImageFileError, WrapStructError)


@dataclass(frozen=True)
class NiftiScan:
    """A volume of a file, how it was placed, the space its affine is said to lead to, and its number of frames."""

    volume: Volume
    space: Space
    placed_by: PlacedBy = "header"
    n_frames: int = 1


def looks_like_nifti(head: bytes) -> bool:
    """Return whether a file with this start may be NIfTI, compressed or not."""
    return head[:2] == GZIP_MAGIC or header_size(head) is not None


def read_nifti(stream: BinaryIO, frames: Frames = "refuse") -> NiftiScan:
    """Read the volume of a .nii or .nii.gz file, its scaling applied, and the space its affine (mm, RAS+) leads to.

    Without an affine the middle of the volume is the origin and the axes run as most programs take them then.

    Raises
    ------
    ScanError : it is not NIfTI, spoilt, cut short, of several frames with `frames` refuse, or larger than any head.
    """
    with faults_named("NIfTI", "copy or convert it anew", *FAULTS), unpacked(stream) as plain:
        header = _header(plain)
        return read_described(header, plain, voxels_begin(header) - header.template_dtype.itemsize, frames)


@contextmanager
def unpacked(stream: BinaryIO) -> Iterator[Stream]:
    """Give a stream from its start, unpacked as it is read if it is compressed."""
    stream.seek(0)
    is_packed = stream.read(2) == GZIP_MAGIC
    stream.seek(0)
    if not is_packed:
        yield stream
        return
    with gzip.GzipFile(fileobj=stream, mode="rb") as plain:
        yield plain


def read_described(header: Nifti1Header, stream: Stream, gap: int, frames: Frames) -> NiftiScan:
    """Read the voxels that a NIfTI header describes from a stream, after `gap` bytes.

    Raises
    ------
    ScanError : there are more or fewer than declared, or they are of a kind that is not read.
    """
    shape, n_frames = volume_shape(header, frames)
    affine, code = _affine(header, shape)
    voxels = read_voxels(header, stream, gap, (shape, n_frames))
    space: Space = "mni" if code == MNI152 or on_template_grid(shape, affine) else "other"
    return NiftiScan(Volume(voxels, affine), space, "header" if code else "convention", n_frames)


def read_voxels(header: AnalyzeHeader, stream: Stream, gap: int, shape: tuple[Shape, int]) -> Voxels:
    """Read a volume, or the mean of several, after `gap` bytes; `shape` is that of one volume and their number.

    Raises
    ------
    ScanError : there are more or fewer voxels than declared, they are no real numbers, or the gap cannot be.
    """
    stored = _stored_type(header)
    if not 0 <= gap <= MOST_EXTENSION_BYTES:
        raise ScanError("the header says that its voxels begin where they cannot; convert the scan anew")
    exactly(stream, gap)  # extensions, which are skipped unread
    one, n_frames = shape
    voxels = _mean(header, stream, stored, shape) if n_frames > 1 else _frame(header, stream, stored, one)
    if len(stream.read(MOST_TRAILING_BYTES + 1)) > MOST_TRAILING_BYTES:  # this also compares the checksum of a .gz
        raise ScanError("the file holds more than its header declares; copy or convert it anew")
    return voxels


def _frame(header: AnalyzeHeader, stream: Stream, stored: np.dtype[Any], shape: Shape) -> Voxels:
    content = exactly(stream, math.prod(shape) * stored.itemsize)
    voxels = np.frombuffer(content, stored).reshape(shape, order="F")
    slope, intercept = header.get_slope_inter()
    if slope is not None:
        voxels = apply_read_scaling(voxels, slope, intercept)
    return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)


def _mean(header: AnalyzeHeader, stream: Stream, stored: np.dtype[Any], shape: tuple[Shape, int]) -> Voxels:
    one, n_frames = shape
    total = np.zeros(one, np.float64, order="F")
    for _ in range(n_frames):
        total += _frame(header, stream, stored, one)
    return total / n_frames


def header_size(head: bytes) -> int | None:
    """Return the size of the header that a file begins with: its first number, in either byte order."""
    found = {struct.unpack(order, head[:4])[0] for order in ("<i", ">i")} if len(head) >= 4 else set()
    return next(iter(found & set(HEADER_SIZES)), None)


def header_block(stream: Stream) -> bytes:
    """Read the bytes of a header of either version.

    Raises
    ------
    ScanError : the stream begins otherwise.
    """
    start = stream.read(min(HEADER_SIZES))
    size = header_size(start)
    if size is None:
        raise ScanError("expected a NIfTI header at the start of the file, found something else")
    return start + exactly(stream, size - len(start))


def _header(stream: Stream) -> Nifti1Header:
    block = header_block(stream)
    kind = HEADER_SIZES[len(block)]
    if not is_single(block):
        raise ScanError(HALF_OF_PAIR)
    return kind(block, check=True)


def is_single(block: bytes) -> bool:
    """Return whether the voxels follow a header in the same file; if not, it is of NIfTI's pairs or of ANALYZE."""
    return block[344:348] == b"n+1\0" if len(block) == min(HEADER_SIZES) else block[4:8] == b"n+2\0"


def exactly(stream: Stream, n_bytes: int) -> bytes:
    """Read `n_bytes`.

    Raises
    ------
    ScanError : there are fewer.
    """
    try:
        content = stream.read(n_bytes)
    except EOFError:  # a compressed file without its end
        content = b""
    if len(content) != n_bytes:
        raise ScanError("cut short: the file holds less than its header declares; copy or download it anew")
    return content


def volume_shape(header: AnalyzeHeader, frames: Frames) -> tuple[Shape, int]:
    """Return the three lengths of a volume, and how many volumes of it there are along the fourth axis.

    Raises
    ------
    ScanError : there are more than are read, or `frames` is refuse and there are several.
    """
    full = tuple(int(length) for length in header.get_data_shape())
    if len(full) < 3 or min(full) < 1:
        raise ScanError("expected a 3-D volume, got less; convert the scan anew")
    if math.prod(full[:3]) > MOST_VOXELS:
        raise ScanError(
            f"declares {math.prod(full[:3])} voxels, at most {MOST_VOXELS} are read; resample the scan first"
        )
    n_frames = full[3] if len(full) > 3 else 1
    if math.prod(full[4:]) != 1:
        raise ScanError(f"expected numbers, got {math.prod(full[4:])} at each voxel (a vector); convert the scan anew")
    if n_frames > 1 and frames == "refuse":
        raise ScanError(
            f"expected a 3-D volume, got {n_frames} of them; if all are of one scan, --frames mean takes their mean "
            "(options of predict and import)"
        )
    if n_frames > 1 and math.prod(full) > MOST_VOXELS_OF_FRAMES:
        raise ScanError(f"{n_frames} frames are too large to take the mean of; choose some of them first")
    return (full[0], full[1], full[2]), n_frames


def _stored_type(header: AnalyzeHeader) -> np.dtype[Any]:
    stored: np.dtype[Any] = header.get_data_dtype()
    if stored.kind not in "iuf":
        raise ScanError("expected voxels that are real numbers, got colours or complex numbers")
    return stored


def voxels_begin(header: Nifti1Header) -> int:
    """Return the byte of the file at which the header says that voxels begin."""
    return int(header.get_data_offset())


def _affine(header: Nifti1Header, shape: Shape) -> tuple[Affine, int]:
    """Return voxel to world (mm, RAS+), shape (4, 4), and the code of the space it leads to, 0 if the header has none.

    Without one the middle of the volume is the origin; x runs to the left, as most programs take such files.
    """
    if header.get_xyzt_units()[0] not in ("mm", "unknown"):
        raise ScanError("expected lengths in millimetres; convert the scan anew")
    for get_form in (header.get_sform, header.get_qform):
        affine, code = get_form(coded=True)
        if affine is not None:
            check_affine(affine)
            return np.asarray(affine, dtype=np.float64), code
    return centred_affine(shape, header.get_zooms()[:3]), 0


def centred_affine(shape: Shape, sizes_mm: Sequence[float]) -> Affine:
    """Return voxel to world (mm), shape (4, 4), with the origin in the middle and x from right to left.

    Raises
    ------
    ScanError : the voxels have sizes that no scan has.
    """
    affine = np.diag([*(float(abs(size)) for size in sizes_mm), 1.0])
    affine[0, 0] *= -1
    check_affine(affine)
    affine[:3, 3] = -affine[:3, :3] @ (np.subtract(shape, 1) / 2)
    return affine
