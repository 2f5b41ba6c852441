"""The SQLite file of the ledger: one short transaction a step, and nothing that was written is deleted."""

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from filelock import FileLock, Timeout

from astrometry_client.errors import LedgerError
from astrometry_client.own_database import transaction
from astrometry_client.session.slots_file import identity, private_file

logger = logging.getLogger(__name__)

T = TypeVar("T")

_APPLICATION_ID: Final = 0x4153544C
"""Marks the file as ours ("ASTL"), so that another program's database is left alone."""

_VERSION: Final = 1

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_REMEDIES: Final = {
    sqlite3.SQLITE_BUSY: "another process holds it: run the same again later",
    sqlite3.SQLITE_FULL: "make room and run the same again",
    sqlite3.SQLITE_READONLY: "make it writable, or give another path",
    sqlite3.SQLITE_CANTOPEN: "make its folder writable, or give another path",
}

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS images (
    id INTEGER PRIMARY KEY, server TEXT NOT NULL, content_sha256 TEXT NOT NULL, settings_json TEXT NOT NULL,
    owner TEXT, leased_until_s REAL, UNIQUE (content_sha256, settings_json, server)
);
CREATE TABLE IF NOT EXISTS names (
    image INTEGER NOT NULL REFERENCES images, name TEXT NOT NULL, PRIMARY KEY (image, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, filename TEXT, submission_id INTEGER, job_id INTEGER,
    begun_s REAL NOT NULL, sent_s REAL, ended_s REAL,
    calibration TEXT, wcs_file BLOB, error_kind TEXT, error_message TEXT, server_message TEXT,
    UNIQUE (image, attempt)
);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""

_files: "weakref.WeakSet[LedgerFile]" = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []
"""Connections of the parent process. Closing one in a child would damage the parent's file."""


class LedgerFile:
    """One connection for all threads, opened when needed, opened anew in a forked child.

    Parameters
    ----------
    path
        The file; made when first needed, readable by its owner alone. `None` keeps all in memory.
    lock_wait_s
        Longest wait for another process that writes.
    """

    def __init__(self, path: Path | None, *, lock_wait_s: float) -> None:
        self.path = path
        self._lock_wait_s = lock_wait_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._finalizer: weakref.finalize[..., LedgerFile] | None = None
        self._identity: tuple[int, int] | None = None
        _files.add(self)

    def transact(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out a step whole or not at all, and return what it returns.

        A damaged file is renamed with a warning, and a new one begun.

        Raises
        ------
        LedgerError
            The file is another program's, stays locked, or cannot be read or written.
        """
        with self._lock:
            try:
                try:
                    return self._transacted(step)
                except sqlite3.DatabaseError as damage:
                    if _code(damage) not in _DAMAGE or self.path is None:
                        raise
                    self._set_aside(self.path, damage)
                    return self._transacted(step)
            except (sqlite3.Error, OSError, Timeout) as cause:
                remedy = _REMEDIES.get(_code(cause), "look at the file, or give another path")
                raise LedgerError(f"The ledger {self.path} is not usable ({cause}): {remedy}.") from cause

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

    def _transacted(self, step: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._opened()
        with transaction(connection):
            return step(connection)

    def _opened(self) -> sqlite3.Connection:
        if self.path is not None and self._connection is not None and identity(self.path) != self._identity:
            self._drop_connection()  # the file was removed or replaced: join the others at the new one
        if self._connection is None:
            name = ":memory:" if self.path is None else private_file(self.path)
            self._identity = None if self.path is None else identity(self.path)
            connection = sqlite3.connect(
                name, timeout=self._lock_wait_s, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            self._finalizer = weakref.finalize(self, connection.close)
            try:
                _prepare(connection, self.path)
            except BaseException:
                self._drop_connection()
                raise
        return self._connection

    def _set_aside(self, path: Path, damage: sqlite3.DatabaseError) -> None:
        """Rename a damaged file and what SQLite keeps beside it, unless another process just did."""
        damaged = self._identity
        self._drop_connection()
        with FileLock(f"{path}.lock", timeout=self._lock_wait_s, mode=0o600):
            if identity(path) != damaged:
                return
            kept = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{path}{suffix}").replace(f"{kept}{suffix}")
        logger.warning(
            "The ledger %s is damaged (%s). It was kept as %s, and a new one begun: images it knew are "
            "uploaded again.",
            path,
            damage,
            kept,
        )

    def _drop_connection(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._connection, self._finalizer = None, None


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    """Make the tables of a new file; refuse a file that is not ours."""
    connection.row_factory = sqlite3.Row
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != _APPLICATION_ID:
        raise LedgerError(f"{path} belongs to another program: give another path for the ledger.")
    if version > _VERSION:
        raise LedgerError(f"The ledger {path} was made by a newer version of this package: update it.")
    connection.execute("PRAGMA journal_mode = WAL")
    # A step must be on the disk before the upload it tells of leaves.
    connection.execute("PRAGMA synchronous = FULL")
    if version < _VERSION:
        connection.executescript(_SCHEMA)


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _start_anew_in_child() -> None:
    for file in list(_files):
        file.start_anew()


os.register_at_fork(after_in_child=_start_anew_in_child)
