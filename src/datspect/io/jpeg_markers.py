"""Read the markers of a JPEG Lossless stream (ITU-T T.81, annex B): what a frame is, and how its pixels are packed."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datspect.errors import ScanError

LARGEST_CATEGORY = 16
"""Of a difference of 32768, which no further bits follow."""
END = 0xD9

_START, _SCAN, _LOSSLESS, _HUFFMAN, _RESTART = b"\xff\xd8", 0xDA, 0xC3, 0xC4, 0xDD
_LAST_CODE = 3
_PASSED_OVER = {0xFE, *range(0xE0, 0xF0)}  # comments and application data
_OTHER_PROCESSES = set(range(0xC0, 0xD0)) - {_LOSSLESS, _HUFFMAN, 0xC8, 0xCC}


@dataclass(frozen=True)
class HuffmanCode:
    """A Huffman code by the next 16 bits of a stream: bits of the code, the category, and bits until the next code."""

    lengths: NDArray[np.uint8]
    categories: NDArray[np.uint8]
    steps: NDArray[np.uint8]


@dataclass(frozen=True)
class ScanHead:
    """What the markers before the packed differences say, and where these begin."""

    shape: tuple[int, int]
    precision: int
    point_transform: int
    predictor: int
    code: HuffmanCode
    rows_between_restarts: int
    place: int


@dataclass
class _Said:
    """What the markers have said so far: precision, rows, columns and components; codes; pixels between restarts."""

    frame: tuple[int, ...] = ()
    codes: dict[int, HuffmanCode] = field(default_factory=dict)
    interval: int = 0

    def take(self, marker: int, segment: bytes) -> None:
        """Note what one marker holds."""
        if marker == _LOSSLESS:
            self.frame = struct.unpack(">BHHB", segment[:6])
        elif marker == _HUFFMAN:
            self.codes = _with_codes(self.codes, segment)
        elif marker == _RESTART:
            (self.interval,) = struct.unpack(">H", segment)
        elif marker in _OTHER_PROCESSES:
            raise ScanError("a stream is JPEG of another kind than JPEG Lossless, which its header names; convert it")
        elif marker not in _PASSED_OVER:
            raise spoilt(f"a segment of kind {marker:02X} stands before its pixels")


def spoilt(what: str) -> ScanError:
    """Return the error for a stream that cannot be trusted."""
    return ScanError(f"a JPEG stream is cut short or spoilt: {what}; download or export the scan anew")


def read_scan_head(stream: bytes) -> ScanHead:
    """Read the markers up to the start of the packed differences.

    Raises
    ------
    ScanError : they are cut short, spoilt, or of another kind of JPEG.
    """
    if not stream.startswith(_START):
        raise spoilt("it does not begin as JPEG")
    said, place = _Said(), len(_START)
    try:
        while True:
            marker, segment, place = _segment(stream, place)
            if marker == _SCAN:
                return _checked(said, segment, place)
            said.take(marker, segment)
    except (struct.error, IndexError):
        raise spoilt("it ends before its pixels") from None


def _segment(stream: bytes, place: int) -> tuple[int, bytes, int]:
    """Return the marker at `place`, what it holds, and the place after it."""
    if stream[place] != 0xFF:
        raise spoilt("no segment begins where one must")
    while stream[place] == 0xFF:
        place += 1
    (length,) = struct.unpack_from(">H", stream, place + 1)
    end = place + 1 + length
    if length < 2 or end > len(stream):
        raise spoilt("a segment has a wrong length")
    return stream[place], stream[place + 3 : end], end


def _with_codes(before: dict[int, HuffmanCode], segment: bytes) -> dict[int, HuffmanCode]:
    """Return Huffman codes by their number; a hostile stream could hold thousands, which take time."""
    codes = dict(before)
    while segment:
        n_of_length = segment[1:17]
        values, rest = segment[17 : 17 + sum(n_of_length)], segment[17 + sum(n_of_length) :]
        if len(values) != sum(n_of_length):
            raise spoilt("a Huffman code is cut short")
        if segment[0] in codes or segment[0] > _LAST_CODE:
            raise spoilt("it holds more Huffman codes than JPEG Lossless has")
        codes[segment[0]] = _code(n_of_length, values)
        segment = rest
    return codes


def _code(n_of_length: bytes, values: bytes) -> HuffmanCode:
    if not 0 < len(values) <= LARGEST_CATEGORY + 1 or max(values) > LARGEST_CATEGORY:
        raise spoilt("a Huffman code has categories that JPEG Lossless does not have")
    lengths, categories = np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, np.uint8)
    start, each = 0, iter(values)
    for length, n in enumerate(n_of_length, start=1):
        for _ in range(n):
            end = start + (1 << (16 - length))
            if end > 1 << 16:
                raise spoilt("a Huffman code is none")
            lengths[start:end], categories[start:end] = length, next(each)
            start = end
    return HuffmanCode(
        lengths, categories, lengths + np.where(categories == LARGEST_CATEGORY, 0, categories).astype(np.uint8)
    )


def _checked(said: _Said, segment: bytes, place: int) -> ScanHead:
    """Return what the markers say, once it fits together."""
    n_components, _, table, predictor, _, transform = struct.unpack(">6B", segment)
    if not said.frame:
        raise spoilt("its size is not told")
    precision, rows, columns, n_declared = said.frame
    point_transform = transform & 15
    if n_components != 1 or n_declared != 1:
        raise ScanError("a JPEG stream holds a colour image, and not a scan; export the scan anew")
    if not 2 <= precision <= 16 or point_transform >= precision or not 1 <= predictor <= 7:
        raise spoilt(f"{precision} bits, predictor {predictor} and point transform {point_transform} do not exist")
    if table >> 4 not in said.codes:
        raise spoilt("it names a Huffman code that it does not hold")
    if not columns or said.interval % columns:
        raise spoilt("it restarts within a row")
    between = said.interval // columns or max(rows, 1)
    return ScanHead((rows, columns), precision, point_transform, predictor, said.codes[table >> 4], between, place)
