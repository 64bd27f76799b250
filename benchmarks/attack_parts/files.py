"""Files that lie, and the requests that carry them."""

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from functools import cache

HEADER_BYTES = 352
MEGABYTE = 1 << 20

_OFFSETS = {
    "sizeof_hdr": (0, "<i"), "dim": (40, "<8h"), "datatype": (70, "<h"), "bitpix": (72, "<h"),
    "vox_offset": (108, "<f"), "scl_slope": (112, "<f"), "sform_code": (254, "<h"), "srow_x": (280, "<4f"),
    "magic": (344, "<4s"),
}  # fmt: skip
_GZIP = 16 + zlib.MAX_WBITS
_NAN, _INFINITE = float("nan"), float("inf")


@cache
def body(*contents: bytes, **more: object) -> bytes:
    """Return a request for these files."""
    records = [{"nifti": base64.b64encode(content).decode()} for content in contents]
    return json.dumps({"dataframe_records": records, **more}).encode()


def text_body(nifti: str, rest: str = "") -> bytes:
    """Return a request with `nifti` as it is for the text of base64, and `rest` behind it in the record."""
    return f'{{"dataframe_records": [{{"nifti": "{nifti}"{rest}}}]}}'.encode()


def with_field(scan: bytes, name: str, *values: float | bytes) -> bytes:
    """Return a NIfTI file with a header field changed."""
    offset, code = _OFFSETS[name]
    new = struct.pack(code, *values)
    return scan[:offset] + new + scan[offset + len(new) :]


def lying_headers(scan: bytes) -> Iterator[bytes]:
    """Yield `scan` with each lie that a header can tell about what follows."""
    for sizes in (
        (3, -91, 109, 91), (3, 32767, 32767, 32767), (3, 0, 0, 0), (4, 91, 109, 91, 100), (4, 91, 109, 91, 1),
        (7, 91, 109, 91, 1, 1, 1, 1), (7, 91, 109, 91, 9, 9, 9, 9), (-1, 91, 109, 91), (0, 91, 109, 91),
        (3, 91, 109, 90),
    ):  # fmt: skip
        yield with_field(scan, "dim", *sizes, *(1,) * (8 - len(sizes)))
    for affine in ((_NAN,) * 4, (_INFINITE, 0, 0, 0), (0, 0, 0, 0), (1e30, 0, 0, 0), (1e-30, 0, 0, 0)):
        yield with_field(scan, "srow_x", *affine)
    for offset in (-1, 0, 351, 1e9, 3e38, _NAN):
        yield with_field(scan, "vox_offset", offset)
    for slope in (_NAN, _INFINITE, 3e38, -1e38):
        yield with_field(scan, "scl_slope", slope)
    for kind in (0, 1, 128, 512, 1536, 2048, 2304, 32000):
        yield with_field(scan, "datatype", kind)
    yield with_field(scan, "magic", b"ni1\0")
    yield with_field(scan, "sizeof_hdr", 540)
    yield with_field(scan, "sform_code", 0)
    yield scan[:HEADER_BYTES]
    yield scan[:-1]


@cache
def bomb(scan: bytes, megabytes: int, levels: int = 1) -> bytes:
    """Return a .nii.gz that unpacks to a scan's header and `megabytes` of zeros; with 2 `levels` packed once more."""
    packer, zeros = zlib.compressobj(1, zlib.DEFLATED, _GZIP), bytes(MEGABYTE)
    pieces = [packer.compress(scan[:HEADER_BYTES]), *(packer.compress(zeros) for _ in range(megabytes)), packer.flush()]
    packed = b"".join(pieces)
    return packed if levels == 1 else gzip.compress(packed, 1)


@cache
def many_members(scan: bytes, n: int, megabytes: int = 0) -> bytes:
    """Return a .nii.gz of a scan's header and of `n` members behind it, each of `megabytes` of zeros."""
    return gzip.compress(scan[:HEADER_BYTES]) + gzip.compress(bytes(megabytes * MEGABYTE), 6) * n
