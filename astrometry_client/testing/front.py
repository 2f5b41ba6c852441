"""The socket of a server under test: speaks HTTP, and does wrong what is planned."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import attrs

from .faults import Cut, Drip, Fault, Hang, Late, Reset, Restart, Status

LONGEST_HEAD_BYTES = 1 << 16
CHUNK_BYTES = 1 << 18

Scope = dict[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@attrs.frozen
class Head:
    """The head of a request."""

    method: str
    target: str
    headers: dict[str, str]
    connection: int
    arrived_s: float

    @property
    def body_bytes(self) -> int:
        """Length of the body; one sent in chunks counts as none, as at nova."""
        length = self.headers.get("content-length", "0")
        return int(length) if length.isdecimal() else 0


@attrs.define
class Reply:
    """The answer to one request."""

    status: int = 500
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    def head(self) -> bytes:
        """Return the head of the answer."""
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else ""
        headers = {"content-length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {text}" for name, text in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Front:
    """Accepts connections in an event loop.

    Parameters
    ----------
    app
        Answers.
    before
        Called with the head of each request as it arrives; returns what is to go wrong.
    after
        Called with that head, what goes wrong and the status, None for no answer, before that is sent.
    now_s, wait
        Tell the time of the server's clock, and wait for seconds of it.
    restart
        Called to have the server stop and start again.
    """

    def __init__(
        self,
        app: App,
        *,
        before: Callable[[Head], Fault | None],
        after: Callable[[Head, Fault | None, int | None], None],
        now_s: Callable[[], float],
        wait: Callable[[float], Awaitable[None]],
        restart: Callable[[Restart], None],
        latency_s: float = 0.0,
    ) -> None:
        self._app, self._before, self._after = app, before, after
        self._now_s, self._wait = now_s, wait
        self._restart, self._latency_s = restart, latency_s
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self.errors: list[BaseException] = []
        self.port = 0

    async def open(self) -> None:
        """Accept connections, on the same port as before."""
        self._listener = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, limit=LONGEST_HEAD_BYTES, backlog=1024
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Accept none any more, and end those there are."""
        if self._listener:
            self._listener.close()
        self.drop()
        answering = tuple(self._tasks)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    def drop(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        number = self._count
        task = asyncio.current_task()
        assert task  # noqa: S101
        self._tasks.add(task)
        task.add_done_callback(self._note_error)
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        """Answer one request; return whether the connection goes on."""
        head = _parse(await reader.readuntil(b"\r\n\r\n"), number, self._now_s())
        fault = self._before(head)
        if head.headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        reply = None if fault == Reset("arriving") else await self._reply(head, fault, reader)
        await self._pause(self._latency_s)
        self._after(head, fault, reply.status if reply else None)
        if reply is None:
            return await self._unanswered(fault, reader, writer)
        if head.method == "HEAD":
            reply.headers.setdefault("content-length", str(len(reply.body)))
            reply.body = b""
        return await self._send(reply, head, fault, writer)

    async def _reply(self, head: Head, fault: Fault | None, reader: asyncio.StreamReader) -> Reply | None:
        """Process the request, unless that is what goes wrong; return its answer, if there is to be one."""
        body = _Body(reader, head.body_bytes)
        match fault:
            case Reset("read") | Restart():
                await body.drain()
                return None
            case Hang(processed=False):
                await body.drain()
                return None
            case Status(processed=False):
                await body.drain()
                return Reply(fault.status, fault.headers(), fault.content())
        reply = await self._process(head, body)
        match fault:
            case Reset() | Hang():
                return None
            case Status():
                return Reply(fault.status, fault.headers(), fault.content())
            case Late(seconds):
                await self._pause(seconds)
        return reply

    async def _process(self, head: Head, body: "_Body") -> Reply:
        reply, content = Reply(), bytearray()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {name.decode(): text.decode("latin-1") for name, text in message["headers"]}
            else:
                content.extend(message.get("body", b""))

        answering = asyncio.ensure_future(self._app(_scope(head), body.receive, send))
        try:
            await asyncio.wait({answering})
        finally:
            answering.cancel()
        self._note_error(answering)  # its answer, of status 500, is sent all the same
        await body.drain()
        reply.body = bytes(content)
        return reply

    def _note_error(self, task: asyncio.Future[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error:
            self.errors.append(error)

    async def _unanswered(
        self, fault: Fault | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if isinstance(fault, Hang):
            while await reader.read(CHUNK_BYTES):
                pass
            return False
        if isinstance(fault, Restart):
            self._restart(fault)
        return _reset(writer)

    async def _send(
        self, reply: Reply, head: Head, fault: Fault | None, writer: asyncio.StreamWriter
    ) -> bool:
        if isinstance(fault, Cut):
            writer.write(reply.head() + reply.body[: int(len(reply.body) * fault.share)])
            await writer.drain()
            return False
        if isinstance(fault, Drip):
            writer.write(reply.head())
            for byte in reply.body:
                await self._pause(fault.pause_s)
                writer.write(bytes([byte]))
                await writer.drain()
            return True
        writer.write(reply.head() + reply.body)
        await writer.drain()
        chunked = "transfer-encoding" in head.headers  # its body was not read
        return not chunked and head.headers.get("connection", "").lower() != "close"

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._wait(seconds)


class _Body:
    """The body of a request, taken from the connection as the application wishes."""

    def __init__(self, reader: asyncio.StreamReader, length: int) -> None:
        self._reader, self._left, self._begun = reader, length, False

    async def receive(self) -> dict[str, Any]:
        if self._begun and not self._left:
            await asyncio.Event().wait()  # nobody leaves before the answer
        self._begun = True
        chunk = await self._reader.read(min(self._left, CHUNK_BYTES)) if self._left else b""
        if self._left and not chunk:
            return {"type": "http.disconnect"}
        self._left -= len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": self._left > 0}

    async def drain(self) -> None:
        while self._left and (chunk := await self._reader.read(min(self._left, CHUNK_BYTES))):
            self._left -= len(chunk)


def _parse(data: bytes, connection: int, arrived_s: float) -> Head:
    first, *lines = data.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): text.strip() for name, _, text in pairs}
    return Head(method, rest.rpartition(" ")[0], headers, connection, arrived_s)


def _scope(head: Head) -> Scope:
    from urllib.parse import unquote

    path, _, query = head.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": head.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), text.encode("latin-1")) for name, text in head.headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
    }


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Close with a reset in place of an orderly end."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
