"""The database refuses what it cannot read, and keeps what it was told."""

import sqlite3
from pathlib import Path

import pytest
from live_server import OpenDatabase

from astrometry_client.errors import InputError
from astrometry_client.server.database import SCHEMAS, Database


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
