"""Talk to a server on the loopback device byte by byte, as no HTTP library would."""

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
CLOSED, SILENT = "closed", "silent"
"""What is kept instead of a status: the server closed without an answer, or did not answer in time."""

_JSON = {"Content-Type": "application/json"}


@contextmanager
def connection(port: int, seconds: float) -> Iterator[socket.socket]:
    """Connect; nothing waits longer than `seconds` for a byte."""
    with socket.create_connection((HOST, port), timeout=seconds) as opened:
        yield opened


def post(
    port: int, body: bytes, *, seconds: float = 60.0, headers: dict[str, str] | None = None, length: str | None = None
) -> str:
    """Send a body to /invocations and return the status; `length` is stated in place of the right Content-Length."""
    stated = {"Content-Length": str(len(body)) if length is None else length}
    return ask(
        port, head("POST", "/invocations", stated | (_JSON if headers is None else headers), port), body, seconds
    )


def head(method: str, path: str, headers: dict[str, str], port: int) -> bytes:
    """Return the first lines of a request, with this server's Host unless `headers` have another."""
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in ({"Host": f"{HOST}:{port}"} | headers).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def ask(port: int, first: bytes, body: bytes | Iterable[bytes], seconds: float) -> str:
    """Send `first` and then `body`, and return the status of what comes back; a server may answer before the end."""
    return answer(port, first, body, seconds)[0]


def answer(port: int, first: bytes, body: bytes | Iterable[bytes], seconds: float) -> tuple[str, bytes]:
    """Do what `ask` does, and return the status and the body of the answer."""
    ends = time.monotonic() + seconds
    with connection(port, seconds) as opened:
        with suppress(OSError):  # it answered and closed while we still sent
            opened.sendall(first)
            for piece in [body] if isinstance(body, bytes) else body:
                if time.monotonic() > ends:
                    break
                opened.sendall(piece)
        return received(opened)


def received(opened: socket.socket) -> tuple[str, bytes]:
    """Return the status and the body of the next answer, `CLOSED` or `SILENT` without one."""
    said = b""
    try:
        while b"\r\n\r\n" not in said:
            piece = opened.recv(65536)
            if not piece:
                return CLOSED, b""
            said += piece
        first, _, rest = said.partition(b"\r\n\r\n")
        missing = _length(first) - len(rest)
        while missing > 0 and (piece := opened.recv(65536)):
            rest, missing = rest + piece, missing - len(piece)
    except TimeoutError:
        return SILENT, b""
    except OSError:
        return CLOSED, b""
    return said.split(b" ", 2)[1].decode("latin-1"), rest


def dripped(body: bytes, piece: int, pause: float) -> Iterator[bytes]:
    """Yield a body slowly."""
    for start in range(0, len(body), piece):
        yield body[start : start + piece]
        time.sleep(pause)


def _length(head_lines: bytes) -> int:
    for line in head_lines.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
