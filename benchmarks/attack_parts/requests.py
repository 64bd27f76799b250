"""Requests that harm whatever their bodies are: headers, paths, methods, lengths, and clients that take their time."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack

from attack_parts import files, wire
from attack_parts.files import MEGABYTE
from attack_parts.kind import ANSWERED, REFUSED, Kind

_PATIENT_SECONDS = 75.0
"""Longer than a server may wait for a client that says nothing more."""
_CLOSED_SECONDS = 35.0
_N_SILENT = 100


def kinds() -> Iterator[Kind]:
    """Yield all kinds, in the order of the table."""
    yield from _at_once()
    yield from _slow()


def _at_once() -> Iterator[Kind]:
    for name, headers in (
        ("no Content-Type", {}), ("another Content-Type", {"Content-Type": "text/csv"}),
        ("packed bodies", {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    ):  # fmt: skip
        yield Kind(name, lambda port, scan, _, headers=headers: [wire.post(port, files.body(scan), headers=headers)])
    yield Kind("Host and Origin of strangers", _strangers, frozenset({"400", "403"}))
    yield Kind("other paths, with ../ and %2e too", _paths, frozenset({"400", "403", "404", "405", wire.CLOSED}))
    yield Kind("other methods", _methods, frozenset({"400", "403", "404", "405", wire.CLOSED}))
    yield Kind("1,000 headers, and one of 1 MB", _many_headers, REFUSED | ANSWERED)
    yield Kind("a wrong Content-Length", _lengths, REFUSED | {wire.SILENT})
    yield Kind("broken chunks, and two ways to end", _chunks)
    yield Kind("chunks without end", _endless)
    yield Kind("pipelined requests", _pipelined, REFUSED | ANSWERED)
    yield Kind("what is no HTTP", _no_http, REFUSED)


def _slow() -> Iterator[Kind]:
    yield Kind("a body that stops", lambda port, scan, _: [_dripped(port, scan, 2, 3600.0)], REFUSED, is_slow=True)
    yield Kind("a body byte by byte", lambda port, scan, _: [_dripped(port, scan, 9999, 0.5)], REFUSED, is_slow=True)
    yield Kind(f"{_N_SILENT} connections without a whole head", _silent, REFUSED, is_slow=True)


def _strangers(port: int, scan: bytes, turn: int) -> list[str]:
    strange = (
        {"Host": "evil.example"}, {"Host": f"127.0.0.1.evil.example:{port}"}, {"Host": ""}, {"Host": "10.0.0.1"},
        {"Host": "127.0.0.1@evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "file://"},
    )  # fmt: skip
    headers = {"Content-Type": "application/json"} | strange[turn % len(strange)]
    return [wire.post(port, files.body(scan), headers=headers)]


def _paths(port: int, _: bytes, turn: int) -> list[str]:
    paths = (
        "/../../etc/passwd", "/invocations/../docs", "/%2e%2e/%2e%2e/etc/passwd", "//invocations", "/docs",
        "/openapi.json", "/redoc", "/", "*", "/invocations/", "/INVOCATIONS", "/invocations%00", "/" + "a" * 60_000,
        "http://evil.example/", "/ping/..;/docs", "/\\..\\..", "/metrics", "/ping\tx",
    )  # fmt: skip
    return [wire.ask(port, wire.head("GET", paths[turn % len(paths)], {}, port), b"", 60)]


def _methods(port: int, _: bytes, turn: int) -> list[str]:
    methods = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "HEAD", "PROPFIND", "X" * 5000, "get")
    return [wire.ask(port, wire.head(methods[turn % len(methods)], "/invocations", {}, port), b"", 60)]


def _many_headers(port: int, _: bytes, turn: int) -> list[str]:
    headers = {"X": "y" * MEGABYTE} if turn % 2 else {f"X-{number}": "y" for number in range(1000)}
    return [wire.ask(port, wire.head("GET", "/ping", headers, port), b"", 60)]


def _lengths(port: int, scan: bytes, turn: int) -> list[str]:
    good = files.body(scan)
    lengths = ("-1", "0", "1", str(len(good) - 1), str(10**12), "9" * 5000, "1, 2", "0x10", "+5", "five", "")
    return [wire.post(port, good, length=lengths[turn % len(lengths)], seconds=5)]


def _chunks(port: int, _: bytes, turn: int) -> list[str]:
    bodies = (
        b"zz\r\nab\r\n",
        b"-1\r\nab\r\n",
        b"f" * 40 + b"\r\n",
        b"5\r\nab\r\n0\r\n\r\n",
        b"2;" + b"x" * 99_999 + b"\r\nab\r\n0\r\n\r\n",
    )
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    headers |= {"Content-Length": "5"} if turn % 2 else {}
    return [wire.ask(port, wire.head("POST", "/invocations", headers, port), bodies[turn % len(bodies)], 60)]


def _pipelined(port: int, _: bytes, turn: int) -> list[str]:
    bad = b'{"dataframe_records": []}'
    one = wire.head("GET", "/ping", {}, port)
    other = wire.head(
        "POST", "/invocations", {"Content-Type": "application/json", "Content-Length": str(len(bad))}, port
    )
    with wire.connection(port, 60) as opened:
        opened.sendall((one + other + bad) * 50)
        return [wire.received(opened)[0]] if turn % 2 else _all_received(opened)


def _all_received(opened: wire.socket.socket) -> list[str]:
    said = b""
    opened.settimeout(2)
    try:
        while piece := opened.recv(65536):
            said += piece
    except OSError:
        pass
    return [line.split(b" ")[1].decode() for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def _no_http(port: int, _: bytes, turn: int) -> list[str]:
    tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    said = (
        tls_hello, b"GET /ping\r\n\r\n", b"\0" * 9999, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n" * 9999,
        b"G" * 99_999, b"GET /ping HTTP/9.9\r\n\r\n", b"GET /ping HTTP/1.1\nHost: x\n\n",
    )  # fmt: skip
    return [wire.ask(port, said[turn % len(said)], b"", 8)]


def _dripped(port: int, scan: bytes, n_pieces: int, pause: float) -> str:
    good = files.body(scan)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(good))}
    pieces = itertools.islice(wire.dripped(good, 1, min(pause, _PATIENT_SECONDS)), n_pieces)
    return wire.ask(port, wire.head("POST", "/invocations", headers, port), pieces, _PATIENT_SECONDS)


def _endless(port: int, _: bytes, __: int) -> list[str]:
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    start = [b'22\r\n{"dataframe_records": [{"nifti": "\r\n']
    chunks = itertools.chain(start, itertools.repeat(b"100000\r\n" + b"A" * MEGABYTE + b"\r\n"))
    return [wire.ask(port, wire.head("POST", "/invocations", headers, port), chunks, _PATIENT_SECONDS)]


def _silent(port: int, _: bytes, __: int) -> list[str]:
    """Wait longer than the server may, and see that it has closed them."""
    with ExitStack() as stack:
        opened = [stack.enter_context(wire.connection(port, 1)) for _ in range(_N_SILENT)]
        for number, each in enumerate(opened):
            each.sendall(wire.head("POST", "/invocations", {}, port)[: number % 40])
        time.sleep(_CLOSED_SECONDS)
        return [wire.received(each)[0] for each in opened]
