"""Connections whose client must get on: one that dawdles over its request is closed."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LOOKS = 4
"""How often in its time a connection is looked at."""


class Connection(H11Protocol):
    """A connection that is closed when a head is not complete in time, or a body comes to a halt."""

    patience_s: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._next_look: asyncio.TimerHandle | None = None
        self._waiting_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._next_look:
            self._next_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note that the client gets on: bytes of a head do not count, only all of it does."""
        between_requests = self.conn.their_state is h11.IDLE
        super().data_received(data)
        if self.conn.their_state is h11.SEND_BODY or (between_requests and self._waiting_since is None):
            self._waiting_since = self.loop.time()
        elif self.conn.their_state is not h11.IDLE:
            self._waiting_since = None

    def send_400_response(self, msg: str) -> None:
        """Answer nonsense; whoever works on the request is told that nobody listens any more."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _look(self) -> None:
        now_s = self.loop.time()
        since_s = now_s if self._waiting_since is None or self.flow.read_paused else self._waiting_since
        if now_s - since_s > self.patience_s:
            self.transport.abort()
        else:
            self._next_look = self.loop.call_later(self.patience_s / LOOKS, self._look)


def connection_type(patience_s: float) -> type[Connection]:
    """Return connections of this patience, as `uvicorn` wants them."""
    return type("PatientConnection", (Connection,), {"patience_s": patience_s})
