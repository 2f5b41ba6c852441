"""Ending a request from another thread: its waits at once, what it sends or reads between two blocks."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from astrometry_client.errors import AstrometryError

__all__ = ["Interrupt", "Interrupted", "check_interrupt", "interruptible", "pause"]


class Interrupted(AstrometryError):
    """Whoever wanted the request wants it no more."""


class Interrupt:
    """Ends the requests made inside `interruptible(self)`."""

    def __init__(self) -> None:
        self._waits_ended = threading.Event()
        self._transfers_ended = False

    def end_waits(self) -> None:
        """Let no request wait any more, for a slot or before a repeat; what is on its way arrives."""
        self._waits_ended.set()

    def end(self) -> None:
        """Break off what is on its way as well."""
        self._transfers_ended = True
        self.end_waits()

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise `Interrupted` when the waits are ended."""
        if self._waits_ended.wait(seconds):
            raise Interrupted("The request was given up while it waited.")

    def check(self) -> None:
        """Raise `Interrupted` if what is on its way is broken off."""
        if self._transfers_ended:
            raise Interrupted("The request was broken off.")


_CURRENT: Final[ContextVar[Interrupt | None]] = ContextVar("interrupt", default=None)


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
    """Raise `Interrupted` if the request that is being sent or answered was given up."""
    interrupt = _CURRENT.get()
    if interrupt is not None:
        interrupt.check()
