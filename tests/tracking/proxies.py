"""A reverse proxy as it stands before a team's server: it hands on whatever comes, Host header included."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@contextmanager
def reverse_proxy(port: int, behind: int) -> Iterator[None]:
    """Listen at `port` of this machine and hand requests on to the server at port `behind`."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            way = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
            way.request(self.command, self.path, body, dict(self.headers))
            answer = way.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (_HOP_BY_HOP | {"content-length", "date", "server"}):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            way.close()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  (names that the server looks for)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
