"""Slots kept in memory: shared by the threads of one process, and by nobody else."""

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs

from astrometry_client.child_lock import ChildLock
from astrometry_client.session import slots
from astrometry_client.session.slots import Book, Budget, Slot, Window

Result = TypeVar("Result")


class BookSlots(ABC):
    """Slots kept in books that are changed one at a time: the common part of the memory and SQLite stores."""

    @abstractmethod
    def change(self, name: str, act: Callable[[Book], Result]) -> Result:
        """Return what `act` returns on the budget of a server, with everybody else kept out meanwhile."""

    def reserve(self, name: str, windows: tuple[Window, ...], weight: int, max_wait_s: float) -> Slot | None:
        """Take the next free slot; see `slots.reserve`."""
        return self.change(
            name, partial(slots.reserve, windows=windows, weight=weight, max_wait_s=max_wait_s)
        )

    def confirm(self, name: str, windows: tuple[Window, ...], slot: Slot) -> Slot | None:
        """Return where a slot stands now; see `slots.confirm`."""
        return self.change(name, partial(slots.confirm, windows=windows, slot=slot))

    def give_back(self, name: str, slot: Slot) -> None:
        """Return a slot that will not be used."""
        self.change(name, partial(slots.give_back, slot=slot))

    def penalize(self, name: str, seconds: float) -> None:
        """Move every slot not used yet behind a pause that starts now."""
        self.change(name, partial(slots.penalize, seconds=seconds))

    def close(self) -> None:  # noqa: B027 - memory holds nothing to release
        """Release what is held; the next use opens it again."""


@attrs.define
class _MemoryBook:
    budget: Budget = attrs.field(factory=Budget)
    now: float = 0.0
    _times: dict[int, float] = attrs.field(factory=dict)

    def at(self, number: int) -> float | None:
        return self._times.get(number)

    def write(self, number: int, at: float) -> None:
        self._times[number] = at

    def drop(self, number: int) -> None:
        self._times.pop(number, None)

    def shift(self, seconds: float) -> None:
        self._times = {number: at + seconds for number, at in self._times.items()}


class MemorySlots(BookSlots):
    """Slots of this process alone.

    Parameters
    ----------
    clock
        Seconds since any moment.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = ChildLock()
        self._clock = clock
        self._books: dict[str, _MemoryBook] = {}

    def change(self, name: str, act: Callable[[Book], Result]) -> Result:
        """Return what `act` returns on the budget of a server, one thread at a time."""
        with self._lock:
            book = self._books.setdefault(name, _MemoryBook())
            book.now = self._clock()
            return act(book)


@functools.cache
def process_slots() -> MemorySlots:
    """Return the slots all limiters of this process share when they keep them in memory."""
    return MemorySlots()
