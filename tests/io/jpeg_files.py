"""Write JPEG Lossless streams with every predictor, and hold some that another encoder wrote."""

import base64
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.integer]

_N_OF_LENGTH = (0, 1, 5, *[1] * 11, 0, 0)
"""A Huffman code for 17 categories: one of two bits, five of three, then one each of 4 to 14."""

_ROW, _COLUMN = np.mgrid[:16, :17]
OF_LIBJPEG = ((_ROW - 8) ** 2 * 300 + _ROW * _COLUMN * 97 % 211).astype(np.uint16)
"""What libjpeg-turbo 3.1.3 packed into the streams of `of_libjpeg`."""


def of_libjpeg(predictor: int) -> bytes:
    """A stream of another encoder."""
    lines = Path(__file__).with_name("libjpeg_turbo.txt").read_text("ascii").splitlines()
    return base64.b64decode(lines[predictor - 1])


def encoded(
    frame: Pixels, *, predictor: int = 1, precision: int = 16, point_transform: int = 0, rows_between: int = 0
) -> bytes:
    """Return a frame of unsigned numbers, shape (row, column), as T.81 says; with restarts if `rows_between` is set."""
    rows, columns = frame.shape
    code = bytes([0, *_N_OF_LENGTH, *range(17)])
    parts = [
        b"\xff\xd8",
        _marker(0xE0, b"JFIF\0" + bytes(9)),
        _marker(0xC3, struct.pack(">BHHB3B", precision, rows, columns, 1, 1, 0x11, 0)),
        _marker(0xC4, code),
        _marker(0xDD, struct.pack(">H", rows_between * columns)) if rows_between else b"",
        _marker(0xDA, bytes([1, 1, 0, predictor, 0, point_transform])),
    ]
    start = 1 << (precision - point_transform - 1)
    step = rows_between or rows
    shifted = frame.astype(np.int64) >> point_transform
    for number, first in enumerate(range(0, rows, step)):
        parts += [bytes([0xFF, 0xD0 + (number - 1) % 8])] if number else []
        parts.append(_packed(_differences(shifted[first : first + step], predictor, start)))
    return b"".join([*parts, b"\xff\xd9"])


def _marker(code: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + content


def _differences(pixels: Pixels, predictor: int, start: int) -> Pixels:
    """Differences modulo 65536, from -32767 to 32768 (table H.1 of T.81)."""
    padded = np.pad(pixels, ((1, 0), (1, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    predicted = [
        left, above, corner, left + above - corner, left + ((above - corner) >> 1), above + ((left - corner) >> 1),
        (left + above) >> 1,
    ][predictor - 1].copy()  # fmt: skip
    predicted[0], predicted[:, 0] = left[0], above[:, 0]
    predicted[0, 0] = start
    difference = (pixels - predicted) % 65536
    return np.where(difference > 32768, difference - 65536, difference)


def _packed(differences: Pixels) -> bytes:
    codes, code = [], 0
    for length, n in enumerate(_N_OF_LENGTH, start=1):
        for _ in range(n):
            codes.append(f"{code:0{length}b}")
            code += 1
        code <<= 1
    bits = []
    for value in differences.ravel().tolist():
        category = abs(value).bit_length()
        further = value if value > 0 else value + (1 << category) - 1
        bits.append(codes[category] + (f"{further:0{category}b}" if 0 < category < 16 else ""))
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
