"""Zips that mean harm: members that lead out of the folder, links, bombs, lies about lengths."""

import io
import stat
import struct
import warnings
import zipfile
from dataclasses import dataclass

from hypothesis import strategies as st
from tests.fuzz.mutations import EXTREMES, MARKER

_OUTWARD = r"../a.dcm PPMI/../../a.dcm /etc/a.dcm C:/a.dcm C:\a.dcm ..\..\a.dcm //host/share/a.dcm . .."
_INWARD = "PPMI/1/a.dcm PPMI/1/a.dcm PPMI/1/./a.dcm PPMI//a.dcm a.dcm/ inner.zip __MACOSX/._a.dcm é/ü.dcm"
_ODD = ("", "a\x00.dcm", "a\n.dcm", "x" * 5000, "d/" * 3000 + "a.dcm", f"{MARKER}/../{MARKER}.dcm", f"{MARKER}.dcm")
_NAMES = (*_OUTWARD.split(), *_INWARD.split(), *_ODD)
_CENTRAL, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
# Offset and width of a field within its record.
_RECORD_FIELDS = {
    _CENTRAL: ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4)),
    _LOCAL: ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    _END: ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}


@dataclass(frozen=True)
class Member:
    """A member to write; `linked`: as a symbolic link whose target is the content."""

    name: str
    content: bytes
    compression: int
    linked: bool


@dataclass(frozen=True)
class Lie:
    """A field of the `nth` record of a kind set to `value`."""

    record: bytes
    field: tuple[int, int]
    nth: int
    value: int

    def __call__(self, data: bytes) -> bytes:
        start = -1
        for _ in range(self.nth + 1):
            found = data.find(self.record, start + 1)
            start = found if found >= 0 else start
        offset, width = start + self.field[0], self.field[1]
        if start < 0 or offset + width > len(data):
            return data
        return data[:offset] + (self.value % 256**width).to_bytes(width, "little") + data[offset + width :]


def members(contents: tuple[bytes, ...]) -> st.SearchStrategy[Member]:
    """A member with a harmless or a harmful name."""
    compressions = st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    return st.builds(Member, st.sampled_from(_NAMES), st.sampled_from(contents), compressions, st.booleans())


def lies() -> st.SearchStrategy[Lie]:
    """One field that is not true."""
    return st.sampled_from(sorted(_RECORD_FIELDS)).flatmap(
        lambda record: st.builds(
            Lie, st.just(record), st.sampled_from(_RECORD_FIELDS[record]), st.integers(0, 3), st.sampled_from(EXTREMES)
        )
    )


def written(parts: list[Member]) -> bytes:
    """The zip of `parts`; names are written as they are."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # a name twice
        for part in parts:
            archive.writestr(_info(part), part.content)
    return buffer.getvalue()


def bomb(unpacked_bytes: int) -> bytes:
    """A member of zeros, said to be as long as it is."""
    return written([Member("PPMI/1/a.dcm", bytes(unpacked_bytes), zipfile.ZIP_DEFLATED, linked=False)])


def many_members(number: int) -> bytes:
    """As many empty members, all of them one local record."""
    local = written([Member("a.dcm", b"", zipfile.ZIP_STORED, linked=False)])
    start = local.find(_CENTRAL)
    central = local[start : local.find(_END)]
    directory = central * number
    end = struct.pack("<4s4H2IH", _END, 0, 0, min(number, 65535), min(number, 65535), len(directory), start, 0)
    return local[:start] + directory + end


def _info(part: Member) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("a")
    # Past the constructor, which would tidy the name up.
    info.filename = part.name
    info.compress_type = part.compression
    info.external_attr = (stat.S_IFLNK | 0o777 if part.linked else stat.S_IFREG | 0o644) << 16
    return info
