"""Files that keep to their share of the disk: the oldest results make room for new uploads."""

import contextlib
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from .database import Database
from .files import FileStore, NoRoom

SPARE = 0.1
"""Part of the quota that is freed beyond need, so that it is not searched for every upload."""

TIDY_S = 5.0
"""Between two counts of all files: of 100,000 it takes about half a second."""

AT_ONCE = 50
"""Submissions looked at in one step."""

_ENDED = """
    SELECT id FROM submissions WHERE finished IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM images LEFT JOIN jobs ON image_id = images.id
        WHERE submission_id = submissions.id AND coalesce(status, 'processing') IN ('processing', 'solving'))
    ORDER BY id LIMIT ?
"""

_FILES = """
    SELECT sha1 FROM submissions WHERE id = :1 AND sha1 IS NOT NULL
    UNION SELECT sha1 FROM images WHERE submission_id = :1
    UNION SELECT field FROM images WHERE submission_id = :1
"""

_REFERENCES = (
    "SELECT 1 FROM submissions WHERE sha1 = :1 UNION ALL SELECT 1 FROM images WHERE sha1 = :1 OR field = :1"
)

_FORGET = (
    "DELETE FROM calibrations WHERE job_id IN"
    " (SELECT jobs.id FROM jobs JOIN images ON images.id = image_id WHERE submission_id = ?)",
    "DELETE FROM jobs WHERE image_id IN (SELECT id FROM images WHERE submission_id = ?)",
    "DELETE FROM images WHERE submission_id = ?",
    "DELETE FROM submissions WHERE id = ?",
)


def is_wanted(database: Database, sha1: str) -> bool:
    """Tell whether a submission or an image refers to a file."""
    return database.row(_REFERENCES, sha1) is not None


class QuotaStore(FileStore):
    """A store of bounded size: ended submissions go, the oldest first, with their results and their files.

    What workers unpack and fetch is counted when it is there, so for a while it may take more than allowed.

    Parameters
    ----------
    limit_bytes
        Most that all files may take together.
    """

    def __init__(self, folder: Path, database: Database, *, limit_bytes: int) -> None:
        super().__init__(folder)
        self._database = database
        self._limit_bytes = limit_bytes
        self._turn, self._counting = threading.Lock(), threading.Lock()
        self._expected_bytes = 0
        self._next_look = 0.0
        self._used_bytes = self._measured_bytes()

    @contextlib.asynccontextmanager
    async def room(self, size_bytes: int) -> AsyncIterator[None]:
        """Keep so much of the disk free for an upload during the block; raises `NoRoom`."""
        await run_in_threadpool(self._reserve, size_bytes)
        try:
            yield
        finally:
            with self._counting:
                self._expected_bytes -= size_bytes

    def is_full(self) -> bool:
        """Tell whether no more files should be fetched now."""
        return self._used_bytes >= self._limit_bytes

    def tidy(self) -> None:
        """Remove what is too much; at most every few seconds."""
        if time.monotonic() >= self._next_look:
            with self._turn:
                self._make_room(0)
            self._next_look = time.monotonic() + TIDY_S

    def _reserve(self, size_bytes: int) -> None:
        with self._turn:
            if self._used_bytes + size_bytes > self._limit_bytes >= size_bytes:
                self._make_room(size_bytes)
            if self._used_bytes + size_bytes > self._limit_bytes:
                raise NoRoom(
                    f"there is no room for {size_bytes} bytes: this server keeps {self._limit_bytes} bytes of"
                    " files, and those it has are still being worked on; try again later"
                )
            self._used_bytes += size_bytes
            with self._counting:
                self._expected_bytes += size_bytes

    def _make_room(self, size_bytes: int) -> None:
        self._used_bytes = self._measured_bytes() + self._expected_bytes
        if self._used_bytes + size_bytes <= self._limit_bytes:
            return
        enough = (1.0 - SPARE) * self._limit_bytes - size_bytes
        while self._used_bytes > max(enough, 0.0):
            ended = self._database.rows(_ENDED, AT_ONCE)
            if not ended:
                return
            for row in ended:
                if self._used_bytes > max(enough, 0.0):
                    self._used_bytes -= self._forget(row["id"])

    def _forget(self, submission_id: int) -> int:
        """Remove a submission, all that came of it, and the files no other one refers to."""
        files = [row["sha1"] for row in self._database.rows(_FILES, submission_id)]
        with self._database.transaction() as connection:
            for statement in _FORGET:
                connection.execute(statement, (submission_id,))
        with self._database.transaction():  # meanwhile nobody can begin to refer to them
            return sum(self.remove(sha1) for sha1 in files if not is_wanted(self._database, sha1))

    def _measured_bytes(self) -> int:
        total_bytes = 0
        for path in self.files():
            with contextlib.suppress(FileNotFoundError):  # an upload that ends
                total_bytes += path.stat().st_size
        return total_bytes
