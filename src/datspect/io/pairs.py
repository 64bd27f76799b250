"""Read volumes whose header (.hdr) and voxels (.img) are two files: NIfTI's pairs, and ANALYZE 7.5 as SPM wrote it."""

from typing import BinaryIO

import numpy as np
from nibabel.spm99analyze import Spm99AnalyzeHeader

from datspect.imaging.placement import check_affine
from datspect.imaging.volume import Volume
from datspect.io.nifti import (
    FAULTS,
    HEADER_SIZES,
    Frames,
    NiftiScan,
    Stream,
    header_block,
    read_described,
    read_voxels,
    unpacked,
    volume_shape,
    voxels_begin,
)
from datspect.io.silence import faults_named

_MARKS = (b"ni1\0", b"ni2\0")


def read_pair(header_stream: BinaryIO, voxel_stream: BinaryIO, frames: Frames = "refuse") -> NiftiScan:
    """Read the volume of a pair, each half compressed or not.

    ANALYZE has no orientation: x is taken to run to the left, as most programs do, and may run to the right.

    Raises
    ------
    ScanError : the halves are no pair, spoilt, cut short, or larger than any head.
    """
    with faults_named("pair of .hdr and .img", "copy or convert it anew", *FAULTS):
        with unpacked(header_stream) as plain:
            block = header_block(plain)
        with unpacked(voxel_stream) as plain:
            mark = block[344:348] if len(block) == min(HEADER_SIZES) else block[4:8]
            if mark not in _MARKS:
                return _read_analyze(block, plain, frames)
            header = HEADER_SIZES[len(block)](block, check=True)
            return read_described(header, plain, voxels_begin(header), frames)


def _read_analyze(block: bytes, stream: Stream, frames: Frames) -> NiftiScan:
    header = Spm99AnalyzeHeader(block, check=True)
    shape, n_frames = volume_shape(header, frames)
    affine = np.asarray(header.get_origin_affine(), dtype=np.float64)
    check_affine(affine)
    voxels = read_voxels(header, stream, int(header.get_data_offset()), (shape, n_frames))
    return NiftiScan(Volume(voxels, affine), "other", "convention", n_frames)
