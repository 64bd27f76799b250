"""Start loopback servers: one with weights, and others that misbehave."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from datspect.weights import imagenet, sources


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Return the address of a server that accepts every connection and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def accept() -> None:
        while True:
            try:
                connections.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for connection in connections:
        connection.close()


@pytest.fixture
def refusing_address() -> str:
    """Return an address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def weights_address(weights_server: Path) -> str:
    """Return the address of `weights_server`."""
    return sources.SERVER


@pytest.fixture
def weights_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let a server of this machine take the place of Keras' host; return the folder whose files it has."""
    folder = tmp_path / "host"
    for name in ("", "mobilenet_v2"):
        (folder / name).mkdir()
    monkeypatch.setenv("no_proxy", "*")
    with serving(partial(_Quiet, directory=str(folder))) as address:
        for module in (sources, imagenet):
            monkeypatch.setattr(module, "SERVER", f"http://{address}/")
        yield folder


@pytest.fixture
def unwilling_proxy() -> Iterator[str]:
    """Return the address of a proxy that finds no way to any host."""
    with serving(_Unwilling) as address:
        yield address


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class _Unwilling(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(502)

    def do_CONNECT(self) -> None:
        self.send_error(502)

    def log_message(self, *args: object) -> None:
        pass
