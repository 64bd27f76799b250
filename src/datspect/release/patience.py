"""Do not wait without end for a client that connects and says nothing, or nothing more."""

import asyncio
from typing import Any

PATIENCE_SECONDS = 30.0
"""So long a client may take for the head of its request and for the next piece of its body."""


class Impatient:
    """Stands before one of Uvicorn's HTTP protocols: closes a connection that has no whole head of a request in time.

    Uvicorn waits without end for it, and a process may have some thousand connections.
    """

    seconds = PATIENCE_SECONDS
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)  # type: ignore[misc]
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop waiting if a request has begun."""
        super().data_received(data)  # type: ignore[misc]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)  # type: ignore[misc]

    def _wait(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._closing is None:
            self._closing = self.loop.call_later(self.seconds, self.transport.close)

    def _stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
