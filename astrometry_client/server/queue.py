"""The queue: submissions wait to be read, their images wait to be solved.

A submission is read once: that finds its images, or ends it with an error. Then every
image gets a job when a worker takes it. All of it is in the database, so a server that
was killed goes on where it stopped.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from .database import Database

_log = logging.getLogger(__name__)

MAX_CRASHES = 2
"""Work that ended its process this often fails: once may be an accident."""


@attrs.frozen
class ReadTask:
    """A submission whose file is to be read."""

    submission_id: int
    sha1: str | None
    filename: str
    options: dict[str, Any]


@attrs.frozen
class SolveTask:
    """A job whose image is to be solved."""

    job_id: int
    sha1: str
    field: str
    options: dict[str, Any]


@attrs.frozen
class MakeTask:
    """A result file to be made of what is known of a job.

    Parameters
    ----------
    product
        Its name in the address.
    wcs, stars, annotations
        Of the solution, as `Solved` has them; the WCS in base64. Nothing before there is one.
    """

    product: str
    sha1: str
    field: str
    options: dict[str, Any]
    wcs: str | None
    stars: list[list[float]]
    annotations: list[dict[str, Any]]


@attrs.frozen
class FoundImage:
    """An image found in a submission; `field` names the file of its sources."""

    sha1: str
    filename: str
    field: str


@attrs.frozen
class Solved:
    """What is kept of a solution, in nova's shapes.

    Parameters
    ----------
    stars
        The stars it rests on: x, y (pixels, first is 1), right ascension and declination (degrees) of each.
    """

    calibration: dict[str, float]
    annotations: list[dict[str, Any]]
    wcs: bytes
    stars: list[list[float]] = attrs.field(factory=list)


class Queue:
    """The work of one server.

    Parameters
    ----------
    clock
        Tells the time, seconds since 1970.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def _now(self) -> str:
        """Return the time as nova writes it: UTC without saying so."""
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        return now.isoformat(sep=" ", timespec="microseconds")

    def submit(self, user_id: int, *, sha1: str | None, filename: str, options: dict[str, Any]) -> int:
        """Add a submission; its id returns when it is safely on the disk."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO submissions (user_id, sha1, filename, options) VALUES (?, ?, ?, ?) RETURNING id",
                (user_id, sha1, filename, json.dumps(options)),
            ).fetchone()
        _log.info("submission %d of user %d: %r", row["id"], user_id, filename)
        return int(row["id"])

    def recover(self) -> None:
        """Put back what was in work when the last server ended."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE submissions SET started = NULL WHERE finished IS NULL")
            connection.execute("UPDATE jobs SET status = 'processing' WHERE status = 'solving'")

    def take(self) -> ReadTask | SolveTask | None:
        """Return the next work, marked as begun. Reading goes first: it is short and tells most."""
        return self.take_submission() or self.take_job()

    def take_submission(self) -> ReadTask | None:
        """Return the next submission to be read, marked as begun."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "UPDATE submissions SET started = ? WHERE id = (SELECT id FROM submissions"
                " WHERE finished IS NULL AND started IS NULL ORDER BY id LIMIT 1)"
                " RETURNING id, sha1, filename, options",
                (self._now(),),
            ).fetchone()
        return row and ReadTask(row["id"], row["sha1"], row["filename"], json.loads(row["options"]))

    def take_job(self) -> SolveTask | None:
        """Return the next job to be solved, marked as begun."""
        with self._database.transaction() as connection:
            job = connection.execute(
                "UPDATE jobs SET status = 'solving' WHERE id = (SELECT id FROM jobs"
                " WHERE status = 'processing' ORDER BY id LIMIT 1) RETURNING id, image_id"
            ).fetchone()
            job = job or self._new_job(connection)
            if job is None:
                return None
            image = connection.execute(
                "SELECT images.sha1, field, options FROM images"
                " JOIN submissions ON submissions.id = submission_id WHERE images.id = ?",
                (job["image_id"],),
            ).fetchone()
        _log.info("job %d: solving", job["id"])
        return SolveTask(job["id"], image["sha1"], image["field"], json.loads(image["options"]))

    @staticmethod
    def _new_job(connection: sqlite3.Connection) -> Any:
        image = connection.execute(
            "UPDATE images SET waiting = 0"
            " WHERE id = (SELECT id FROM images WHERE waiting ORDER BY id LIMIT 1) RETURNING id"
        ).fetchone()
        return (
            image
            and connection.execute(
                "INSERT INTO jobs (image_id, status) VALUES (?, 'solving') RETURNING id, image_id",
                (image["id"],),
            ).fetchone()
        )

    def finish_reading(self, submission_id: int, images: list[FoundImage]) -> None:
        """Note the images found in a submission."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE submissions SET finished = ? WHERE id = ?", (self._now(), submission_id)
            )
            connection.executemany(
                "INSERT INTO images (submission_id, sha1, filename, field) VALUES (?, ?, ?, ?)",
                [(submission_id, image.sha1, image.filename, image.field) for image in images],
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
                " VALUES (?, ?, ?, ?, ?)",
                (
                    job_id,
                    json.dumps(solution.calibration),
                    json.dumps(solution.annotations),
                    solution.wcs,
                    json.dumps(solution.stars),
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

    def fail(self, task: ReadTask | SolveTask, reason: str) -> None:
        """End work without a result."""
        if isinstance(task, ReadTask):
            self.reject(task.submission_id, reason)
        else:
            self.failed(task.job_id, reason)

    def crashed(self, task: ReadTask | SolveTask, reason: str) -> None:
        """Put work that ended its process back into the queue; end it if it did so too often."""
        if isinstance(task, ReadTask):
            table, back, key = "submissions", "started = NULL", task.submission_id
        else:
            table, back, key = "jobs", "status = 'processing'", task.job_id
        with self._database.transaction() as connection:
            count = f"UPDATE {table} SET crashes = crashes + 1 WHERE id = ? RETURNING crashes"  # noqa: S608
            crashes = connection.execute(count, (key,)).fetchone()["crashes"]
            if crashes < MAX_CRASHES:
                connection.execute(f"UPDATE {table} SET {back} WHERE id = ?", (key,))  # noqa: S608
        if crashes >= MAX_CRASHES:
            self.fail(task, reason)
