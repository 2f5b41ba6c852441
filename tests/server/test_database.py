"""The database refuses what it cannot read, and keeps what it was told."""

import sqlite3
from pathlib import Path

import pytest
from live_server import OpenDatabase

from astrometry_client.errors import InputError
from astrometry_client.server.database import SCHEMAS, Database
from astrometry_client.server.queue import Queue
from astrometry_client.server.tasks import FetchTask, ReadTask, SolveTask


def users(database: Database) -> int:
    row = database.row("SELECT count(*) AS number FROM users")
    return 0 if row is None else int(row["number"])


def add_users(database: Database, *names: str) -> None:
    with database.transaction() as connection:
        for name in names:
            connection.execute("INSERT INTO users (name) VALUES (?)", (name,))


def test_opened_again_it_is_the_same(open_database: OpenDatabase) -> None:
    add_users(open_database(), "a")
    add_users(open_database(), "b")
    assert users(open_database()) == 2


def test_failed_transaction_leaves_nothing(open_database: OpenDatabase) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        add_users(open_database(), "a", "a")
    assert users(open_database()) == 0


def test_write_is_on_the_disk(open_database: OpenDatabase) -> None:
    row = open_database().row("PRAGMA synchronous")
    assert row is not None
    assert row[0] == 2  # FULL: every commit waits for the disk


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"no database " * 1000)
    with pytest.raises(InputError, match="move it away"):
        Database(tmp_path / "db")


def test_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute(f"PRAGMA user_version = {len(SCHEMAS) + 1}")
    connection.close()
    with pytest.raises(InputError, match="newer version"):
        Database(tmp_path / "db")


def test_work_of_an_older_version_is_gone_on_with(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "db", isolation_level=None)
    for number, schema in enumerate(SCHEMAS[:2], start=1):
        old.executescript(f"{schema} PRAGMA user_version = {number};")
    old.execute("INSERT INTO users (name) VALUES ('someone')")
    for options, sha1, finished in (
        ('{"url": "http://x"}', None, None),
        ("{}", "abc", "2026"),
        ("{}", "abc", None),
    ):
        old.execute(
            "INSERT INTO submissions (user_id, sha1, filename, options, started, finished)"
            " VALUES (1, ?, 'a', ?, '2026', ?)",
            (sha1, options, finished),
        )
    old.execute("INSERT INTO images (submission_id, sha1, filename, field) VALUES (2, 'abc', 'a', 'field')")
    old.close()
    database = Database(tmp_path / "db")
    queue = Queue(database)
    queue.recover()
    assert queue.take_fetch() == FetchTask(1, "http://x")
    assert queue.take() == ReadTask(3, "abc", "a", {})
    assert queue.take() == SolveTask(1, "abc", "field", {})
    assert queue.take() is None
    database.close()
