"""All images of a user and how far each is, whether it still waits in its submission or has a job."""

import json
import secrets
from typing import Any, Literal, get_args

import attrs

from .database import Database

State = Literal["queued", "solving", "solved", "failed"]

STATES: tuple[State, ...] = get_args(State)

PAGE_ENTRIES = 50
"""Entries of one page: a long night has thousands."""

_ENTRIES = """
    SELECT submissions.id AS submission_id, user_id, images.id AS image_id, jobs.id AS job_id,
        coalesce(images.filename, submissions.filename) AS name, started,
        coalesce(reason, error_message) AS reason, calibration,
        CASE
            WHEN status = 'success' THEN 'solved'
            WHEN status = 'failure' OR (finished IS NOT NULL AND images.id IS NULL) THEN 'failed'
            WHEN status = 'solving' THEN 'solving'
            ELSE 'queued'
        END AS state
    FROM submissions LEFT JOIN images ON submission_id = submissions.id
    LEFT JOIN jobs ON image_id = images.id LEFT JOIN calibrations ON job_id = jobs.id
"""


@attrs.frozen(kw_only=True)
class Entry:
    """An image; or a submission whose file is not read yet, or could not be.

    Parameters
    ----------
    started
        When the submission's file was begun to be read, UTC.
    reason
        Why it failed.
    """

    submission_id: int
    user_id: int
    image_id: int | None
    job_id: int | None
    name: str
    started: str | None
    reason: str | None
    state: State
    calibration: dict[str, float] | None


class Listing:
    """Reading access to entries, the newest submission first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._start = secrets.token_hex(8)

    @property
    def version(self) -> str:
        """Another text whenever entries may have changed."""
        return f"{self._start}.{self._database.changes}"

    def page(self, number: int, *, state: State | None = None, **which: int) -> list[Entry]:
        """Return a page of entries, the first is 0.

        Parameters
        ----------
        which
            `user_id`, `submission_id` or `image_id` of all entries.
        """
        where, values = _condition({**which, "state": state} if state else which)
        rows = self._database.rows(
            f"SELECT * FROM ({_ENTRIES}) WHERE {where}"  # noqa: S608
            " ORDER BY submission_id DESC, image_id LIMIT ? OFFSET ?",
            *values,
            PAGE_ENTRIES,
            number * PAGE_ENTRIES,
        )
        return [_entry(dict(row)) for row in rows]

    def counts(self, **which: int) -> dict[str, int]:
        """Return how many entries are in each state."""
        where, values = _condition(which)
        rows = self._database.rows(
            f"SELECT state, count(*) AS number FROM ({_ENTRIES}) WHERE {where} GROUP BY state",  # noqa: S608
            *values,
        )
        return {**dict.fromkeys(STATES, 0), **{row["state"]: row["number"] for row in rows}}


def _condition(which: dict[str, Any]) -> tuple[str, list[Any]]:
    return " AND ".join(f"{name} = ?" for name in which) or "1", list(which.values())


def _entry(row: dict[str, Any]) -> Entry:
    calibration = row.pop("calibration")
    return Entry(**row, calibration=json.loads(calibration) if calibration else None)
