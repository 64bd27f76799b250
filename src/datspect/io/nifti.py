"""Read volumes from NIfTI files of a download: untrusted, often within a zip, so that every size is bounded first.

`io.volumes` reads the files that this project wrote; this module reads those of others.
"""

import gzip
import math
import struct
from typing import Any, BinaryIO, Literal

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError

from datspect.errors import ScanError
from datspect.imaging.placement import check_affine, on_template_grid
from datspect.imaging.volume import Affine, Volume
from datspect.io.silence import faults_named

Space = Literal["mni", "other"]
Stream = BinaryIO | gzip.GzipFile

GZIP_MAGIC = b"\x1f\x8b"
HEADER_SIZES = {348: Nifti1Header, 540: Nifti2Header}
MNI152 = 4
"""Code of an affine that leads to MNI space; 1 is scanner, 2 another scan, 3 Talairach, 5 another template."""

MOST_VOXELS = 2**24
"""256 x 256 x 256; a whole head at 1 mm has half as many."""

MOST_EXTENSION_BYTES = 2**20
MOST_TRAILING_BYTES = 2**16
"""Bytes allowed after the voxels: some writers pad their files."""

_FAULTS = (HeaderDataError, ImageFileError, WrapStructError)


def looks_like_nifti(head: bytes) -> bool:
    """Return whether a file with this start may be NIfTI, compressed or not."""
    return head[:2] == GZIP_MAGIC or _header_size(head) is not None


def read_nifti(stream: BinaryIO) -> tuple[Volume, Space]:
    """Read the volume of a .nii or .nii.gz file, its scaling applied, and the space its affine (mm, RAS+) leads to.

    Raises
    ------
    ScanError : it is not NIfTI, spoilt, cut short, without a place in space, or larger than any scan of a head.
    """
    with faults_named("NIfTI", "copy or convert it anew", *_FAULTS):
        stream.seek(0)
        is_packed = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        if not is_packed:
            return _read(stream)
        with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
            return _read(unpacked)


def _read(stream: Stream) -> tuple[Volume, Space]:
    header, n_read = _header(stream)
    shape, stored = _shape(header), _stored_type(header)
    affine, code = _affine(header)
    _exactly(stream, _gap(header, n_read))
    content = _exactly(stream, math.prod(shape) * stored.itemsize)
    if len(stream.read(MOST_TRAILING_BYTES + 1)) > MOST_TRAILING_BYTES:  # this also compares the checksum of a .gz
        raise ScanError("the file holds more than its header declares; copy or convert it anew")
    voxels = np.frombuffer(content, stored).reshape(shape, order="F")
    slope, intercept = header.get_slope_inter()
    if slope is not None:
        voxels = apply_read_scaling(voxels, slope, intercept)
    native = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    return Volume(native, affine), "mni" if code == MNI152 or on_template_grid(shape, affine) else "other"


def _header_size(head: bytes) -> int | None:
    """Return the size of the header that a file begins with: its first number, in either byte order."""
    found = {struct.unpack(order, head[:4])[0] for order in ("<i", ">i")} if len(head) >= 4 else set()
    return next(iter(found & set(HEADER_SIZES)), None)


def _header(stream: Stream) -> tuple[Nifti1Header, int]:
    """Return the header and the number of bytes read for it."""
    start = stream.read(min(HEADER_SIZES))
    size = _header_size(start)
    if size is None:
        raise ScanError("expected a NIfTI header at the start of the file, found something else")
    block = start + _exactly(stream, size - len(start))
    header = HEADER_SIZES[size](block, check=True)
    if header["magic"].item() != header.single_magic:
        raise ScanError("expected header and voxels in one file (.nii), got one of a pair or another format")
    return header, size


def _exactly(stream: Stream, n_bytes: int) -> bytes:
    try:
        content = stream.read(n_bytes)
    except EOFError:  # a compressed file without its end
        content = b""
    if len(content) != n_bytes:
        raise ScanError("cut short: the file holds less than its header declares; copy or download it anew")
    return content


def _shape(header: Nifti1Header) -> tuple[int, int, int]:
    """Return the three lengths of the volume; axes of length 1 after them are dropped."""
    full = tuple(int(length) for length in header.get_data_shape())
    if len(full) < 3 or min(full) < 1:
        raise ScanError("expected a 3-D volume, got less; convert the scan anew")
    if math.prod(full[3:]) != 1:
        raise ScanError(f"expected a 3-D volume, got {math.prod(full[3:])} of them; average or choose the frames first")
    if math.prod(full) > MOST_VOXELS:
        raise ScanError(f"declares {math.prod(full)} voxels, at most {MOST_VOXELS} are read; resample the scan first")
    return full[0], full[1], full[2]


def _stored_type(header: Nifti1Header) -> np.dtype[Any]:
    stored: np.dtype[Any] = header.get_data_dtype()
    if stored.kind not in "iuf":
        raise ScanError("expected voxels that are real numbers, got colours or complex numbers")
    return stored


def _gap(header: Nifti1Header, n_read: int) -> int:
    """Return the number of bytes between header and voxels: extensions, which are skipped unread."""
    gap = int(header.get_data_offset()) - n_read
    if not 0 <= gap <= MOST_EXTENSION_BYTES:
        raise ScanError("the header says that its voxels begin where they cannot; convert the scan anew")
    return gap


def _affine(header: Nifti1Header) -> tuple[Affine, int]:
    """Return voxel to world (mm, RAS+), shape (4, 4), and the code of the space it leads to."""
    if header.get_xyzt_units()[0] not in ("mm", "unknown"):
        raise ScanError("expected lengths in millimetres; convert the scan anew")
    for get_form in (header.get_sform, header.get_qform):
        affine, code = get_form(coded=True)
        if affine is not None:
            check_affine(affine)
            return np.asarray(affine, dtype=np.float64), code
    raise ScanError("the header does not say where the volume lies (no sform, no qform); convert the scan anew")
