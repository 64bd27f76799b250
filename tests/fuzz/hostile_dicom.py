"""DICOM files that mean harm: fields with impossible values, sequences without end, streams that unpack to gigabytes.

Elements are spliced in as bytes (explicit VR, little endian), since a DICOM library would refuse to write them.
"""

import struct
import zlib
from dataclasses import dataclass

from hypothesis import strategies as st
from tests.fuzz.mutations import EXTREMES, MARKER

Tag = tuple[int, int]

PIXEL_DATA: Tag = (0x7FE0, 0x0010)
_LONG_VRS = ("OB", "OW", "OF", "OD", "OL", "SQ", "UN", "UT", "UC", "UR", "SV", "UV")
_VRS = (*_LONG_VRS, "US", "CS", "DS", "IS", "UI", "UL", "LO", "PN", "SH", "DA", "TM", "SS")
_HEAD_BYTES = 2**14
"""What comes before the pixels of a good file is shorter; the pixels need not be searched."""
UNDEFINED = 0xFFFFFFFF

# Written as words with spaces between, then as tuples.
_WHOLE_WORDS = r"0 -1 1 60 90 92 480 2147483647 1.5 abc nan 91\91"
_REAL_WORDS = r"0 -2 2 nan inf -inf 1e308 1e-308 abc 2\2 2\nan 2\2\2"
_THREE = r"0\0\0 nan\0\0 1e308\-1e308\0 1\2"
_SIX = r"1\0\0\0\1\0 1\0\0\1\0\0 0\1\0\0\0\-1 0\0\0\0\0\0 nan\0\0\0\1\0 0.7\0.7\0\0.7\-0.7\0"
_CODE_WORDS = r"PT NM CT RGB MONOCHROME1 nonsense ORIGINAL\PRIMARY\TOMO\EMISSION"
_SYNTAX_ENDS = " .1 .1.99 .2 .5 .4.50 .4.70 .4.90"

_WHOLE = (*_WHOLE_WORDS.split(), "", " ", "9" * 30, MARKER)
_REAL = (*_REAL_WORDS.split(), "", "9" * 400, MARKER)
_VECTORS = (*_THREE.split(), *_SIX.split(), "", "\\" * 5, MARKER)
_CODES = (*_CODE_WORDS.split(), "", "PALETTE COLOR", "ISO 2022 IR 87", MARKER)
_SYNTAXES = (*(f"1.2.840.10008.1.2{end}" for end in _SYNTAX_ENDS.split(" ")), "1.2.3", "", MARKER)

FIELDS: dict[Tag, tuple[str, tuple[str, ...]]] = {
    (0x0002, 0x0002): ("UI", ("1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.128", "1.2.3", "", MARKER)),
    (0x0002, 0x0010): ("UI", _SYNTAXES),
    (0x0008, 0x0005): ("CS", _CODES),
    (0x0008, 0x0008): ("CS", _CODES),
    (0x0008, 0x0016): ("UI", ("1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.2", "", MARKER)),
    (0x0008, 0x0060): ("CS", _CODES),
    (0x0018, 0x0050): ("DS", _REAL),
    (0x0018, 0x0088): ("DS", _REAL),
    (0x0018, 0x5100): ("CS", ("HFS", "FFP", "HFDR", "", MARKER)),
    (0x0020, 0x0032): ("DS", _VECTORS),
    (0x0020, 0x0037): ("DS", _VECTORS),
    (0x0028, 0x0004): ("CS", _CODES),
    (0x0028, 0x0008): ("IS", _WHOLE),
    (0x0028, 0x0030): ("DS", _REAL),
    (0x0028, 0x1052): ("DS", _REAL),
    (0x0028, 0x1053): ("DS", _REAL),
}
"""Fields that are text, with what they are set to."""
_NUMBER_ELEMENTS = (0x02, 0x06, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103)
NUMBER_FIELDS: tuple[Tag, ...] = tuple((0x0028, element) for element in _NUMBER_ELEMENTS)
"""Fields of 16 bits: samples, planes, rows, columns, bits and sign."""


@dataclass(frozen=True)
class Splice:
    """An element to put in the place of the one with its tag, or before the pixels; `length` may lie."""

    tag: Tag
    vr: str
    value: bytes
    length: int | None = None

    def __call__(self, data: bytes) -> bytes:
        start, end = _place(data, self.tag)
        return data[:start] + element(self.tag, self.vr, self.value, self.length) + data[end:]

    def __repr__(self) -> str:
        value = self.value if len(self.value) < 60 else f"{len(self.value)} bytes"
        return f"({self.tag[0]:04x},{self.tag[1]:04x}) {self.vr} {value!r} length {self.length}"


def splices() -> st.SearchStrategy[Splice]:
    """One hostile element."""
    text = st.sampled_from(
        [Splice(tag, vr, _padded(value)) for tag, (vr, values) in FIELDS.items() for value in values]
    )
    sizes = st.sampled_from((0, 1, 2, 8, 12, 16, 32, 64, 90, 92, 108, 110, 128, 32767, 65535))
    number = st.builds(Splice, st.sampled_from(NUMBER_FIELDS), st.just("US"), sizes.map(lambda n: struct.pack("<H", n)))
    lengths = st.builds(
        lambda tag, length: Splice(tag, "OW" if tag == PIXEL_DATA else "UN", b"\0" * 64, length),
        st.sampled_from((PIXEL_DATA, (0x0009, 0x1001), (0x0028, 0x0010), (0x0028, 0x0008))),
        st.sampled_from(EXTREMES),
    )
    wrong_size = st.builds(
        lambda tag, value: Splice(tag, "US", value), st.sampled_from(NUMBER_FIELDS), st.binary(max_size=6)
    )
    return st.one_of(text, number, lengths, wrong_size, sequences())


def sequences() -> st.SearchStrategy[Splice]:
    """Sequences of undefined length, to any depth, closed or not; also where detectors and their places are kept."""
    tags = st.sampled_from(
        ((0x0008, 0x1140), (0x0054, 0x0022), (0x0054, 0x0016), (0x5200, 0x9229), (0x5200, 0x9230), (0x0009, 0x1010))
    )
    fields = (
        ((0x0020, 0x0037), "DS", _SIX.split()[-1]),
        ((0x0010, 0x0010), "PN", MARKER),
        ((0x0020, 0x0037), "DS", MARKER),
    )
    leaf = st.sampled_from((b"", *(element(tag, vr, _padded(value)) for tag, vr, value in fields)))
    depths = st.integers(1, 4) | st.sampled_from((100, 1000, 20_000))
    return st.builds(
        lambda tag, depth, leaf, closed: Splice(tag, "SQ", nested_items(tag, depth, leaf, closed=closed), UNDEFINED),
        tags, depths, leaf, st.booleans(),
    )  # fmt: skip


def nested_items(tag: Tag, depth: int, leaf: bytes, *, closed: bool) -> bytes:
    """What follows the header of a sequence: items that hold sequences that hold items, `depth` of them."""
    opened = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    inner = struct.pack("<HH2sHI", *tag, b"SQ", 0, UNDEFINED) + opened
    return opened + inner * (depth - 1) + leaf + (closing * depth if closed else b"")


def element(tag: Tag, vr: str, value: bytes, length: int | None = None) -> bytes:
    """An element as explicit VR, little endian."""
    length = len(value) if length is None else length
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHI", *tag, vr.encode(), 0, length) + value
    return struct.pack("<HH2sH", *tag, vr.encode(), length % 65536) + value


def deflated_bomb(valid: bytes, unpacked_bytes: int) -> bytes:
    """`valid` with a deflated data set that unpacks to `unpacked_bytes` of zeros."""
    start, _ = _place(valid, (0x0002, 0x0010))
    header = valid[:start] + element((0x0002, 0x0010), "UI", _padded("1.2.840.10008.1.2.1.99"))
    header = header[:140] + struct.pack("<I", len(header) - 144) + header[144:]  # the group length
    block = 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block stands alone, so that it can be repeated.
    return header + first * (unpacked_bytes // block) + packer.flush()


def _place(data: bytes, tag: Tag) -> tuple[int, int]:
    """Where the element with `tag` lies; where it is not, an empty place before the pixels."""
    vrs, until = (_VRS, _HEAD_BYTES) if tag != PIXEL_DATA else (("OW", "OB"), len(data))
    for vr in vrs:
        start = data.find(struct.pack("<HH2s", *tag, vr.encode()), 128, until)
        if start >= 0:
            return start, _end(data, start, vr)
    if tag == PIXEL_DATA:
        return len(data), len(data)
    start, _ = _place(data, PIXEL_DATA)
    return start, start


def _end(data: bytes, start: int, vr: str) -> int:
    try:
        if vr not in _LONG_VRS:
            return start + 8 + int(struct.unpack_from("<H", data, start + 6)[0])
        length = int(struct.unpack_from("<I", data, start + 8)[0])
    except struct.error:  # cut off by an earlier damage
        return len(data)
    return len(data) if length == UNDEFINED else start + 12 + length


def _padded(text: str) -> bytes:
    return text.encode() + b" " * (len(text) % 2)
