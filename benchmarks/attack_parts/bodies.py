"""Bodies that harm: JSON that is none or too much, and files that are no scans."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from attack_parts import files, wire
from attack_parts.files import MEGABYTE
from attack_parts.kind import ANSWERED, REFUSED, Kind, posted

_N_BOMBS = 8


def kinds() -> Iterator[Kind]:
    """Yield all kinds, in the order of the table."""
    yield from _of_json()
    yield from _of_files()


def prepare(scan: bytes) -> None:
    """Make what takes seconds to make, before the clock runs."""
    for made in (*(make(*sizes) for make, sizes in _all_bombs(scan)), *files.lying_headers(scan)):
        files.body(made)
    files.body(*[files.bomb(scan, 1024)] * _N_BOMBS)
    _many_files(), _large_file()


def _of_json() -> Iterator[Kind]:
    for depth in (1_000, 100_000):
        deep = b'{"dataframe_records": ' + b"[" * depth + b"]" * depth + b"}"
        yield posted(f"JSON nested {depth:,} deep", deep, b'{"a":' * depth + b"1" + b"}" * depth)
    yield posted(
        "an integer of 5,000 digits",
        *(b'{"dataframe_records": [{"nifti": %b}]}' % (sign + b"9" * 5000) for sign in (b"", b"-")),
    )
    yield Kind("1e999, NaN, Infinity and words as prevalence", _prevalences, REFUSED)
    yield posted("40 MB of small numbers", b'{"dataframe_records": [' + b"1," * (20 * MEGABYTE) + b"1]}")
    yield posted("40 MB of short strings", b'{"dataframe_records": [' + b'"a",' * (10 * MEGABYTE) + b'"a"]}')
    yield posted("40 MB that are no JSON", b"x" * (40 * MEGABYTE), files.text_body("H4sI" + "A\n" * (20 * MEGABYTE)))
    yield posted("40 MB of escapes", files.text_body('\\"' * (20 * MEGABYTE)))
    yield posted("a scan_id of 5 MB", files.text_body("", f', "scan_id": "{"x" * (5 * MEGABYTE)}"'))
    yield Kind("the same key twice", _twice, REFUSED | ANSWERED)
    yield posted(
        "invalid UTF-8", b'{"dataframe_records": [{"nifti": "\xff\xfe"}]}', b"\xc0\x80" * 1000, b"\xef\xbb\xbf{}"
    )
    yield posted("65 scans, none, other columns, other forms", *_other_forms())
    yield Kind("a body cut anywhere", _cut)


def _of_files() -> Iterator[Kind]:
    yield posted(
        "what is no base64", *(files.text_body(text) for text in ("%%%", "AAA", "A" * 4001, "\\u0000", "////" * 9))
    )
    yield Kind("a .gz cut anywhere", lambda port, scan, turn: [wire.post(port, files.body(_cut_gz(scan, turn)))])
    yield Kind("zip bombs, of 1 and 10 GB and twice packed", _bombs)
    yield Kind(
        "eight zip bombs in one request",
        lambda port, scan, _: [wire.post(port, files.body(*[files.bomb(scan, 1024)] * _N_BOMBS))],
    )
    yield Kind("headers that lie", _lies, REFUSED | ANSWERED)
    yield Kind("64 files of 3.6 MB that are no scans", lambda port, _, __: [wire.post(port, _many_files())], REFUSED)
    yield Kind("one file of 200 MB", lambda port, _, __: [wire.post(port, _large_file())], REFUSED)


def _prevalences(port: int, scan: bytes, turn: int) -> list[str]:
    words = ("1e999", "-1e999", "NaN", "Infinity", "1e-400", "true", '"0.1"', "[0.1]", "null", "-0.1", "1", "9" * 30)
    body = files.body(scan)[:-1] + f', "params": {{"prevalence": {words[turn % len(words)]}}}}}'.encode()
    return [wire.post(port, body)]


def _twice(port: int, scan: bytes, turn: int) -> list[str]:
    good = files.body(scan)
    double = (good[:-1] + b', "dataframe_records": []}', b'{"dataframe_records": [], ' + good[1:])
    return [wire.post(port, double[turn % 2])]


def _other_forms() -> list[bytes]:
    forms: list[object] = [
        {"dataframe_records": [{"nifti": ""}] * 65}, {"dataframe_records": []}, {"dataframe_records": {}}, [], None, 5,
        {"dataframe_records": [{"nifti": "", "path": "/etc/passwd"}]}, {"instances": [1]}, {"inputs": {"nifti": "x"}},
        {"dataframe_split": {"columns": ["nifti"], "data": [["a", "b"]]}}, {"dataframe_records": [{"nifti": None}]},
        {"dataframe_split": {"columns": ["nifti", "nifti"], "data": [["", ""]]}},
        {"dataframe_split": {"columns": ["nifti"], "index": ["../x"], "data": [["a"]]}},
    ]  # fmt: skip
    return [json.dumps(form).encode() for form in forms]


def _cut(port: int, scan: bytes, turn: int) -> list[str]:
    good = files.body(scan)
    return [wire.post(port, good[: turn * 9973 % len(good)])]


def _cut_gz(scan: bytes, turn: int) -> bytes:
    packed = files.many_members(scan, 1) if turn % 2 else files.bomb(scan, 2)
    return packed[: turn * 97 % len(packed)]


def _bombs(port: int, scan: bytes, turn: int) -> list[str]:
    make, sizes = _all_bombs(scan)[turn % 4]
    return [wire.post(port, files.body(make(*sizes)))]


def _all_bombs(scan: bytes) -> list[tuple[Callable[..., bytes], tuple[Any, ...]]]:
    one, twice = (scan, 1024), (scan, 1024, 2)
    return [
        (files.bomb, one),
        (files.bomb, twice),
        (files.many_members, (scan, 160, 64)),
        (files.many_members, (scan, 200_000)),
    ]


def _lies(port: int, scan: bytes, turn: int) -> list[str]:
    lies = list(files.lying_headers(scan))
    return [wire.post(port, files.body(lies[turn % len(lies)]))]


@cache
def _many_files() -> bytes:
    return files.body(*[b"no scan " * (3_600_000 // 8)] * 64)


@cache
def _large_file() -> bytes:
    return files.body(bytes(200 * MEGABYTE))
