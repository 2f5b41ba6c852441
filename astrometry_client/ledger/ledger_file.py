"""The SQLite file of the ledger: one short transaction a step, and nothing that was written is deleted."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from astrometry_client.errors import LedgerError
from astrometry_client.own_database import (
    Kind,
    OwnDatabase,
    is_damage,
    transaction,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A step must be on the disk before the upload it tells of leaves.
LEDGER: Final = Kind(
    application_id=0x4153544C,  # "ASTL"
    version=5,
    durable=True,
    tables="""
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
    solve_s REAL,
    UNIQUE (image, attempt)
);
CREATE INDEX IF NOT EXISTS submissions ON attempts (submission_id);
CREATE TABLE IF NOT EXISTS landings (name TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    server TEXT PRIMARY KEY, kept INTEGER NOT NULL, broken INTEGER NOT NULL
) WITHOUT ROWID;
""",
    upgrades={1: "ALTER TABLE attempts ADD COLUMN solve_s REAL;"},
)

_REMEDIES: Final = {
    sqlite3.SQLITE_BUSY: "another process holds it: run the same again later",
    sqlite3.SQLITE_FULL: "make room and run the same again",
    sqlite3.SQLITE_READONLY: "make it writable, or give another path",
    sqlite3.SQLITE_CANTOPEN: "make its folder writable, or give another path",
}


class LedgerFile:
    """The file, for all threads and processes.

    Parameters
    ----------
    path
        Made when first needed, readable by its owner alone. `None` keeps all in memory.
    lock_wait_s
        Longest wait for another process that writes.
    """

    def __init__(self, path: Path | None, *, lock_wait_s: float) -> None:
        self.path = path
        self._database = OwnDatabase(path, LEDGER, lock_wait_s=lock_wait_s)

    def transact(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out a step whole or not at all, and return what it returns.

        A damaged file is renamed with a warning, and a new one begun.

        Raises
        ------
        LedgerError
            The file is another program's, stays locked, or cannot be read or written.
        """
        with self._database.lock:
            try:
                return self._repaired(step)
            except (sqlite3.Error, OSError) as cause:
                remedy = _REMEDIES.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, "give another path")
                raise LedgerError(f"The ledger {self.path} is not usable ({cause}): {remedy}.") from cause

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        with self._database.lock:
            self._database.close()

    def _repaired(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._transacted(step)
        except sqlite3.DatabaseError as damage:
            if not is_damage(damage):
                raise
            kept = self._database.set_aside()
            if kept is not None:
                logger.warning(
                    "The ledger %s is damaged (%s). It was kept as %s, and a new one begun: images it knew "
                    "are uploaded again.",
                    self.path,
                    damage,
                    kept,
                )
        return self._transacted(step)

    def _transacted(self, step: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._database.connection()
        connection.row_factory = sqlite3.Row
        with transaction(connection):
            return step(connection)
