"""Stand before MLflow's scoring server: refuse what no honest client sends, within a second and in few words.

An ASGI application around another one. A request is looked at while it comes in, so that a hostile body is never parsed
and the one worker behind is not held by it; what is read at once has a bound; an error is short.
"""

import asyncio
import ctypes
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from datspect.release.patience import PATIENCE_SECONDS
from datspect.release.request_body import MAX_BODY_BYTES, MAX_SCANS, BodyReader, RefusedError, check_request

MAX_BYTES_AT_ONCE = MAX_BODY_BYTES + (64 << 20)
"""Bodies of all requests that are being read or answered; further ones are asked to come again.

One of the largest, which MLflow keeps in memory several times, and small ones beside it.
"""
MAX_SCANS_AT_ONCE = 2 * MAX_SCANS
"""Scans of all requests that are being answered; each may have to be registered, which takes seconds."""
LARGE_BYTES = 16 << 20
"""A body from which on memory is given back to the system once it is answered."""
MAX_ERROR = 500
"""Characters of what an error says."""
SLOWEST_PACE = 16 << 10
"""Bytes a second at which a body must come, once the first patience is over."""

_MOST_DIGITS = 18  # of a length
_SECONDS_UNTIL_FREED = 1.0  # nobody holds an answered body then

ASKED = "/invocations"
SHOWN = {"/ping", "/health", "/version"}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway:
    """The application around a scoring server.

    `hosts` are the names under which it may be asked, without a port: by default those of this machine for itself.
    """

    def __init__(self, app: App, hosts: Iterable[str] = LOOPBACK) -> None:
        self._app, self._hosts = app, frozenset(hosts)
        self._n_bytes = self._n_scans = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            # A thread for each request: those that wait until their scans are registered keep no others waiting.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MAX_SCANS_AT_ONCE))
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        held, incoming = _Held(self), _Incoming(receive)
        try:
            self._check_address(scope)
            body = await self._body(scope, incoming, held) if scope["path"] == ASKED else b""
            await self._app(scope, _given(body, receive), _Short(send))
        except RefusedError as refused:
            waits = refused.status != 408 and _ends(_headers(scope))
            is_over = waits and await incoming.pass_over()
            await _refuse(send, refused, closes=not is_over)
        finally:
            held.release()

    def _check_address(self, scope: Scope) -> None:
        headers = _headers(scope)
        host = headers.get("host", "")
        if _name_of(host) not in self._hosts:
            raise RefusedError(403, "asked under a name that is not this server's")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise RefusedError(403, "asked by a page of another site")
        method, path = scope["method"], scope["path"]
        if path not in SHOWN | {ASKED}:
            raise RefusedError(404, f"nothing is here; POST scans to {ASKED}")
        if method not in ({"POST"} if path == ASKED else {"GET", "HEAD"}):
            raise RefusedError(405, f"{path} does not take {method[:10]}")

    async def _body(self, scope: Scope, incoming: "_Incoming", held: "_Held") -> bytes:
        _check_headers(_headers(scope))
        reader, pieces = BodyReader(), []
        while incoming.more:
            piece = await incoming.next()
            held.take(len(piece))
            reader.feed(piece, last=not incoming.more)
            pieces.append(piece)
        held.take_scans(check_request(reader.outline))
        return b"".join(pieces)


class _Incoming:
    """The body of a request as it comes in, from a client that does not keep us waiting."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._begun, self._n_bytes = receive, time.monotonic(), 0
        self.more = True

    async def next(self) -> bytes:
        """Return the next piece; `more` tells whether there is another."""
        try:
            message = await asyncio.wait_for(self._receive(), PATIENCE_SECONDS)
        except TimeoutError:
            raise RefusedError(408, f"no more of the body came for {PATIENCE_SECONDS:.0f} seconds") from None
        if message["type"] == "http.disconnect":
            self.more = False
            raise RefusedError(400, "the body ended early")
        piece: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self._n_bytes += len(piece)
        if time.monotonic() - self._begun > PATIENCE_SECONDS + self._n_bytes / SLOWEST_PACE:
            raise RefusedError(408, f"the body comes at less than {SLOWEST_PACE >> 10} kB a second")
        return piece

    async def pass_over(self) -> bool:
        """Take what is left of a refused body, for clients hear no answer before; tell whether it has ended."""
        try:
            while self.more:
                await self.next()
        except RefusedError:
            return False
        return True


def _check_headers(headers: dict[str, str]) -> None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "send Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(415, "send the body as it is, not packed")
    stated = headers.get("content-length", "0")
    if not stated.isascii() or not stated.isdigit() or len(stated) > _MOST_DIGITS:
        raise RefusedError(400, "Content-Length is no number")
    if int(stated) > MAX_BODY_BYTES:
        raise RefusedError(413, _TOO_LARGE)


_TOO_LARGE = f"the body has more than {MAX_BODY_BYTES >> 20} MB; send fewer scans at a time, at most {MAX_SCANS}"

_TOO_MANY = "too many scans are being answered; send these again in some seconds"


class _Held:
    """What one request takes of the memory, and of the scans, that all may take."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self.n_bytes, self._n_scans = gateway, 0, 0

    def take(self, n_bytes: int) -> None:
        if self.n_bytes + n_bytes > MAX_BODY_BYTES:
            raise RefusedError(413, _TOO_LARGE)
        if self._gateway._n_bytes + n_bytes > MAX_BYTES_AT_ONCE:
            raise RefusedError(429, _TOO_MANY)
        self._gateway._n_bytes += n_bytes
        self.n_bytes += n_bytes

    def take_scans(self, n_scans: int) -> None:
        if self._gateway._n_scans + n_scans > MAX_SCANS_AT_ONCE:
            raise RefusedError(429, _TOO_MANY)
        self._gateway._n_scans += n_scans
        self._n_scans = n_scans

    def release(self) -> None:
        self._gateway._n_bytes -= self.n_bytes
        self._gateway._n_scans -= self._n_scans
        if self.n_bytes > LARGE_BYTES:
            asyncio.get_running_loop().call_later(_SECONDS_UNTIL_FREED, _give_memory_back)


def _give_memory_back() -> None:
    """Let the C library give freed memory back to the system, where it can; it keeps gigabytes otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class _Short:
    """Passes an answer on, and of an error no more than its beginning."""

    def __init__(self, send: Send) -> None:
        self._send, self._status = send, 0
        self._said = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status < 400:
                await self._send(message)
        elif self._status < 400:
            await self._send(message)
        else:
            self._said += message.get("body", b"")[: 10 * MAX_ERROR - len(self._said)]
            if not message.get("more_body", False):
                await _refuse(self._send, RefusedError(self._status, _reason(bytes(self._said))))


def _reason(body: bytes) -> str:
    """Return what an error of MLflow's says: its `message` or `detail`, if it is one of JSON."""
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return (
        str(next((said[key] for key in ("message", "detail") if key in said), text)) if isinstance(said, dict) else text
    )


def _ends(headers: dict[str, str]) -> bool:
    """Tell whether a request says where its body ends, and that is within bounds."""
    stated = headers.get("content-length", "0")
    is_number = stated.isascii() and stated.isdigit() and len(stated) <= _MOST_DIGITS
    return "transfer-encoding" not in headers and is_number and int(stated) <= MAX_BODY_BYTES


async def _refuse(send: Send, refused: RefusedError, *, closes: bool = False) -> None:
    reason = str(refused)
    short = reason if len(reason) <= MAX_ERROR else f"{reason[:MAX_ERROR]}..."
    body = json.dumps({"error_code": "BAD_REQUEST" if refused.status < 500 else "INTERNAL_ERROR", "message": short})
    content = body.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if closes:  # the rest of the body is not read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _given(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, and then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _name_of(host: str) -> str:
    """Return a host without its port.

    >>> _name_of("localhost:5001"), _name_of("[::1]:5001"), _name_of("ward.example")
    ('localhost', '[::1]', 'ward.example')
    """
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdigit() else host.lower()
