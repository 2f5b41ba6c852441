"""The one SQLite file of a server."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astrometry_client.errors import InputError

SCHEMAS = (
    """
    CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
    CREATE TABLE api_keys (hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users);
    CREATE TABLE sessions (
        hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users, expires REAL NOT NULL);
    CREATE TABLE submissions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users,
        sha1 TEXT, filename TEXT NOT NULL, options TEXT NOT NULL,
        started TEXT, finished TEXT, error_message TEXT, crashes INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX unfinished_submissions ON submissions (id) WHERE finished IS NULL;
    CREATE TABLE images (
        id INTEGER PRIMARY KEY AUTOINCREMENT, submission_id INTEGER NOT NULL REFERENCES submissions,
        sha1 TEXT NOT NULL, filename TEXT NOT NULL, field TEXT NOT NULL,
        waiting INTEGER NOT NULL DEFAULT 1);
    CREATE INDEX waiting_images ON images (id) WHERE waiting;
    CREATE INDEX images_of_submission ON images (submission_id);
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, image_id INTEGER NOT NULL UNIQUE REFERENCES images,
        status TEXT NOT NULL, reason TEXT, crashes INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX unfinished_jobs ON jobs (id) WHERE status IN ('processing', 'solving');
    CREATE TABLE calibrations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL UNIQUE REFERENCES jobs,
        calibration TEXT NOT NULL, annotations TEXT NOT NULL, wcs BLOB NOT NULL);
    """,
    "ALTER TABLE calibrations ADD COLUMN stars TEXT NOT NULL DEFAULT '[]';",
    """
    ALTER TABLE users ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE users ADD COLUMN fetch_turn INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE submissions ADD COLUMN url TEXT;
    UPDATE submissions SET url = json_extract(options, '$.url');
    ALTER TABLE submissions ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE images ADD COLUMN owner_id INTEGER REFERENCES users;
    UPDATE images SET owner_id = (SELECT user_id FROM submissions WHERE id = submission_id);
    DROP INDEX unfinished_submissions;
    CREATE INDEX untaken_submissions ON submissions (user_id, id) WHERE finished IS NULL AND taken = 0;
    DROP INDEX waiting_images;
    CREATE INDEX waiting_images ON images (owner_id, id) WHERE waiting;
    CREATE INDEX submitted_files ON submissions (sha1);
    CREATE INDEX image_files ON images (sha1);
    CREATE INDEX field_files ON images (field);
    """,
    "ALTER TABLE submissions ADD COLUMN members_read INTEGER NOT NULL DEFAULT 0;",
)
"""`user_version` of the file is the number of these that were applied."""


class Database:
    """One connection, shared by all threads of the server; a write is on the disk when it returns.

    Raises
    ------
    InputError
        The file is damaged, or was written by a newer version: move it away.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} cannot be read ({error}); move it away to start anew") from error

    def _prepare(self, path: Path) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(SCHEMAS):
            raise InputError(f"{path} was written by a newer version; update, or choose another data folder")
        for number, schema in enumerate(SCHEMAS[version:], start=version + 1):
            self._connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {number}; COMMIT;")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; everything done with it is kept, or nothing is."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # some failures have rolled back already
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row a query finds, or None."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    @property
    def changes(self) -> int:
        """Rows written so far; whoever has seen the file at this number has seen all of it."""
        return self._connection.total_changes

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
