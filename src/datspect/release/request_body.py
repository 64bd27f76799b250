"""What a request for answers looks like, told while its body comes in and before anything parses it.

Scans are strings of base64: little of a request lies outside strings, and nothing of it is nested deeply.
"""

import base64
import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_SCANS = 64
"""How many scans one request may hold."""
MAX_BODY_BYTES = 320 << 20
"""64 scans of 32-bit numbers that are not packed, in base64."""
MAX_FILE_BYTES = 32 << 20
"""How large one sent file may be; a scan in MNI space has 1.8 MB unpacked, most native ones less than 16."""
MAX_PLAIN_BYTES = 64 << 10
"""Outside strings; 64 records need 3 kB."""
MAX_DEPTH = 8
MAX_ESCAPES = 10_000
MAX_NUMBER = 40
"""Characters of a number or a word."""
MAX_ID = 200
"""Characters of a `scan_id`."""

_MAX_STRING = -(-MAX_FILE_BYTES // 3) * 4  # in base64
_KEPT = 16 * MAX_ID  # of a string; no scan_id that may pass is longer, however it is escaped
_BEGINNINGS = (b"\x1f\x8b", b"\x5c\x01", b"\0\0\x01", b"\x1c\x02", b"\0\0\x02")
"""Of gzip, and of NIfTI 1 and 2, which begin with the size of their header, 348 or 540, in either order of bytes."""
_BEGUN = 4
"""Characters of a long string that stay, if none of them is an escape."""
_LONG = b"A" * (MAX_ID + 1)


class RefusedError(Exception):
    """A request is refused with an HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class BodyReader:
    """Reads a JSON text piece by piece and refuses it as soon as it cannot be a request for answers.

    `outline` is the text with a short word in place of every long string, so that nobody need parse hundreds of
    megabytes to look at its form.
    """

    outline: bytearray = field(default_factory=bytearray)

    _decoder: Any = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")())
    _in_string: bool = False
    _escaped: bool = False
    _depth: int = 0
    _n_plain: int = 0
    _n_escapes: int = 0
    _word: int = 0
    _n_string: int = 0
    _string_start: int = 0

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        """Look at the next piece.

        Raises
        ------
        RefusedError : it is no text, or holds what no request needs.
        """
        try:
            self._decoder.decode(piece, last)
        except UnicodeDecodeError:
            raise RefusedError(400, "the body is not UTF-8") from None
        place = 0
        while place < len(piece):
            place = self._through_string(piece, place) if self._in_string else self._through_plain(piece, place)

    def _through_string(self, piece: bytes, place: int) -> int:
        if self._escaped:
            self._escaped = False
            return self._within(piece, place, place + 1)
        quote, escape = piece.find(b'"', place), piece.find(b"\\", place)
        if escape != -1 and (quote == -1 or escape < quote):
            self._n_escapes += 1
            if self._n_escapes > MAX_ESCAPES:
                raise RefusedError(400, "the body is full of escapes; send base64 as it is")
            self._escaped = True
            return self._within(piece, place, escape + 1)
        end = self._within(piece, place, len(piece) if quote == -1 else quote)
        if quote != -1:
            self._end_string()
        return end + (quote != -1)

    def _within(self, piece: bytes, start: int, end: int) -> int:
        """Note what of a string lies between two places, and return the second."""
        self.outline += piece[start : min(end, start + max(0, _KEPT - self._n_string))]
        self._n_string += end - start
        if self._n_string > _MAX_STRING:
            raise RefusedError(413, f"a file of more than {MAX_FILE_BYTES >> 20} MB")
        return end

    def _end_string(self) -> None:
        if self._n_string > _KEPT:  # what is kept may end amid an escape
            if b"\\" in self.outline[self._string_start : self._string_start + _BEGUN]:
                raise RefusedError(400, "a long string begins with an escape; send base64 as it is")
            self.outline[self._string_start + _BEGUN :] = _LONG
        self.outline += b'"'
        self._in_string, self._n_string = False, 0

    def _through_plain(self, piece: bytes, place: int) -> int:
        quote = piece.find(b'"', place)
        end = len(piece) if quote == -1 else quote
        self._n_plain += end - place
        if self._n_plain > MAX_PLAIN_BYTES:
            raise RefusedError(400, "the body is not scans as strings of base64: too much of it is outside strings")
        for character in piece[place:end]:
            self._step(character)
        self.outline += piece[place : end + (quote != -1)]
        if quote != -1:
            self._in_string, self._word, self._string_start = True, 0, len(self.outline)
        return end + (quote != -1)

    def _step(self, character: int) -> None:
        if character in b"[{":
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise RefusedError(400, f"the body is nested more than {MAX_DEPTH} deep")
        elif character in b"]}":
            self._depth -= 1
        self._word = 0 if character in b"[]{},: \t\r\n" else self._word + 1
        if self._word > MAX_NUMBER:
            raise RefusedError(400, f"the body holds a number or a word of more than {MAX_NUMBER} characters")


def check_request(outline: bytes | bytearray) -> int:
    """Return how many scans the outline of a JSON text holds, if it holds them as MLflow takes them.

    Raises
    ------
    RefusedError : it is no JSON, or not of the form that docs/serving.md shows.
    """
    try:
        asked = json.loads(outline)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is no JSON") from None
    if not isinstance(asked, dict) or not {"dataframe_records", "dataframe_split"} & set(asked):
        raise RefusedError(400, 'expected {"dataframe_records": [{"nifti": "..."}, ...]}')
    if set(asked) - {"dataframe_records", "dataframe_split", "params"} or len(set(asked) - {"params"}) != 1:
        raise RefusedError(400, "expected dataframe_records or dataframe_split, and params beside it, nothing else")
    params = asked.get("params", {})
    if not isinstance(params, dict) or not all(isinstance(value, int | float) for value in params.values()):
        raise RefusedError(400, 'params must be {"prevalence": a number}')
    records = _records(asked)
    for place, record in enumerate(records, start=1):
        _check_record(record, place)
    return len(records)


def _records(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "dataframe_records" in asked:
        records = asked["dataframe_records"]
    else:
        split = asked["dataframe_split"]
        if not isinstance(split, dict) or not {"columns", "data"} <= set(split):
            raise RefusedError(400, 'dataframe_split must be {"columns": [...], "data": [[...], ...]}')
        columns, rows = split["columns"], split["data"]
        if not _is_list_of(columns, str) or not _is_list_of(rows, list):
            raise RefusedError(400, "dataframe_split: columns must be names, data a list of rows")
        if any(len(row) != len(columns) for row in rows):
            raise RefusedError(400, "dataframe_split: a row has another number of values than there are columns")
        records = [dict(zip(columns, row, strict=True)) for row in rows]
    if not _is_list_of(records, dict) or not records:
        raise RefusedError(400, "expected a list of records, one a scan")
    if len(records) > MAX_SCANS:
        raise RefusedError(400, f"{len(records)} scans in one request; send at most {MAX_SCANS}")
    return list(records)


def _check_record(record: Mapping[str, Any], place: int) -> None:
    if set(record) - {"nifti", "scan_id"} or not isinstance(record.get("nifti"), str):
        raise RefusedError(400, f"scan number {place}: expected nifti, a string of base64, and scan_id if you like")
    name = record.get("scan_id", "")
    if not isinstance(name, str) or len(name) > MAX_ID:
        raise RefusedError(400, f"scan number {place}: scan_id must be a string of at most {MAX_ID} characters")
    if not _begins_like_a_scan(record["nifti"]):
        raise RefusedError(400, f"scan {name or f'number {place}'}: not a NIfTI file (.nii or .nii.gz) in base64")


def _begins_like_a_scan(text: str) -> bool:
    """Tell whether base64 begins as a NIfTI file does, packed or not.

    >>> _begins_like_a_scan("H4sIAAAA"), _begins_like_a_scan("XAEAAAAA"), _begins_like_a_scan("bm8gc2Nhbg==")
    (True, True, False)
    """
    try:
        return base64.b64decode(text[:_BEGUN], validate=True).startswith(_BEGINNINGS)
    except ValueError:
        return False


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)
