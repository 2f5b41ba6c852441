"""Clients that talk nonsense, dawdle or crowd do no harm to others."""

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from live_server import Api, until

from astrometry_client.server.run import LocalServer


@pytest.fixture(scope="module")
def impatient(toy_dir: object) -> Iterator[LocalServer]:
    options = {"workers": 1, "patience_s": 0.4, "connections": 60}
    with LocalServer(engine="toy_engines:toy", **options) as server:
        yield server


def connect(server: LocalServer) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=20.0)


def answer_to(data: bytes, server: LocalServer) -> bytes:
    """Send bytes, and return all that comes back before the connection is closed."""
    with connect(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received
    return b""


POST = b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=B\r\n"
NONSENSE = {
    "no HTTP": b"hello\r\n\r\n",
    "binary": bytes(range(256)) * 10,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "old version": b"GET / HTTP/0.9\r\n\r\n",
    "new version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "word for a length": POST + b"Content-Length: many\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length of digits that are none": POST + "Content-Length: ²\r\n\r\n".encode(),
    "length without end": POST + FORM + b"Content-Length: " + b"9" * 4000 + b"\r\n\r\n--B",
    "bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "huge chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n\r\n",
    "huge header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 100_000 + b"\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
    "huge path": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "path outside": b"GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "bad escapes": b"GET /api/%ff%fe%00%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "whole address": b"GET http://other/api/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: [::1]\r\nUpgrade: websocket\r\nConnection: upgrade,close\r\n\r\n",
    "strange method": b"B\xc3\xa4H / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no boundary": POST + b"Content-Type: multipart/form-data\r\nContent-Length: 4\r\n\r\nabcd",
    "empty boundary": POST + b"Content-Type: multipart/form-data; boundary=\r\nContent-Length: 4\r\n\r\nabcd",
    "many parts": POST + FORM + b"Content-Length: 72000\r\n\r\n" + b"--B\r\n\r\n\r\n" * 8000,
    "long part header": POST + FORM + b"Content-Length: 100005\r\n\r\n--B\r\n" + b"a" * 100_000,
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_answered_or_cut_and_nobody_else_notices(data: bytes, impatient: LocalServer) -> None:
    received = answer_to(data, impatient)
    status = received[9:12]
    assert status in (b"", b"200", b"400", b"403", b"404", b"413"), received[:200]
    assert b"root:" not in received
    assert requests.get(f"{impatient.url}/api/jobs/999", timeout=20).status_code == 404
    assert "Traceback" not in impatient.messages


def test_many_files_in_one_form_need_one_open_file(impatient: LocalServer) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
    body = part * 900 + b"--B--\r\n"
    assert b'"no json"' in answer_to(
        POST + FORM + b"Content-Length: %d\r\n\r\n" % len(body) + body, impatient
    )


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        POST + FORM + b"Content-Length: 1000\r\n\r\n--B",
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_request_that_comes_to_a_halt_is_cut(begun: bytes, impatient: LocalServer) -> None:
    assert answer_to(begun, impatient) == b""


def test_head_that_drips_is_cut(impatient: LocalServer) -> None:
    with connect(impatient) as connection:
        connection.settimeout(0.1)

        def drip() -> bool:
            try:
                connection.sendall(b"G")
                return connection.recv(10) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        until(drip, bool)


def test_crowd_is_bounded_and_passes(impatient: LocalServer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(70):
            stack.enter_context(connect(impatient))
        assert requests.get(f"{impatient.url}/api/jobs/999", timeout=20).status_code == 503
    api = until(lambda: try_login(impatient), bool)
    assert api.ended(api.upload_sources(10)) == ["success"]


def try_login(server: LocalServer) -> Api | None:
    with contextlib.suppress(requests.RequestException):
        return Api.login(server.url, server.api_key)
    return None


def test_replies_on_one_connection_are_not_held_back(server: LocalServer) -> None:
    """A body that waits until its head is acknowledged waits for 40 ms, after the first few."""
    took_s = []
    with requests.Session() as http:
        for _ in range(20):
            start_s = time.perf_counter()
            http.get(f"{server.url}/api/submissions/1", timeout=20.0)
            took_s.append(time.perf_counter() - start_s)
    assert min(took_s[10:]) < 0.03
