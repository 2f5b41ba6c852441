"""Ending a request from another thread: waits and connection at once, what is sent between two blocks."""

import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from http.client import HTTPConnection
from typing import Final

from astrometry_client.errors import AstrometryError

__all__ = [
    "Interrupt",
    "Interrupted",
    "check_interrupt",
    "interruptible",
    "pause",
    "tell_of_wait",
    "use_connection",
]


class Interrupted(AstrometryError):
    """Whoever wanted the request wants it no more; the server has not got the whole of it."""


class Interrupt:
    """Ends the requests made inside `interruptible(self)`.

    Parameters
    ----------
    on_wait
        Called with the seconds each of them has to wait for a free slot.
    """

    def __init__(self, on_wait: Callable[[float], None] | None = None) -> None:
        self.on_wait = on_wait
        self._waits_ended = threading.Event()
        self._transfers_ended = False

    def end_waits(self) -> None:
        """Let no request wait any more, for a slot or before a repeat; what is on its way arrives."""
        self._waits_ended.set()

    def end(self) -> None:
        """Break off what is on its way as well: whoever listens to a silent server hears the end."""
        self._transfers_ended = True
        self.end_waits()
        with _using:
            for connection in [one for one, user in _USERS.items() if user is self]:
                del _USERS[connection]
                if connection.sock is not None:
                    with suppress(OSError):
                        # Not the method of an encrypted socket, which would throw away what its reader needs.
                        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise `Interrupted` when the waits are ended."""
        if self._waits_ended.wait(seconds):
            raise Interrupted("The request was given up while it waited.")

    def check(self) -> None:
        """Raise `Interrupted` if what is on its way is broken off."""
        if self._transfers_ended:
            raise Interrupted("The request was broken off.")


_CURRENT: Final[ContextVar[Interrupt | None]] = ContextVar("interrupt", default=None)

_USERS: Final["weakref.WeakKeyDictionary[HTTPConnection, Interrupt]"] = weakref.WeakKeyDictionary()
"""Who uses, or used last, a connection."""

_using = threading.Lock()
# Held across a fork, so that the child does not inherit it from another thread.
os.register_at_fork(before=_using.acquire, after_in_parent=_using.release, after_in_child=_using.release)


@contextmanager
def interruptible(interrupt: Interrupt) -> Iterator[None]:
    """Let `interrupt` end the requests that this thread makes inside the block."""
    token = _CURRENT.set(interrupt)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def pause(seconds: float) -> None:
    """Sleep, for as long as nobody gives the request up."""
    interrupt = _CURRENT.get()
    if interrupt is None:
        time.sleep(seconds)
    else:
        interrupt.sleep(seconds)


def check_interrupt() -> None:
    """Raise `Interrupted` if the request that is being sent was given up."""
    interrupt = _CURRENT.get()
    if interrupt is not None:
        interrupt.check()


def use_connection(connection: HTTPConnection) -> None:
    """Let the interrupt cut a connection on which something is sent now; raises as `check_interrupt`."""
    interrupt = _CURRENT.get()
    with _using:
        if interrupt is None:
            _USERS.pop(connection, None)
        else:
            _USERS[connection] = interrupt
    check_interrupt()


def tell_of_wait(seconds: float) -> None:
    """Tell whoever wants the request how long it waits for a free slot."""
    interrupt = _CURRENT.get()
    if interrupt is not None and interrupt.on_wait is not None:
        interrupt.on_wait(seconds)
