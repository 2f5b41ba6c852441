"""A small HTTP server on the loopback that can be told to fail, request by request."""

import contextlib
import enum
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs


class Fault(enum.Enum):
    """What goes wrong with an answer."""

    NONE = "nothing"
    RESET_BEFORE = "the connection is reset before the request is read"
    RESET_AFTER = "the connection is reset after the whole request was read"
    CUT = "the body ends half-way, although Content-Length promised all of it"
    HANG = "nothing is ever answered"
    DRIP = "the body comes byte by byte"


@attrs.frozen(kw_only=True)
class Answer:
    """How one request is answered."""

    status: int = 200
    body: bytes = b'{"status": "success"}'
    kind: str = "text/plain"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    fault: Fault = Fault.NONE
    pause_s: float = 0.02
    """Between two bytes of a drip."""


def answer_json(document: Any, **options: Any) -> Answer:
    """Return an answer as nova sends its JSON."""
    return Answer(body=json.dumps(document).encode(), **options)


@attrs.frozen(kw_only=True)
class Arrival:
    """A request as it arrived; for `RESET_BEFORE` only what was in the first packet."""

    time_s: float
    method: str
    path: str
    headers: Mapping[str, str]
    body_length: int
    body: bytes
    """The first `kept_bytes`."""
    connection: int


class FaultyServer:
    """Serve until closed. Use it as a context manager.

    `script(...)` queues answers for the next requests; after them `default` answers, or the function
    `responder(arrival) -> Answer | None` if it was set and returns something. `on_head` is called when the
    head of a request has arrived, and none of its body was read.
    """

    kept_bytes = 1 << 16

    def __init__(self) -> None:
        self.default = Answer()
        self.responder: Callable[[Arrival], Answer | None] | None = None
        self.on_head: Callable[[Arrival], None] | None = None
        self.arrivals: list[Arrival] = []
        self._script: deque[Answer] = deque()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def script(self, *answers: Answer) -> None:
        """Answer the next requests so, one after the other."""
        with self._lock:
            self._script.extend(answers)

    def close(self) -> None:
        """Stop, and end every connection."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def drop_connections(self) -> None:
        """Close the idle connections, as servers do after a while."""
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(connection)
                self._connections += 1
                thread = threading.Thread(
                    target=self._serve, args=(connection, self._connections), daemon=True
                )
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            while self._serve_one(connection, number):
                pass
        except OSError:
            pass
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()

    def _serve_one(self, connection: socket.socket, number: int) -> bool:
        head = _peek_head(connection)
        if head is None:
            return False
        arrival = _parse(head, number)
        scripted = self._next_scripted()
        if scripted and scripted.fault is Fault.RESET_BEFORE:
            self.arrivals.append(arrival)
            return _reset(connection)
        _receive(connection, len(head))
        if self.on_head:
            self.on_head(arrival)
        if arrival.headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        arrival = attrs.evolve(
            arrival, body=_read_body(connection, arrival.body_length, kept_bytes=self.kept_bytes)
        )
        self.arrivals.append(arrival)
        answer = scripted or (self.responder and self.responder(arrival)) or self.default
        if answer.fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
            return _reset(connection)
        if answer.fault is Fault.HANG:
            self._closed.wait()
            return False
        return self._send(connection, answer, arrival)

    def _next_scripted(self) -> Answer | None:
        with self._lock:
            return self._script.popleft() if self._script else None

    def _send(self, connection: socket.socket, answer: Answer, arrival: Arrival) -> bool:
        headers = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body)), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} Scripted", *(f"{name}: {text}" for name, text in headers.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        body = b"" if arrival.method == "HEAD" else answer.body
        if answer.fault is Fault.CUT:
            connection.sendall(head + body[: len(body) // 2])
            return False
        if answer.fault is Fault.DRIP:
            connection.sendall(head)
            for byte in body:
                if self._closed.wait(answer.pause_s):
                    return False
                connection.sendall(bytes([byte]))
            return True
        connection.sendall(head + body)
        return headers.get("Connection") != "close"


def _peek_head(connection: socket.socket) -> bytes | None:
    """Wait for the head of a request and leave it unread; nothing if the client closed."""
    while True:
        seen = connection.recv(65536, socket.MSG_PEEK)
        if not seen:
            return None
        end = seen.find(b"\r\n\r\n")
        if end >= 0:
            return seen[: end + 4]
        time.sleep(0.001)


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        block = connection.recv(size - len(received))
        if not block:
            raise ConnectionError
        received += block
    return received


def _read_body(connection: socket.socket, size: int, *, kept_bytes: int) -> bytes:
    """Read a body of any size and return its beginning."""
    kept = _receive(connection, min(size, kept_bytes))
    left = size - len(kept)
    while left:
        block = connection.recv(min(left, 1 << 20))
        if not block:
            raise ConnectionError
        left -= len(block)
    return kept


def _parse(head: bytes, connection: int) -> Arrival:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    return Arrival(
        time_s=time.monotonic(),
        method=method,
        path=path,
        headers=headers,
        body_length=int(headers.get("content-length", "0")),
        body=b"",
        connection=connection,
    )


def _reset(connection: socket.socket) -> bool:
    """Close with a reset in place of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False
