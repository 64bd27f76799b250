"""NIfTI files that mean harm: header fields with impossible values, and gzip streams that unpack to gigabytes."""

import gzip
import struct
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from tests.fuzz.mutations import MARKER

from datspect.imaging.volume import MNI_SHAPE, mni_affine

HEADER_BYTES = 352
"""The header of a single file, with the four bytes that announce extensions."""

_FIELDS = {
    "sizeof_hdr": (0, "i"), "dim[0]": (40, "h"), "dim[1]": (42, "h"), "dim[2]": (44, "h"), "dim[3]": (46, "h"),
    "dim[4]": (48, "h"), "dim[7]": (54, "h"), "datatype": (70, "h"), "bitpix": (72, "h"), "pixdim[0]": (76, "f"),
    "pixdim[1]": (80, "f"), "pixdim[3]": (88, "f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"),
    "scl_inter": (116, "f"), "xyzt_units": (123, "B"), "qform_code": (252, "h"), "sform_code": (254, "h"),
    "quatern_b": (256, "f"), "qoffset_x": (268, "f"), "srow_x[0]": (280, "f"), "srow_x[3]": (292, "f"),
    "srow_y[1]": (300, "f"), "srow_z[2]": (320, "f"), "magic": (344, "i"), "extension": (348, "i"),
}  # fmt: skip
_TYPES = (2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 1792, 2048, 2304)
_WHOLE = (-32768, -1, 0, 1, 3, 5, 7, 90, 91, 92, 109, 32767, *_TYPES)
_REAL_WORDS = "nan inf -inf 0 -0 1e-45 -1 2 3.5 351 352 353 1e9 2147483648 1e19 3e38 -3e38"
_REAL = tuple(map(float, _REAL_WORDS.split()))


@dataclass(frozen=True)
class Field:
    """A header field set to `value`."""

    name: str
    value: float | int

    def __call__(self, data: bytes) -> bytes:
        offset, code = _FIELDS[self.name]
        value = struct.pack(f"<{code}", self.value % 256 if code == "B" else self.value)
        return data[:offset] + value + data[offset + len(value) :]


def fields() -> st.SearchStrategy[Field]:
    """One hostile field."""
    return st.sampled_from(sorted(_FIELDS)).flatmap(
        lambda name: st.builds(Field, st.just(name), st.sampled_from(_REAL if _FIELDS[name][1] == "f" else _WHOLE))
    )


def huge_dimensions() -> st.SearchStrategy[list[Field]]:
    """Gigabytes announced by a small file."""
    axes = [f"dim[{axis}]" for axis in (1, 2, 3)]
    return st.lists(st.sampled_from((1, 91, 2000, 32767)), min_size=3, max_size=3).map(
        lambda sizes: [Field(axis, size) for axis, size in zip(axes, sizes, strict=True)]
    )


def valid_header() -> bytes:
    """Of an int16 volume on the MNI grid, words about a patient in every text field; little endian."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(MNI_SHAPE)
    header.set_sform(mni_affine(), code=4)
    header.set_qform(mni_affine(), code=4)
    header.set_xyzt_units("mm")
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        header[name] = MARKER.encode()
    header["magic"], header["vox_offset"] = b"n+1", HEADER_BYTES
    return bytes(header.binaryblock) + bytes(4)


def zipped(header: bytes, packed_voxels: bytes) -> bytes:
    """A .nii.gz of two members, so that the voxels need not be packed anew for each header."""
    return gzip.compress(header, 1) + packed_voxels


def gzip_bomb(header: bytes, unpacked_bytes: int) -> bytes:
    """A valid header, then zeros."""
    block = 16 * 2**20
    return gzip.compress(header) + gzip.compress(bytes(block)) * (unpacked_bytes // block)
