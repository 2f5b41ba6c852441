"""The SQLite file of the cache. Whatever is wrong with it, nobody waits long and nobody fails.

There is one warning, and for a while the file is left alone. A damaged one is set aside.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from astrometry_client.own_database import Kind, OwnDatabase, is_damage

__all__ = ["CacheFile"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_REST_S: Final = 60.0
"""How long a file that failed is left alone."""

REPLIES: Final = Kind(
    application_id=0x41535443,  # "ASTC"
    version=1,
    tables="""
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, url TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT, headers TEXT NOT NULL,
    encoding TEXT, created REAL NOT NULL, expires REAL, used REAL NOT NULL, size INTEGER NOT NULL,
    is_file INTEGER NOT NULL, body BLOB
);
CREATE INDEX IF NOT EXISTS by_use ON replies (used, size);
""",
)


class CacheFile:
    """One connection for all threads, opened when needed, dropped when it fails, left behind by a fork.

    Parameters
    ----------
    path
        The file; made when first needed, readable by its owner alone.
    lock_wait_s
        Longest wait for another process that writes.
    """

    def __init__(self, path: Path, *, lock_wait_s: float) -> None:
        self.path = path
        self._database = OwnDatabase(path, REPLIES, lock_wait_s=lock_wait_s)
        self._rests_until = 0.0
        self._warned = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._database.is_open

    def use(self, step: Callable[[sqlite3.Connection], T], *, otherwise: T) -> T:
        """Return what `step` returns, `otherwise` if the file is not usable or busy for too long."""
        with self._database.lock:
            if time.monotonic() < self._rests_until:
                return otherwise
            try:
                return step(self._database.connection())
            except (sqlite3.Error, OSError) as cause:
                self._give_up(cause)
                return otherwise

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        with self._database.lock:
            self._database.close()

    def _give_up(self, cause: sqlite3.Error | OSError) -> None:
        self._rests_until = time.monotonic() + _REST_S
        kept: Path | None = None
        with contextlib.suppress(sqlite3.Error, OSError):
            if isinstance(cause, sqlite3.Error) and is_damage(cause):
                kept = self._database.set_aside()
            else:
                self._database.close()
        level = logging.DEBUG if self._warned else logging.WARNING
        told = f" The damaged file is now {kept}." if kept else ""
        logger.log(level, "Replies are not stored: %s is not usable (%s).%s", self.path, cause, told)
        self._warned = True
