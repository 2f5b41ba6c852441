# ruff: noqa: S608  queries are put together of our own parts only
"""The ledger for those who only look: nothing is made, mended or locked."""

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import attrs

from astrometry_client.config import DEFAULTS, state_dir
from astrometry_client.errors import LedgerError
from astrometry_client.ledger.attempts import entry_of
from astrometry_client.ledger.ledger_file import LEDGER
from astrometry_client.ledger.values import LOCAL, Entry, State

_PAGE: Final = 500
"""Images read at a time: a long read would keep the file of a running batch from being tidied up."""

_LATEST: Final = f"""
FROM images JOIN attempts ON attempts.image = images.id
WHERE attempt = (SELECT max(attempt) FROM attempts WHERE attempts.image = images.id)
AND (state IN ('solved', 'failed') OR NOT EXISTS (
    SELECT 1 FROM images AS here JOIN attempts AS there ON there.image = here.id
    WHERE here.content_sha256 = images.content_sha256 AND here.settings_json = images.settings_json
    AND here.server = '{LOCAL}' AND there.state = 'solved'))
AND EXISTS (SELECT 1 FROM names WHERE names.image = images.id)
"""
"""The last attempts of images that lie anywhere. What this machine has solved in place of a server is not
unfinished there."""

_IMAGES: Final = f"""
SELECT images.id AS image, server, content_sha256, settings_json, attempts.id AS id, attempt, state, filename,
    submission_id, job_id, begun_s, sent_s, ended_s, calibration, NULL AS wcs_file, error_kind, error_message,
    server_message, (SELECT json_group_array(name) FROM names WHERE names.image = images.id) AS names
{_LATEST} AND images.id > ?
"""


@attrs.frozen(kw_only=True)
class Count:
    """How many images of a server are in a state."""

    server: str
    state: State
    images: int
    oldest_s: float
    """When the first of them was begun, seconds since the epoch."""


@attrs.frozen(kw_only=True)
class InHand:
    """What a process works on."""

    process_id: int
    images: int
    until_s: float
    """When its images are free for others if it says no more, seconds since the epoch."""


@attrs.frozen(kw_only=True)
class KnownImage:
    """An image, the last attempt to solve it (without its WCS file), and the paths it was given under."""

    entry: Entry
    paths: tuple[str, ...]


class LedgerReader:
    """A look into a ledger, also while others write to it.

    Parameters
    ----------
    path
        The file; by default the user's own ledger.
    clock
        Seconds since the epoch.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path or state_dir() / "ledger.sqlite"
        self._clock = clock

    def counts(self) -> tuple[Count, ...]:
        """Return how many images are in which state, by server.

        Raises
        ------
        LedgerError
            There is no ledger, or it cannot be read.
        """
        query = f"""SELECT server, state, count(*) AS images, min(begun_s) AS oldest_s {_LATEST}
            GROUP BY server, state ORDER BY server, state"""
        return tuple(Count(**row) for row in self._rows(query))

    def in_hand(self) -> tuple[InHand, ...]:
        """Return which processes work on images right now; see `counts`."""
        query = """SELECT owner, count(*) AS images, max(leased_until_s) AS until_s FROM images
            WHERE leased_until_s > ? GROUP BY owner ORDER BY owner"""
        return tuple(
            InHand(
                process_id=int(row["owner"].partition("-")[0]), images=row["images"], until_s=row["until_s"]
            )
            for row in self._rows(query, self._clock())
        )

    def images(
        self, *, server: str | None = None, states: Collection[State] | None = None
    ) -> Iterator[KnownImage]:
        """Yield images in the order they came to be known; see `counts`.

        Parameters
        ----------
        server, states
            Which ones only; by default all.
        """
        query, values = _IMAGES, list[str]()
        if server is not None:
            query += " AND server = ?"
            values.append(server.rstrip("/"))
        if states is not None:
            query += f" AND state IN ({', '.join('?' * len(states))})"
            values += states
        last: int | None = 0
        while last is not None:
            page = self._rows(f"{query} ORDER BY images.id LIMIT {_PAGE}", last, *values)
            for row in page:
                yield KnownImage(entry=entry_of(row), paths=tuple(sorted(json.loads(row["names"]))))
            last = page[-1]["image"] if page else None

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._opened() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise LedgerError(f"There is no ledger at {self.path}: solve images first, or name another.")
        try:
            # Not `mode=ro`: what a killed process wrote last stands beside the file and is read with it.
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw", timeout=DEFAULTS.ledger_lock_s, uri=True
            )
            with closing(connection):
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA query_only = 1")
                self._check(connection)
                yield connection
        except sqlite3.Error as cause:
            raise LedgerError(f"The ledger {self.path} cannot be read ({cause}): name another.") from cause

    def _check(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != LEDGER.application_id:
            raise LedgerError(f"{self.path} is no ledger of this package: name another file.")
        if version > LEDGER.version:
            raise LedgerError(f"The ledger {self.path} is of a newer version of this package: use that.")
