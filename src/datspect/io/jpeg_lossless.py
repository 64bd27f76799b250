"""Decode JPEG Lossless (ITU-T T.81, process 14) as DICOM holds it: one grey component of 2 to 16 bits.

The libraries that decode it end the process at a spoilt stream, or return a picture and only warn. Here a stream is
refused whose bits are not all accounted for, and nothing but Python and NumPy sees them.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.errors import ScanError
from datspect.io.jpeg_markers import END, LARGEST_CATEGORY, HuffmanCode, ScanHead, read_scan_head, spoilt

FEWEST_PIXELS, MOST_PIXELS = 16, 1024
"""Of a side of a frame. Cameras write 64 to 512, and a hostile file could hold millions of tiny frames."""

_SCAN_END = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_RESTARTS = re.compile(rb"\xff+([\xd0-\xd7])")

_Whole = NDArray[np.int64]


def decoded(stream: bytes, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Return one frame, `shape` (row, column), as unsigned words.

    Raises
    ------
    ScanError : the stream is cut short, spoilt, or not a frame of that shape.
    """
    if not all(FEWEST_PIXELS <= side <= MOST_PIXELS for side in shape):
        raise ScanError(f"frames in JPEG are read from {FEWEST_PIXELS} to {MOST_PIXELS} pixels a side, not {shape}")
    scan = read_scan_head(stream)
    if scan.shape != shape:
        raise spoilt(f"it holds {scan.shape[0]} x {scan.shape[1]} pixels where {shape[0]} x {shape[1]} are declared")
    differences = _differences(_pieces(stream, scan), scan)
    bits = scan.precision - scan.point_transform
    rows = scan.rows_between_restarts
    parts = [differences[start : start + rows] for start in range(0, shape[0], rows)]
    frame = np.concatenate([_added_up(part, scan.predictor, 1 << (bits - 1)) for part in parts])
    if frame.max() >= 1 << bits:
        raise spoilt(f"it holds values of more than {bits} bits")
    return (frame << scan.point_transform).astype(np.uint16)


def _pieces(stream: bytes, scan: ScanHead) -> list[bytes]:
    """Return the packed bits between restarts, without the zeros that are put after each byte 255."""
    found = _SCAN_END.search(stream, scan.place)
    if found is None or found.group(1)[0] != END:
        raise spoilt("its end is missing")
    packed = stream[scan.place : found.start()]
    order = b"".join(_RESTARTS.findall(packed))
    n_restarts = math.ceil(scan.shape[0] / scan.rows_between_restarts) - 1
    if order != bytes(0xD0 + number % 8 for number in range(n_restarts)):
        raise spoilt("parts of it are missing or out of order")
    return [piece.replace(b"\xff\x00", b"\xff") for piece in _RESTARTS.split(packed)[::2]]


def _differences(pieces: list[bytes], scan: ScanHead) -> _Whole:
    """Return the difference of each pixel from what is predicted, shape (row, column)."""
    rows, columns = scan.shape
    packed = b"".join(pieces)
    if len(packed) > 4 * rows * columns + len(pieces):  # 32 bits are the most for a pixel
        raise spoilt("it holds more than its pixels")
    windows = _windows(packed)
    steps = _steps(windows, scan.code)
    at: list[int] = []
    start = 0
    for number, piece in enumerate(pieces):
        n_rows = min(scan.rows_between_restarts, rows - number * scan.rows_between_restarts)
        at += _starts(steps, start, start + 8 * len(piece), n_rows * columns)
        start += 8 * len(piece)
    return _values(windows, np.array(at, np.int64), scan.code).reshape(rows, columns)


def _windows(packed: bytes) -> NDArray[np.uint64]:
    """Return the 40 bits that begin at each byte; zeros follow the last."""
    padded = np.frombuffer(packed + bytes(4), np.uint8).astype(np.uint64)
    windows: NDArray[np.uint64] = sum(
        (padded[k : len(packed) + k] << np.uint64(32 - 8 * k) for k in range(5)), np.zeros(len(packed), np.uint64)
    )
    return windows


def _steps(windows: NDArray[np.uint64], code: HuffmanCode) -> bytes:
    """Return for each bit how many bits a pixel would have that began there; 0 where no code begins."""
    steps = np.empty((len(windows), 8), np.uint8)
    for offset in range(8):
        steps[:, offset] = code.steps[(windows >> np.uint64(24 - offset)) & np.uint64(0xFFFF)]
    return steps.tobytes()


def _starts(steps: bytes, place: int, end: int, n: int) -> Iterator[int]:
    """Yield the bits at which `n` pixels begin, from `place` to less than a byte before `end`."""
    for _ in range(n):
        if place >= end or not steps[place]:
            raise spoilt("its bits are no pixels, or fewer than declared")
        yield place
        place += steps[place]
    if not 0 <= end - place < 8:
        raise spoilt("its bits are more or fewer than its pixels")


def _values(windows: NDArray[np.uint64], at: _Whole, code: HuffmanCode) -> _Whole:
    """Return the differences that begin at bits `at`: a code for the category, then as many further bits."""
    bits = (windows[at >> 3] >> (8 - (at & 7)).astype(np.uint64)).astype(np.int64) & 0xFFFFFFFF
    lengths = code.lengths[bits >> 16].astype(np.int64)
    category = code.categories[bits >> 16].astype(np.int64)
    further = ((bits << lengths) & 0xFFFFFFFF) >> (32 - category)
    signed = np.where(further < (1 << category) >> 1, further - (1 << category) + 1, further)
    return np.where(category == LARGEST_CATEGORY, 1 << 15, signed)


_STEPWISE: dict[int, Callable[[Any, Any, Any], Any]] = {
    3: lambda _left, _above, corner: corner,
    5: lambda left, above, corner: left + ((above - corner) >> 1),
    6: lambda left, above, corner: above + ((left - corner) >> 1),
    7: lambda left, above, _corner: (left + above) >> 1,
}
"""Predictors that no sum replaces (T.81, table H.1)."""


def _added_up(differences: _Whole, predictor: int, start: int) -> _Whole:
    """Return the pixels of rows that depend on no others; the first is predicted as `start`."""
    first = start + np.cumsum(differences[0])
    edge = start + np.cumsum(differences[:, 0])
    if predictor == 1:
        frame = np.cumsum(np.column_stack([edge, differences[:, 1:]]), axis=1)
    elif predictor == 2:
        frame = np.cumsum(np.vstack([first, differences[1:]]), axis=0)
    elif predictor == 4:
        frame = start + differences.cumsum(axis=0).cumsum(axis=1)
    else:
        frame = _added_stepwise(first & 0xFFFF, differences, _STEPWISE[predictor])
    return np.asarray(frame & 0xFFFF, np.int64)


def _added_stepwise(first: _Whole, differences: _Whole, predict: Callable[[Any, Any, Any], Any]) -> _Whole:
    frame = [first.tolist()]
    for row in differences[1:].tolist():
        above = frame[-1]
        left = (above[0] + row[0]) & 0xFFFF
        pixels = [left]
        for column in range(1, len(row)):
            left = (predict(left, above[column], above[column - 1]) + row[column]) & 0xFFFF
            pixels.append(left)
        frame.append(pixels)
    return np.array(frame, np.int64)
