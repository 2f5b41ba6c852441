"""Slots kept in one SQLite file: shared by every thread and process of a user.

A step is one `BEGIN IMMEDIATE` transaction, so nobody sees a log that is being changed, and a process
killed in the middle leaves it as it was.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from astrometry_client.own_database import Kind, OwnDatabase, is_damage, transaction
from astrometry_client.session import slots
from astrometry_client.session.slots import Book, Budget, Slot, StoreUnusable, Window
from astrometry_client.session.slots_memory import BookSlots, Result

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_S: Final = 5.0
"""Longest wait for another process's transaction, which takes 0.1 ms: after this it is stuck."""

RATES: Final = Kind(
    application_id=0x41535452,  # "ASTR"
    version=1,
    tables="""
CREATE TABLE IF NOT EXISTS budgets (name TEXT PRIMARY KEY, count INTEGER NOT NULL, oldest INTEGER NOT NULL,
    longest_s REAL NOT NULL, blocked_until REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (name TEXT, number INTEGER, at REAL NOT NULL, PRIMARY KEY (name, number))
    WITHOUT ROWID;
""",
)

_BUDGET: Final = """
SELECT CAST(count AS INTEGER), CAST(oldest AS INTEGER), CAST(longest_s AS REAL), CAST(blocked_until AS REAL),
    CAST(seen AS REAL) FROM budgets WHERE name = ?
"""
"""The casts make numbers of whatever a damaged file holds."""


class SQLiteSlots(BookSlots):
    """Slots of all processes that name the same file.

    The file uses the wall clock, the only one that processes and restarts share. It is created for its
    owner alone (0600, in a folder of 0700). A damaged file is renamed, never deleted, and a new one begun.

    Parameters
    ----------
    path
        The file. Must lie on a local disk: SQLite's locks do not hold on network folders.
    clock
        Seconds since the epoch.
    busy_timeout_s
        Longest wait for another process, then `StoreUnusable`.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.time, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.path = path
        self._clock = clock
        self._database = OwnDatabase(path, RATES, lock_wait_s=busy_timeout_s)
        self._failure: str | None = None

    def change(self, name: str, act: Callable[[Book], Result]) -> Result:
        """Return what `act` returns on the budget of a server, one thread of one process at a time."""
        return self._guarded(lambda connection: self._transact(connection, name, act))

    def confirm(self, name: str, windows: tuple[Window, ...], slot: Slot) -> Slot | None:
        """Return where a slot stands now: a plain read if nothing happened to it."""
        at, blocked_until = self._guarded(lambda connection: _standing(connection, name, slot.number))
        now = self._clock()
        if at is not None and at <= slot.latest and slots.usable(at, now, blocked_until):
            return attrs.evolve(slot, at=at, now=now)
        return super().confirm(name, windows, slot)

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        with self._database.lock:
            self._database.close()

    def _guarded(self, use: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._database.lock:
            if self._failure is not None:  # the threads behind need not find out one after another
                raise StoreUnusable(self._failure)
            try:
                return self._repaired(use)
            except (sqlite3.Error, OSError, OverflowError, StoreUnusable) as error:
                self._database.close()
                self._failure = f"{self.path}: {error}"
                raise StoreUnusable(self._failure) from error

    def _repaired(self, use: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return use(self._database.connection())
        except sqlite3.Error as error:
            # A missing table or column is damage too.
            if not is_damage(error) and getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR:
                raise
            kept = self._database.set_aside()
            if kept is not None:
                logger.warning(
                    "The rate database %s is damaged (%s). It was kept as %s, a new one begun.",
                    self.path,
                    error,
                    kept,
                )
        return use(self._database.connection())

    def _transact(self, connection: sqlite3.Connection, name: str, act: Callable[[Book], Result]) -> Result:
        with transaction(connection):
            book = _SQLiteBook(connection, name, self._clock())
            result = act(book)
            book.save()
        return result


class _SQLiteBook:
    """One budget inside an open transaction."""

    def __init__(self, connection: sqlite3.Connection, name: str, now: float) -> None:
        self._connection = connection
        self._name = name
        self.now = now
        row = connection.execute(_BUDGET, (name,)).fetchone()
        self.budget = Budget(*row) if row else Budget()

    def at(self, number: int) -> float | None:
        row = self._connection.execute(
            "SELECT CAST(at AS REAL) FROM slots WHERE name = ? AND number = ?", (self._name, number)
        ).fetchone()
        return row[0] if row else None

    def write(self, number: int, at: float) -> None:
        self._connection.execute("REPLACE INTO slots VALUES (?, ?, ?)", (self._name, number, at))

    def drop(self, number: int) -> None:
        self._connection.execute("DELETE FROM slots WHERE name = ? AND number = ?", (self._name, number))

    def shift(self, seconds: float) -> None:
        self._connection.execute("UPDATE slots SET at = at + ? WHERE name = ?", (seconds, self._name))

    def save(self) -> None:
        self._connection.execute(
            "REPLACE INTO budgets VALUES (?, ?, ?, ?, ?, ?)", (self._name, *attrs.astuple(self.budget))
        )


def _standing(connection: sqlite3.Connection, name: str, number: int) -> tuple[float | None, float]:
    row = connection.execute(
        "SELECT CAST(at AS REAL), CAST(blocked_until AS REAL) FROM slots JOIN budgets USING (name)"
        " WHERE name = ? AND number = ?",
        (name, number),
    ).fetchone()
    return row or (None, 0.0)
