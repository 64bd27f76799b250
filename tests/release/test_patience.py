"""A connection that asks for nothing is closed; one that asks is left alone, however long the answer takes."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from datspect.release.patience import Impatient


class Protocol:
    """Stands for Uvicorn's: a request begins with "ask", and `cycle` is the latest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.cycle: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"ask":
            self.cycle = SimpleNamespace(response_complete=False)

    def connection_lost(self, exc: Exception | None) -> None:
        pass


class Hasty(Impatient, Protocol):  # type: ignore[misc]
    seconds = 0.4


async def closed_after(*said: bytes, answered: bool = False, lost: bool = False) -> bool:
    """Say this, a part every 0.15 s, wait, and tell whether the connection was closed."""
    closed: list[bool] = []
    protocol = Hasty(asyncio.get_running_loop())
    protocol.connection_made(SimpleNamespace(close=lambda: closed.append(True)))  # type: ignore[arg-type]
    for part in said:
        await asyncio.sleep(0.15)
        protocol.data_received(part)
        if answered and protocol.cycle:
            protocol.cycle.response_complete = True
    if lost:
        protocol.connection_lost(None)
    await asyncio.sleep(0.6)
    return bool(closed)


@pytest.mark.parametrize(
    ("said", "options", "expected"),
    [
        ((), {}, True),
        ((b"GET", b" /pi", b"ng"), {}, True),  # every part comes in time, the whole does not
        ((b"ask",), {}, False),
        ((b"G", b"ask"), {}, False),
        ((b"ask", b"G"), {"answered": True}, True),  # the head of a second request
        ((), {"lost": True}, False),
    ],
)
def test_only_a_connection_without_a_whole_head_in_time_is_closed(
    said: tuple[bytes, ...], options: dict[str, bool], expected: bool
) -> None:
    assert asyncio.run(closed_after(*said, **options)) is expected
