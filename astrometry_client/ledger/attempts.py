"""Rows of the ledger as values, inside an open transaction."""

import sqlite3
from typing import Final

from astrometry_client.ledger.values import Entry, Key, calibration_of

IMAGE: Final = "SELECT id FROM images WHERE server = ? AND content_sha256 = ? AND settings_json = ?"
"""Finds an image by `key_values`. Row ids alone do not do: they count from 1 again in a new file."""

ENTRY: Final = """
SELECT * FROM (SELECT id AS image, server, content_sha256, settings_json FROM images)
JOIN attempts USING (image)
"""

_COLUMNS: Final = (
    *("id", "attempt", "state", "filename", "submission_id", "job_id", "begun_s", "sent_s", "ended_s"),
    *("wcs_file", "error_kind", "error_message", "server_message"),
)


def key_values(key: Key) -> tuple[str, str, str]:
    """Return what an image is found by: server, content, settings."""
    return key.server, key.content_sha256, key.settings_json


def entry_of(row: sqlite3.Row, key: Key | None = None) -> Entry:
    """Return the entry in a row of `ENTRY`, with the key it was looked up by, if there is one."""
    key = key or Key(
        server=row["server"], content_sha256=row["content_sha256"], settings_json=row["settings_json"]
    )
    values = {name: row[name] for name in _COLUMNS}
    return Entry(key=key, calibration=calibration_of(row["calibration"]), **values)


def latest(connection: sqlite3.Connection, image: int, key: Key) -> Entry | None:
    """Return the last attempt of an image."""
    row = connection.execute(f"{ENTRY} WHERE image = ? ORDER BY attempt DESC LIMIT 1", (image,)).fetchone()
    return row and entry_of(row, key)


def begin(connection: sqlite3.Connection, image: int, key: Key, *, attempt: int, now_s: float) -> Entry:
    """Begin another attempt and return it."""
    connection.execute(
        "INSERT INTO attempts (image, attempt, state, begun_s) VALUES (?, ?, 'waiting', ?)",
        (image, attempt, now_s),
    )
    entry = latest(connection, image, key)
    assert entry is not None  # noqa: S101  just written
    return entry


def add_name(connection: sqlite3.Connection, key: Key, name: str) -> None:
    """Write down an image and a path it lies under."""
    connection.execute(
        "INSERT OR IGNORE INTO images (server, content_sha256, settings_json) VALUES (?, ?, ?)",
        key_values(key),
    )
    query = f"INSERT OR IGNORE INTO names VALUES (({IMAGE}), ?)"  # noqa: S608  of our own parts
    connection.execute(query, (*key_values(key), name))
