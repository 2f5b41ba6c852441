"""The exception tree.

::

    AstrometryError
    ├── InputError              what was given is wrong; no request was made
    │   ├── APIKeyError         no API key anywhere, or one that cannot be one
    │   └── UnreadableFileError a file that cannot be read or is not an image
    ├── NoUsableReply           nothing that can be trusted came back
    │   ├── Unreachable         no connection could be opened
    │   ├── ReplyTimeout        the server went silent
    │   ├── MalformedReply      cut, HTML in place of data, wrong type
    │   ├── OutcomeUnknown      a write left, its answer never came
    │   └── RateLimitExceeded   the wait for a free slot was longer than allowed
    ├── ServerRefused           a well-formed "no"
    │   ├── Overloaded          403, 429 or 503: back off
    │   ├── NotFound            the server does not know this id
    │   ├── LoginFailedException  the API key is not accepted
    │   ├── StaleSession        the session key is no longer accepted
    │   └── NotAvailable        the result does not exist (yet)
    ├── SolveError              requests worked, the solve did not
    │   ├── SubmissionFailed    the upload was rejected while being processed
    │   ├── StatusFailedException  the job ended without a solution
    │   ├── StillProcessingException  asked for a result before the job ended
    │   └── SolveTimeout        not finished in the time allowed; can be resumed
    └── LedgerError             the record of batches cannot be read or written

The second and third branch are `requests.RequestException` too, so code written
for `requests` keeps catching them.
"""

from typing import Any

import requests

__all__ = [
    "APIKeyError",
    "AstrometryError",
    "InputError",
    "LedgerError",
    "LoginFailedException",
    "MalformedReply",
    "NoUsableReply",
    "NotAvailable",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "RateLimitExceeded",
    "ReplyTimeout",
    "ServerRefused",
    "SolveError",
    "SolveTimeout",
    "StaleSession",
    "StatusFailedException",
    "StillProcessingException",
    "SubmissionFailed",
    "Unreachable",
    "UnreadableFileError",
]


class AstrometryError(Exception):
    """Any failure this package reports.

    Parameters
    ----------
    message
        The fact, then the remedy. Never holds a key.
    url
        The address asked, without query and without keys.
    status
        HTTP status of the reply, if there was one. 200 is possible: nova reports most errors so.
    server_message
        The server's own words.
    submission_id, job_id
        What is needed to resume.
    waited_s
        Seconds spent before giving up.
    retry_after_s
        Seconds the server asked us to stay away.
    """

    def __init__(
        self,
        message: str = "",
        *,
        url: str | None = None,
        status: int | None = None,
        server_message: str | None = None,
        submission_id: int | None = None,
        job_id: int | None = None,
        waited_s: float | None = None,
        retry_after_s: float | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.url = url
        self.status = status
        self.server_message = server_message
        self.submission_id = submission_id
        self.job_id = job_id
        self.waited_s = waited_s
        self.retry_after_s = retry_after_s


class InputError(AstrometryError, ValueError):
    """What was given is wrong; no request was made."""


class APIKeyError(InputError):
    """No API key was found, or what was found cannot be one."""


class UnreadableFileError(InputError):
    """The file cannot be read, or is not something the server could solve."""


class NoUsableReply(AstrometryError, requests.RequestException):
    """Nothing that can be trusted came back; a read may be tried again later."""


class Unreachable(NoUsableReply, requests.ConnectionError):
    """No connection could be opened; the request never left."""


class ReplyTimeout(NoUsableReply, requests.Timeout):
    """The server went silent for longer than the time-out."""


class MalformedReply(NoUsableReply):
    """The reply was cut, or was not of the kind asked for."""


class OutcomeUnknown(NoUsableReply):
    """A write left, but its answer never came: look before sending it again."""


class RateLimitExceeded(NoUsableReply, requests.Timeout):
    """The next free slot was further away than `max_delay`; nothing was sent."""


class ServerRefused(AstrometryError, requests.HTTPError):
    """The server understood and said no."""


class Overloaded(ServerRefused):
    """The server asked us to stay away for a while (403, 429 or 503)."""


class NotFound(ServerRefused):
    """The server does not know this submission, job or page."""


class LoginFailedException(ServerRefused):
    """The API key is not accepted: check it on the site's profile page."""


class StaleSession(ServerRefused):
    """The session key is no longer accepted: log in again."""


class NotAvailable(ServerRefused):
    """The result asked for does not exist, or not yet."""


class SolveError(AstrometryError):
    """The requests worked, the solve did not."""


class SubmissionFailed(SolveError):
    """The upload was rejected while it was processed; `server_message` says why."""


class StatusFailedException(SolveError):
    """The job ended without a solution."""


class StillProcessingException(SolveError):
    """The job has not ended yet: wait for it, then ask again."""


class SolveTimeout(SolveError, TimeoutError):
    """The solve did not end in the time allowed; `submission_id` resumes it."""


class LedgerError(AstrometryError):
    """The record of batches cannot be read or written; what it holds is kept as it is."""
