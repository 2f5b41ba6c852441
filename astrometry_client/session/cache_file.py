"""The SQLite file of the cache. Whatever is wrong with it, nobody waits long and nobody fails.

There is one warning, and for a while the file is left alone. A damaged one is set aside.
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from astrometry_client.session.slots_file import identity, private_file

__all__ = ["CacheFile", "transaction"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_APPLICATION_ID: Final = 0x41535443
"""Marks the file as ours ("ASTC"), so that another program's database is left alone."""

_VERSION: Final = 1
_REST_S: Final = 60.0
"""How long a file that failed is left alone."""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, url TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT, headers TEXT NOT NULL,
    encoding TEXT, created REAL NOT NULL, expires REAL, used REAL NOT NULL, size INTEGER NOT NULL,
    is_file INTEGER NOT NULL, body BLOB
);
CREATE INDEX IF NOT EXISTS by_use ON replies (used, size);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""

_files: "weakref.WeakSet[CacheFile]" = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []
"""Connections of the parent process. Closing one in a child would damage the parent's file."""


class _ForeignFileError(sqlite3.DatabaseError):
    """The file is a database, but not one of ours."""


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
        self._lock_wait_s = lock_wait_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._finalizer: weakref.finalize[..., CacheFile] | None = None
        self._identity: tuple[int, int] | None = None
        self._rests_until = 0.0
        self._warned = False
        _files.add(self)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def use(self, step: Callable[[sqlite3.Connection], T], *, otherwise: T) -> T:
        """Return what `step` returns, `otherwise` if the file is not usable or busy for too long."""
        with self._lock:
            if time.monotonic() < self._rests_until:
                return otherwise
            try:
                return step(self._opened())
            except (sqlite3.Error, OSError) as cause:
                self._give_up(cause)
                return otherwise

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        with self._lock:
            self._drop_connection()

    def start_anew(self) -> None:
        """Leave everything open to the parent process; called in a forked child."""
        self._lock = threading.Lock()
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection, self._finalizer = None, None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            # SQLite gives its side files the rights of the main one.
            private_file(self.path).chmod(0o600)
            self._identity = identity(self.path)
            connection = sqlite3.connect(
                self.path, timeout=self._lock_wait_s, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            self._finalizer = weakref.finalize(self, connection.close)
            _prepare(connection)
        return self._connection

    def _give_up(self, cause: sqlite3.Error | OSError) -> None:
        damaged = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
        self._rests_until = time.monotonic() + _REST_S
        with contextlib.suppress(sqlite3.Error):
            self._drop_connection()
        kept = f" The damaged file is now {self._set_aside()}." if damaged else ""
        level = logging.DEBUG if self._warned else logging.WARNING
        logger.log(level, "Replies are not stored: %s is not usable (%s).%s", self.path, cause, kept)
        self._warned = True

    def _set_aside(self) -> Path:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        with contextlib.suppress(OSError):
            # Another process may have done so, and begun a new file.
            if identity(self.path) == self._identity:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        return aside

    def _drop_connection(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._connection, self._finalizer = None, None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Carry out everything inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Also Ctrl-C: the next step must not find a transaction open.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file; refuse a file that is not ours."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != _APPLICATION_ID:
        raise _ForeignFileError("it belongs to another program")
    if version > _VERSION:
        raise _ForeignFileError("it was made by a newer version of this package")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if version < _VERSION:
        connection.executescript(_SCHEMA)


def _start_anew_in_child() -> None:
    for file in list(_files):
        file.start_anew()


os.register_at_fork(after_in_child=_start_anew_in_child)
