"""Read tables that others wrote as text: CSV or TSV of any encoding and delimiter."""

import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from datspect.errors import ImportingError
from datspect.io.other_files import kind_by_content, table_problem

MAX_TABLE_BYTES = 64 << 20
"""No table of images is larger: the rows of all images of a large study have less than 20 MB."""
DELIMITERS = (",", ";", "\t")

log = logging.getLogger(__name__)

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of spreadsheet programs begin, new and old."""
_HEAD_BYTES = 512
_SHOWN_ROWS = 10
_HEADER_CHARACTERS = 1 << 16


def read_delimited(path: Path, called: str = "the table") -> pd.DataFrame:
    """Read a table as text, fields stripped; the index `row` is the line in which a row begins, counted from 1.

    The header tells the delimiter (comma, semicolon or tab). The encoding is UTF-8, or UTF-16 with its mark, or, with a
    warning, Windows-1252. Empty lines, empty columns without a name and repeated headers (of joined exports) are left
    out. Messages name rows and columns by number and the table as `called`, and never quote a cell.

    Raises
    ------
    ImportingError : the file is missing, too large, not text, without a header, or has rows of another length.
    """
    numbered = _records(_read_text(path, called), called)
    _, header = next(numbered, (0, [""]))
    if not any(header):
        raise ImportingError(f"{called}: it is empty; expected a header and a row for each image")
    rows = [(number, fields) for number, fields in numbered if fields != header]
    width = max(column for column, name in enumerate(header, start=1) if name)
    ragged = [number for number, fields in rows if len(fields) < width or any(fields[width:])]
    if ragged:
        raise ImportingError(f"{called}: expected {width} fields as in the header, other numbers in {row_list(ragged)}")
    index = pd.Index([number for number, _ in rows], name="row", dtype="int64")
    table = pd.DataFrame([fields[:width] for _, fields in rows], index=index, columns=range(width), dtype="str")
    return _named(table, header[:width], called)


def row_list(rows: Sequence[int]) -> str:
    """Return row numbers for a message, the first few of many.

    >>> row_list([5, 3])
    'rows 3, 5'
    """
    shown = ", ".join(str(row) for row in sorted(rows)[:_SHOWN_ROWS])
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"


def _read_text(path: Path, called: str) -> str:
    if path.exists() and not path.is_file():
        raise ImportingError(f"{called}: no plain file; a table is a file, no folder, pipe or device")
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise ImportingError(f"{called}: {table_problem(path, error)}") from None
    if len(content) > MAX_TABLE_BYTES:
        raise ImportingError(f"{called}: more than {MAX_TABLE_BYTES:,} bytes; expected a table of images")
    if content.startswith(_WORKBOOKS):
        raise ImportingError(f"{called}: a zip or a workbook; unpack it, or save the sheet as CSV")
    if content and (kind := kind_by_content(content[:_HEAD_BYTES])):
        raise ImportingError(f"{called}: no table but {kind}")
    text = _decoded(content, called)
    if "\0" in text:
        raise ImportingError(f"{called}: NUL characters: it is no text, or UTF-16 without its mark; save it as UTF-8")
    return text


def _decoded(content: bytes, called: str) -> str:
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    try:
        return content.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        if marked:
            raise ImportingError(f"{called}: marked as {marked} but spoilt; save it anew as UTF-8") from None
        line = content.count(b"\n", 0, error.start) + 1
    log.warning("%s: line %d is not UTF-8; the whole table is read as Windows-1252", called, line)
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _records(text: str, called: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped fields of every record that is not empty."""
    delimiter, skipped = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    begins = 1
    try:
        for record in reader:
            fields = [field.strip() for field in record]
            if begins > skipped and any(fields):
                yield begins, fields
            begins = reader.line_num + 1
    except csv.Error:
        raise ImportingError(f"{called}: row {begins} cannot be read; see whether its quotes are closed") from None


def _delimiter(text: str) -> tuple[str, int]:
    """Return the delimiter and the number of lines before the header: spreadsheets may write "sep=;" there."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")[:_HEADER_CHARACTERS]
    declared = re.fullmatch(r'"?sep=([,;\t])"?\s*', header)
    if declared:
        return declared[1], 1
    readers = {delimiter: csv.reader([header], delimiter=delimiter, skipinitialspace=True) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: len(next(readers[delimiter], []))), 0


def _named(table: pd.DataFrame, header: list[str], called: str) -> pd.DataFrame:
    unnamed = [column for column, name in enumerate(header) if not name]
    filled = [column + 1 for column in unnamed if (table[column] != "").any()]
    if filled:
        raise ImportingError(f"{called}: column(s) without a name: {', '.join(map(str, filled))}; name them in row 1")
    repeated = [column + 1 for column, name in enumerate(header) if name and name in header[:column]]
    if repeated:
        raise ImportingError(f"{called}: column(s) named as one before: {', '.join(map(str, repeated))}; rename them")
    return table.drop(columns=unnamed).rename(columns=dict(enumerate(header)))
