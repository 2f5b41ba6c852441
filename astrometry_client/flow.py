"""The way of an image through the service, as a generator that decides and does nothing itself.

It yields two effects: `Make` this request, `Wait` this long. A driver carries them out and sends back
the request's value, or the seconds since the start. The flow knows no clock and opens nothing, so it
can be stepped by hand.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import attrs

from astrometry_client import job, submission
from astrometry_client.errors import (
    AstrometryError,
    NotFound,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
)
from astrometry_client.models import Solution, SubmissionStatus, UploadReceipt
from astrometry_client.request import Request

T = TypeVar("T")
Stage = Literal["uploading", "queued", "solving", "fetching"]


@attrs.frozen
class Make:
    """Effect: make this request and send back what it returns, or throw in its error."""

    request: Request[Any]
    stage: Stage


@attrs.frozen
class Wait:
    """Effect: wait, then send back the seconds that have passed since the start."""

    seconds: float
    stage: Stage


Effect = Make | Wait
Steps = Generator[Effect, Any, T]


@attrs.frozen(kw_only=True)
class Polling:
    """How long to wait between two looks at an unfinished image.

    Parameters
    ----------
    first_s, longest_s
        Seconds before the first look, and between the last ones.
    growth
        Factor from one wait to the next.
    timeout_s
        Seconds after which the wait is given up; the solve can be resumed.
    """

    first_s: float
    longest_s: float
    timeout_s: float
    growth: float = 1.4

    def waits_s(self) -> Iterator[float]:
        """Yield the seconds to wait before each look, growing up to the longest."""
        wait_s = self.first_s
        while True:
            yield wait_s
            wait_s = min(wait_s * self.growth, self.longest_s)


def solve(upload: Request[UploadReceipt], *, server: str, name: str, polling: Polling) -> Steps[Solution]:
    """Upload an image, wait for its job, fetch its results.

    Raises
    ------
    SubmissionFailed, StatusFailedException, SolveTimeout
        The image was rejected, has no solution, or is not finished; all carry the ids.
    """
    receipt: UploadReceipt = yield Make(upload, "uploading")
    return (yield from follow(receipt.submission_id, server=server, name=name, polling=polling))


def follow(submission_id: int, *, server: str, name: str, polling: Polling) -> Steps[Solution]:
    """Wait for the job of a submission that exists, and fetch its results; raises as `solve`."""
    with _ids_in_errors(submission_id):
        job_id = yield from _wait_for_job(submission_id, server, polling)
    with _ids_in_errors(submission_id, job_id):
        calibration = yield Make(job.calibration(server, job_id), "fetching")
        wcs_file = yield Make(job.wcs_file(server, job_id), "fetching")
    return Solution(
        name=name,
        server=server,
        submission_id=submission_id,
        job_id=job_id,
        calibration=calibration,
        wcs_file=wcs_file,
    )


def _wait_for_job(submission_id: int, server: str, polling: Polling) -> Steps[int]:
    job_id: int | None = None
    waited_s = 0.0
    for wait_s in polling.waits_s():
        if waited_s >= polling.timeout_s:
            break
        stage: Stage = "queued" if job_id is None else "solving"
        waited_s = yield Wait(min(wait_s, polling.timeout_s - waited_s), stage)
        if job_id is None:
            job_id, solved = yield from _look_at_submission(submission_id, server)
        else:
            job_id, solved = yield from _look_at_job(job_id, server)
        if job_id is not None and solved:
            return job_id
    raise SolveTimeout(
        f"Submission {submission_id} is not finished after {waited_s:.0f} s: look again later.",
        job_id=job_id,
        waited_s=waited_s,
    )


def _look_at_submission(submission_id: int, server: str) -> Steps[tuple[int | None, bool]]:
    status: SubmissionStatus = yield Make(submission.submission_status(server, submission_id), "queued")
    if status.failed:
        raise SubmissionFailed(
            f"Submission {submission_id} was rejected: {status.error_message or 'no reason given'}",
            server_message=status.error_message,
        )
    job_id = next(iter(status.solved_job_ids + status.job_ids), None)
    return job_id, bool(status.solved_job_ids)


def _look_at_job(job_id: int, server: str) -> Steps[tuple[int | None, bool]]:
    try:
        state = yield Make(job.job_status(server, job_id), "solving")
    except NotFound:
        # A restart of the server's solver makes a job id vanish; the submission will name a new one.
        return None, False
    if state == "failure":
        raise StatusFailedException(
            f"Job {job_id} ended without a solution: a scale range or a position may help.", job_id=job_id
        )
    return job_id, state == "success"


@contextmanager
def _ids_in_errors(submission_id: int, job_id: int | None = None) -> Iterator[None]:
    """Let every error that leaves carry what is needed to resume."""
    try:
        yield
    except AstrometryError as error:
        error.submission_id = error.submission_id or submission_id
        error.job_id = error.job_id or job_id
        raise
