"""The ledger: what was uploaded, and what became of it."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Self

from astrometry_client.config import DEFAULTS, state_dir
from astrometry_client.errors import InputError
from astrometry_client.ledger.attempts import ENTRY, IMAGE, add_name, entry_of, key_values, latest
from astrometry_client.ledger.holder import Holder
from astrometry_client.ledger.leases import Leases
from astrometry_client.ledger.ledger_file import LedgerFile
from astrometry_client.ledger.values import Entry, Key
from astrometry_client.models import Solution


class Ledger:
    """The record of uploads and results, shared by all threads and processes of a user.

    An image is known by the content of its file, the settings and the server, never by its name. Every step
    is written before and after it is taken and is on the disk then. An image tried again gets another entry;
    nothing is overwritten. A file that is damaged is renamed (`.damaged-…`) with a warning, and a new one
    begun; a file that is another program's is left alone.

    Parameters
    ----------
    path
        The file, on a local disk; by default `ledger.sqlite` in the user's state folder.
    lease_s
        Seconds after which an image that a process had in hand is free for others, if the process died;
        above 0.
    clock
        Seconds since the epoch.

    Raises
    ------
    InputError
        The lease is none.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        lease_s: float = DEFAULTS.lease_s,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._set_up(
            state_dir() / "ledger.sqlite" if path is None else Path(path), lease_s=lease_s, clock=clock
        )

    @classmethod
    def in_memory(cls) -> Self:
        """Return a ledger that is gone with the process."""
        ledger = cls.__new__(cls)
        ledger._set_up(None, lease_s=DEFAULTS.lease_s, clock=time.time)
        return ledger

    def __repr__(self) -> str:
        return f"<Ledger {self.path or 'in memory'}>"

    @property
    def path(self) -> Path | None:
        """The file; `None` if it is in memory."""
        return self._file.path

    def holder(self) -> Holder:
        """Return somebody who works on images, to be used as a context manager."""
        return Holder(self._file, self._leases)

    def entry(self, key: Key) -> Entry | None:
        """Return the last attempt to solve an image; `None` if it is not known.

        Raises
        ------
        LedgerError
            The ledger cannot be read.
        """

        def step(connection: sqlite3.Connection) -> Entry | None:
            image = connection.execute(IMAGE, key_values(key)).fetchone()
            return latest(connection, image["id"], key) if image else None

        return self._file.transact(step)

    def entries(self) -> Iterator[tuple[Entry, tuple[str, ...]]]:
        """Yield the last attempt of each image in the order they came to be known.

        Yields
        ------
        entry : Entry
            The attempt.
        names : tuple of str
            The paths the image was given under.
        """
        last = 0
        while found := self._file.transact(partial(_next, after=last)):
            last, entry, names = found
            yield entry, names

    def solve_times_s(self, server: str, *, latest: int = 64) -> list[float]:
        """Return about how long the latest solves at a server took, the oldest first.

        Raises
        ------
        LedgerError
            The ledger cannot be read.
        """
        query = """SELECT solve_s FROM attempts JOIN images ON images.id = image
            WHERE server = ? AND solve_s IS NOT NULL ORDER BY attempts.id DESC LIMIT ?"""
        found = self._file.transact(
            lambda connection: connection.execute(query, (server.rstrip("/"), latest)).fetchall()
        )
        return [row["solve_s"] for row in reversed(found)]

    def gave(self, path: str, wcs_file: bytes) -> bool:
        """Return whether this is a WCS that an image was given, at any time, under this path.

        Raises
        ------
        LedgerError
            The ledger cannot be read.
        """
        query = "SELECT 1 FROM names JOIN attempts USING (image) WHERE name = ? AND wcs_file = ?"
        return self._file.transact(
            lambda connection: connection.execute(query, (path, wcs_file)).fetchone() is not None
        )

    def remember(self, key: Key, solution: Solution, *, name: str) -> None:
        """Write down a solution that was found without this ledger.

        Parameters
        ----------
        name
            The path of the image.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        with self.holder() as holder:
            claim = holder.claim(key, name=name, redo=("solved", "failed"))
            if claim.granted:
                holder.solved(claim.entry, solution)

    def also_named(self, key: Key, *, name: str) -> None:
        """Write down another path that an image lies under.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        self._file.transact(lambda connection: add_name(connection, key, name))

    def replaced(self, key: Key, *, name: str) -> None:
        """Write down that an image lies under a path no more, as another took its place.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        query = f"DELETE FROM names WHERE name = ? AND image = ({IMAGE})"  # noqa: S608  of our own parts
        self._file.transact(lambda connection: connection.execute(query, (name, *key_values(key))))

    def expect(self, places: Mapping[str, str]) -> None:
        """Write down where results are wanted, for each path of an image, until they have landed.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        query = "INSERT OR REPLACE INTO landings VALUES (?, ?)"
        self._file.transact(lambda connection: connection.executemany(query, places.items()))

    def expected(self) -> dict[str, str]:
        """Return where results are wanted that have not landed.

        Raises
        ------
        LedgerError
            The ledger cannot be read.
        """
        query = "SELECT name, place FROM landings ORDER BY name"
        return self._file.transact(lambda connection: dict(map(tuple, connection.execute(query))))

    def landed(self, names: Iterable[str]) -> None:
        """Write down that results have landed, or are not wanted any more.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        query, values = "DELETE FROM landings WHERE name = ?", [(name,) for name in names]
        self._file.transact(lambda connection: connection.executemany(query, values))

    def close(self) -> None:
        """Give the file back; the next use opens it again."""
        self._file.close()

    def _set_up(self, path: Path | None, *, lease_s: float, clock: Callable[[], float]) -> None:
        if not lease_s > 0:
            raise InputError(f"lease_s={lease_s!r} is not allowed: give seconds above 0.")
        self._file = LedgerFile(path, lock_wait_s=DEFAULTS.ledger_lock_s)
        self._leases = Leases(self._file, lease_s=lease_s, clock=clock)


def _next(connection: sqlite3.Connection, *, after: int) -> tuple[int, Entry, tuple[str, ...]] | None:
    query = f"{ENTRY} WHERE image > ? ORDER BY image, attempt DESC LIMIT 1"
    found = connection.execute(query, (after,)).fetchone()
    if found is None:
        return None
    names = connection.execute("SELECT name FROM names WHERE image = ? ORDER BY name", (found["image"],))
    return found["image"], entry_of(found), tuple(name for (name,) in names)
