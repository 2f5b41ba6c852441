"""The SQLite file of the slots: create it, recognise it, set a damaged one aside."""

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock

from astrometry_client.session.slots import StoreUnusable

logger = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x41535452
"""Marks a file as ours, so that another program's database is never written to."""

SCHEMA_VERSION: Final = 1

DAMAGE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary result codes of a file that is not what we wrote (a missing table is SQLITE_ERROR)."""

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE budgets (name TEXT PRIMARY KEY, count INTEGER NOT NULL, oldest INTEGER NOT NULL,
    longest_s REAL NOT NULL, blocked_until REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE slots (name TEXT, number INTEGER, at REAL NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name, or None if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, once per slot
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def private_file(path: Path) -> Path:
    """Return `path`, created empty for its owner alone (0600, in a folder of 0700) if it was not there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def open_file(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Return a connection to the slots in `path`, created for their owner alone if there are none.

    Raises
    ------
    StoreUnusable
        The file belongs to another program, or to another version of this one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=timeout_s, mode=0o600):
        connection = sqlite3.connect(
            private_file(path), timeout=timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def set_aside(path: Path, damaged: tuple[int, int] | None, reason: Exception, timeout_s: float) -> None:
    """Rename a damaged file and what SQLite keeps beside it, unless another process just did."""
    with FileLock(f"{path}.lock", timeout=timeout_s, mode=0o600):
        if damaged is None or identity(path) != damaged:
            return
        kept = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").replace(f"{kept}{suffix}")
    logger.warning(
        "The rate database %s is damaged (%s). It was kept as %s, a new one begun.", path, reason, kept
    )


def _prepare(connection: sqlite3.Connection) -> None:
    if not _is_ours(connection):
        connection.executescript(_SCHEMA)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("SELECT 1 FROM slots, budgets LIMIT 0")


def _is_ours(connection: sqlite3.Connection) -> bool:
    mark = (_pragma(connection, "application_id"), _pragma(connection, "user_version"))
    if mark == (APPLICATION_ID, SCHEMA_VERSION):
        return True
    if mark == (0, 0) and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return False
    raise StoreUnusable("the file belongs to another program or version")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
