"""The errors astroquery raises, as ours."""

import functools
import sys
from typing import Any

from astrometry_client.errors import AstrometryError, SolveTimeout

__all__ = ["RefusedError", "TimeoutError"]


class TimeoutError(SolveTimeout):  # noqa: A001  astroquery's name
    """The solve did not end in the time allowed; `args[1]` is the submission id to go on with.

    Where the program has loaded astroquery, it is an `astroquery.exceptions.TimeoutError` too.

    Parameters
    ----------
    message
        The fact, then the remedy.
    submission_id
        What `AstrometryNet.monitor_submission` takes.
    """

    def __init__(self, message: str, submission_id: int | str | None) -> None:
        super().__init__(message)
        self.args = (message, submission_id)
        self.submission_id = None if submission_id is None else int(submission_id)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return too_late, self.args, vars(self)


class RefusedError(AstrometryError, RuntimeError):
    """There is no API key, or the server said no: what astroquery reports as `RuntimeError`."""


def too_late(message: str, submission_id: int | str | None) -> TimeoutError:
    """Return the error for a solve that did not end in time, of the class that is loaded."""
    loaded = sys.modules.get("astroquery.exceptions")
    kind = TimeoutError if loaded is None else _caught_as(loaded.TimeoutError)
    return kind(message, submission_id)


@functools.cache
def _caught_as(theirs: type[Exception]) -> type[TimeoutError]:
    """Return our class as one that handlers of astroquery's catch too."""
    return type("TimeoutError", (TimeoutError, theirs), {"__module__": __name__})


def refused(error: AstrometryError) -> RefusedError:
    """Return an error as the one astroquery would have raised."""
    return RefusedError(
        str(error),
        url=error.url,
        status=error.status,
        server_message=error.server_message,
        submission_id=error.submission_id,
        job_id=error.job_id,
        retry_after_s=error.retry_after_s,
    )
