"""The queue: URLs wait to be fetched, submissions wait to be read, their images wait to be solved.

A submission is read once: that finds its images, or ends it with an error. Then every
image gets a job when a worker takes it. All of it is in the database, so a server that
was killed goes on where it stopped. Users with work waiting take turns; what one user
sent goes in its order.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from .database import Database
from .options import URL
from .tasks import FetchTask, FoundImage, ReadTask, Solved, SolveTask, Work

_log = logging.getLogger(__name__)

MAX_CRASHES = 2
"""Work that ended its process this often fails: once may be an accident."""


_UNTAKEN = "finished IS NULL AND taken = 0"
_FETCHED = f"{_UNTAKEN} AND (url IS NULL OR sha1 IS NOT NULL)"
_UNFETCHED = f"{_UNTAKEN} AND url IS NOT NULL AND sha1 IS NULL"


class Queue:
    """The work of one server.

    Parameters
    ----------
    clock
        Tells the time, seconds since 1970.
    stored
        Tells whether the file of this hash is in the store.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        stored: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._stored = stored

    def _now(self) -> str:
        """Return the time as nova writes it: UTC without saying so."""
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        return now.isoformat(sep=" ", timespec="microseconds")

    def submit(self, user_id: int, *, sha1: str | None, filename: str, options: dict[str, Any]) -> int:
        """Add a submission; its id returns when it is safely on the disk."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO submissions (user_id, sha1, filename, options, url) VALUES (?, ?, ?, ?, ?)"
                " RETURNING id",
                (user_id, sha1, filename, json.dumps(options), options.get(URL)),
            ).fetchone()
        _log.info("submission %d of user %d: %r", row["id"], user_id, filename)
        return int(row["id"])

    def recover(self) -> None:
        """Put back what was in work when the last server ended."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE submissions SET taken = 0 WHERE finished IS NULL")
            connection.execute("UPDATE jobs SET status = 'processing' WHERE status = 'solving'")

    def take(self) -> ReadTask | SolveTask | None:
        """Return the next work, marked as begun. A user's reading goes first: it is short and tells most."""
        with self._database.transaction() as connection:
            return self._repeated_job(connection) or self._next(
                connection, unread=_FETCHED, waiting="waiting"
            )

    def take_fetch(self) -> FetchTask | None:
        """Return the next URL to be fetched, marked as begun."""
        with self._database.transaction() as connection:
            task = self._next(connection, unread=_UNFETCHED, turn="fetch_turn")
        return task and FetchTask(task.submission_id, task.options[URL])

    def take_submission(self) -> ReadTask | None:
        """Return the next submission to be read, marked as begun; one whose file is not fetched, too."""
        with self._database.transaction() as connection:
            task: ReadTask | None = self._next(connection, unread=_UNTAKEN)
        return task

    def take_job(self) -> SolveTask | None:
        """Return the next job to be solved, marked as begun."""
        with self._database.transaction() as connection:
            return self._repeated_job(connection) or self._next(connection, waiting="waiting")

    def _next(
        self, connection: sqlite3.Connection, *, unread: str = "0", waiting: str = "0", turn: str = "turn"
    ) -> Any:
        """Return the next work of the user whose turn it is, among submissions and images such as these."""
        row = connection.execute(
            "SELECT users.id AS user_id,"  # noqa: S608
            f" (SELECT min(id) FROM submissions WHERE user_id = users.id AND {unread}) AS submission_id,"
            f" (SELECT min(id) FROM images WHERE owner_id = users.id AND {waiting}) AS image_id"
            f" FROM users WHERE coalesce(submission_id, image_id) IS NOT NULL ORDER BY {turn}, id LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        connection.execute(
            f"UPDATE users SET {turn} = (SELECT max({turn}) FROM users) + 1 WHERE id = ?",  # noqa: S608
            (row["user_id"],),
        )
        if row["submission_id"] is not None:
            return self._begun_submission(connection, row["submission_id"])
        return self._new_job(connection, row["image_id"])

    def _begun_submission(self, connection: sqlite3.Connection, submission_id: int) -> ReadTask:
        row = connection.execute(
            "UPDATE submissions SET taken = 1, started = coalesce(started, ?) WHERE id = ?"
            " RETURNING id, sha1, filename, options, members_read",
            (self._now(), submission_id),
        ).fetchone()
        options = json.loads(row["options"])
        return ReadTask(row["id"], row["sha1"], row["filename"], options, row["members_read"])

    def _repeated_job(self, connection: sqlite3.Connection) -> SolveTask | None:
        """Return a job that had its turn, and was put back."""
        job = connection.execute(
            "UPDATE jobs SET status = 'solving' WHERE id = (SELECT id FROM jobs"
            " WHERE status = 'processing' ORDER BY id LIMIT 1) RETURNING id, image_id"
        ).fetchone()
        return job and self._solve_task(connection, job)

    def _new_job(self, connection: sqlite3.Connection, image_id: int) -> SolveTask:
        connection.execute("UPDATE images SET waiting = 0 WHERE id = ?", (image_id,))
        job = connection.execute(
            "INSERT INTO jobs (image_id, status) VALUES (?, 'solving') RETURNING id, image_id", (image_id,)
        ).fetchone()
        return self._solve_task(connection, job)

    @staticmethod
    def _solve_task(connection: sqlite3.Connection, job: sqlite3.Row) -> SolveTask:
        image = connection.execute(
            "SELECT images.sha1, field, options FROM images"
            " JOIN submissions ON submissions.id = submission_id WHERE images.id = ?",
            (job["image_id"],),
        ).fetchone()
        _log.info("job %d: solving", job["id"])
        return SolveTask(job["id"], image["sha1"], image["field"], json.loads(image["options"]))

    def fetched(self, submission_id: int, sha1: str) -> None:
        """Note the file of a URL; it is to be read now."""
        with self._database.transaction() as connection:
            here = (
                sha1 if self._stored(sha1) else None
            )  # an old file of this content may just have been removed
            connection.execute(
                "UPDATE submissions SET sha1 = ?, taken = 0 WHERE id = ?", (here, submission_id)
            )

    def finish_reading(
        self,
        submission_id: int,
        images: list[FoundImage],
        *,
        members_read: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Note the images found in a submission.

        Where a file of theirs was removed meanwhile, with an old submission of the same, it is read again.

        Parameters
        ----------
        members_read
            Of an archive; the others are read when it is the user's turn again. None: all are.
        reason
            What is told if the submission holds no image at all.
        """
        with self._database.transaction() as connection:
            if not all(self._stored(sha1) for image in images for sha1 in (image.sha1, image.field)):
                connection.execute("UPDATE submissions SET taken = 0 WHERE id = ?", (submission_id,))
                return
            connection.executemany(
                "INSERT INTO images (submission_id, owner_id, sha1, filename, field)"
                " SELECT id, user_id, ?, ?, ? FROM submissions WHERE id = ?",
                [(image.sha1, image.filename, image.field, submission_id) for image in images],
            )
            if members_read is not None:
                connection.execute(
                    "UPDATE submissions SET taken = 0, members_read = ? WHERE id = ?",
                    (members_read, submission_id),
                )
                return
            connection.execute(
                "UPDATE submissions SET finished = ?, error_message ="
                " iif(EXISTS (SELECT 1 FROM images WHERE submission_id = submissions.id), NULL, ?)"
                " WHERE id = ?",
                (self._now(), reason, submission_id),
            )

    def reject(self, submission_id: int, message: str) -> None:
        """End a submission nothing can be made of."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE submissions SET finished = ?, error_message = ? WHERE id = ?",
                (self._now(), message, submission_id),
            )
        _log.info("submission %d: %s", submission_id, message)

    def solved(self, job_id: int, solution: Solved) -> None:
        """End a job with its solution."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE jobs SET status = 'success' WHERE id = ?", (job_id,))
            connection.execute(
                "INSERT INTO calibrations (job_id, calibration, annotations, wcs, stars)"
                " SELECT id, ?, ?, ?, ? FROM jobs WHERE id = ?",
                (
                    json.dumps(solution.calibration),
                    json.dumps(solution.annotations),
                    solution.wcs,
                    json.dumps(solution.stars),
                    job_id,
                ),
            )
        _log.info("job %d: success", job_id)

    def failed(self, job_id: int, reason: str) -> None:
        """End a job without a solution."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET status = 'failure', reason = ? WHERE id = ?", (reason, job_id)
            )
        _log.info("job %d: failure (%s)", job_id, reason)

    def fail(self, task: Work, reason: str) -> None:
        """End work without a result."""
        if isinstance(task, SolveTask):
            self.failed(task.job_id, reason)
        else:
            self.reject(task.submission_id, reason)

    def crashed(self, task: Work, reason: str) -> None:
        """Put work that ended its process back into the queue; end it if it did so too often."""
        if isinstance(task, SolveTask):
            table, back, key = "jobs", "status = 'processing'", task.job_id
        else:
            table, back, key = "submissions", "taken = 0", task.submission_id
        with self._database.transaction() as connection:
            count = f"UPDATE {table} SET crashes = crashes + 1 WHERE id = ? RETURNING crashes"  # noqa: S608
            found = connection.execute(count, (key,)).fetchone()
            crashes = found["crashes"] if found else MAX_CRASHES
            if crashes < MAX_CRASHES:
                connection.execute(f"UPDATE {table} SET {back} WHERE id = ?", (key,))  # noqa: S608
        if crashes >= MAX_CRASHES:
            self.fail(task, reason)
