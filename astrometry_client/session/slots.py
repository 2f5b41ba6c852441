"""The arithmetic of slots: when the next request may leave, under every rate at once.

A budget is a numbered log of slots, handed out in order. Because they are in order, request `n`
fits a window of `limit` requests as soon as slot `n - limit` is one interval old: one look-up per
window, no counting. A store keeps the log (memory, SQLite, Redis); the decisions are made here.
"""

import math
from typing import Final, Protocol

import attrs

MARGIN_S: Final = 0.030
"""Seconds added to a window, so that requests delayed on their way still keep it when they arrive."""

MARGIN_SHARE: Final = 0.03
"""Largest part of a window spent on that margin: 97 % of every rate stays usable."""

LATE_S: Final = 0.030
"""Seconds after which a missed slot is given up: a machine that slept must not send its queue at once."""

MAX_PENALTY_S: Final = 86400.0
"""Longest pause one reply may impose on everybody."""

FORGET_AT_ONCE: Final = 100
"""Old slots dropped with each new one: enough to shrink the log, too few to be felt."""


class StoreUnusable(Exception):
    """The store cannot be read or written; the limiter goes on in memory."""


@attrs.frozen
class Window:
    """At most `limit` requests in any `interval_s` seconds."""

    limit: int
    interval_s: float

    @property
    def spacing_s(self) -> float:
        """Seconds between a slot and the one `limit` places later: the interval and its margin."""
        return self.interval_s + min(MARGIN_S, MARGIN_SHARE * self.interval_s)


@attrs.frozen
class Slot:
    """A place in the queue: its number, when it may be used, and the store's time of saying so."""

    number: int
    at: float
    now: float
    weight: int = 1
    latest: float = math.inf

    @property
    def wait_s(self) -> float:
        """Seconds until the slot may be used; zero or less: now."""
        return self.at - self.now


@attrs.define
class Budget:
    """What a store keeps of one server besides its slots. Times are seconds of the store's clock."""

    count: int = 0
    """Number of the newest slot."""
    oldest: int = 1
    """Number of the oldest slot still kept."""
    longest_s: float = 0.0
    """The longest window anyone used, with its margin: no slot younger than this is forgotten."""
    blocked_until: float = 0.0
    """Nothing leaves before: the server asked for it."""
    seen: float = 0.0
    """The time of the newest change, which shows a clock that was set back."""


class Book(Protocol):
    """One budget, open for change and locked against everybody else."""

    budget: Budget
    now: float

    def at(self, number: int) -> float | None:
        """Return the time of a slot, or None if it is not kept."""

    def write(self, number: int, at: float) -> None:
        """Set the time of a slot."""

    def drop(self, number: int) -> None:
        """Forget a slot."""

    def shift(self, seconds: float) -> None:
        """Move all slots by so many seconds."""


class SlotStore(Protocol):
    """Where the slots of all budgets are kept. Each method is one indivisible step."""

    def reserve(self, name: str, windows: tuple[Window, ...], weight: int, max_wait_s: float) -> Slot | None:
        """Take the next free slot, or none and return None if it is further away than `max_wait_s`."""

    def confirm(self, name: str, windows: tuple[Window, ...], slot: Slot) -> Slot | None:
        """Return where a slot stands now: unchanged, moved, or replaced because it was missed."""

    def give_back(self, name: str, slot: Slot) -> None:
        """Return a slot that will not be used."""

    def penalize(self, name: str, seconds: float) -> None:
        """Move every slot not used yet behind a pause that starts now."""

    def close(self) -> None:
        """Release what is held; the next use opens it again."""


def reserve(book: Book, windows: tuple[Window, ...], weight: int, max_wait_s: float) -> Slot | None:
    """Take the next free slot, or None if it is further away than `max_wait_s`."""
    settle(book)
    return _take(book, windows, weight, book.now + max_wait_s)


def confirm(book: Book, windows: tuple[Window, ...], slot: Slot) -> Slot | None:
    """Return where a slot stands now; a missed one is replaced by the next free one.

    Returns None, and gives the slot back, once it lies behind `slot.latest`.
    """
    settle(book)
    at = book.at(slot.number)
    if at is not None and (at > book.now or usable(at, book.now, book.budget.blocked_until)):
        if at <= slot.latest:
            return attrs.evolve(slot, at=at, now=book.now)
        _free(book, slot)
        return None
    _free(book, slot)
    return _take(book, windows, slot.weight, slot.latest)


def usable(at: float, now: float, blocked_until: float) -> bool:
    """Return whether a slot that came up at `at` may still be used at `now`."""
    return at <= now <= at + LATE_S and now >= blocked_until


def give_back(book: Book, slot: Slot) -> None:
    """Free a slot if nobody queues behind it; otherwise it passes unused."""
    settle(book)
    _free(book, slot)


def penalize(book: Book, seconds: float) -> None:
    """Start a pause now and move the whole queue behind it, in order and with its distances kept."""
    settle(book)
    budget = book.budget
    until = book.now + min(seconds, MAX_PENALTY_S)
    queue = []
    for number in range(budget.count, budget.oldest - 1, -1):
        at = book.at(number)
        if at is None or at <= book.now:
            break
        queue.append((number, at))
    shift = until - queue[-1][1] if queue else 0.0
    if shift > 0:
        for number, at in queue:
            book.write(number, at + shift)
    budget.blocked_until = max(budget.blocked_until, until)


def settle(book: Book) -> None:
    """Note the time; if the clock was set back, or a slot makes no sense, move the log back with it."""
    budget = book.budget
    budget.blocked_until = min(budget.blocked_until, max(book.now, budget.seen) + MAX_PENALTY_S)
    ahead = max(budget.seen - book.now, _senseless_s(book))
    if ahead > 0:
        book.shift(-ahead)
        budget.blocked_until -= ahead
    budget.seen = book.now


def _senseless_s(book: Book) -> float:
    """Return how far the newest slot lies ahead if no queue explains it: each is at most one window apart."""
    budget = book.budget
    last = book.at(budget.count) or 0.0
    kept = budget.count - budget.oldest + 1
    possible = max(book.now, budget.seen, budget.blocked_until) + budget.longest_s * (kept + 1)
    return last - book.now if last > possible else 0.0


def _free(book: Book, slot: Slot) -> None:
    if slot.number != book.budget.count:
        return
    for number in range(slot.number, slot.number - slot.weight, -1):
        book.drop(number)
    book.budget.count -= slot.weight
    book.budget.oldest = min(book.budget.oldest, book.budget.count + 1)


def _take(book: Book, windows: tuple[Window, ...], weight: int, latest: float) -> Slot | None:
    at = _next_at(book, windows, weight)
    if at > latest:
        return None
    budget = book.budget
    for _ in range(weight):
        budget.count += 1
        book.write(budget.count, at)
    budget.longest_s = max(budget.longest_s, *(window.spacing_s for window in windows))
    _forget(book)
    return Slot(budget.count, at, book.now, weight, latest)


def _next_at(book: Book, windows: tuple[Window, ...], weight: int) -> float:
    count = book.budget.count
    at = max(book.now, book.budget.blocked_until, book.at(count) or 0.0)
    for window in windows:
        earlier = book.at(count + weight - window.limit)
        if earlier is not None:
            at = max(at, earlier + window.spacing_s)
    return at


def _forget(book: Book) -> None:
    budget = book.budget
    for _ in range(min(FORGET_AT_ONCE, budget.count - budget.oldest)):
        at = book.at(budget.oldest)
        if at is not None and at + budget.longest_s > book.now:
            return
        book.drop(budget.oldest)
        budget.oldest += 1
