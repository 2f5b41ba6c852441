"""A real web server on this machine that writes down what it is sent and answers as it is told."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs

KEPT_BYTES = 1_000_000


@attrs.frozen
class Received:
    """A request as it arrived; of long bodies only the start is kept."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    size_bytes: int
    sha1: str


Answer = tuple[int, dict[str, str], bytes]


@attrs.define
class Loopback:
    url: str
    received: list[Received] = attrs.field(factory=list)
    answer: Callable[[Received], Answer] = lambda _: (200, {}, b'{"status": "success"}')


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def serve(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        kept, size_bytes, sha1 = bytearray(), 0, hashlib.sha1(usedforsecurity=False)
        while left and (block := self.rfile.read(min(left, 65536))):
            left -= len(block)
            size_bytes += len(block)
            sha1.update(block)
            kept += block[: max(0, KEPT_BYTES - len(kept))]
        if left:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.command, self.path, headers, bytes(kept), size_bytes, sha1.hexdigest())
        self.loopback.received.append(request)
        status, answer_headers, body = self.loopback.answer(request)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **answer_headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Stay quiet: clients of these tests break off on purpose."""


@contextmanager
def loopback(host: str = "127.0.0.1") -> Iterator[Loopback]:
    """Give a running server on a free port."""
    handler = type("Handler", (_Handler,), {})
    with _Server((host, 0), handler) as server:
        handler.loopback = Loopback(f"http://{host}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield handler.loopback
        finally:
            server.shutdown()
            thread.join()
