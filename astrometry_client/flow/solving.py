"""Solving: the whole way from an image to its solution."""

from astrometry_client import api
from astrometry_client.errors import StatusFailedException
from astrometry_client.flow.steps import Make, Polling, Steps, ids_in_errors
from astrometry_client.flow.uploading import Lookup, send
from astrometry_client.flow.waiting import rejection, wait_for_job, wait_for_jobs
from astrometry_client.models import Solution, UploadReceipt
from astrometry_client.request import Request


def solve(
    upload: Request[UploadReceipt], *, server: str, name: str, polling: Polling, lookup: Lookup | None = None
) -> Steps[Solution]:
    """Upload an image, wait for its job, fetch its results.

    Parameters
    ----------
    lookup
        How to find the upload again if its reply gets lost; without, it is sent once more.

    Raises
    ------
    SubmissionFailed, StatusFailedException, SolveTimeout
        The image was rejected, has no solution, or is not finished; all carry the ids.
    OutcomeUnknown
        The reply to the upload got lost each time.
    """
    sent = yield from send(upload, server=server, polling=polling, lookup=lookup)
    if isinstance(sent, int):
        return (yield from follow_job(sent, server=server, name=name, polling=polling))
    return (yield from follow(sent.submission_id, server=server, name=name, polling=polling, at_once=False))


def follow(
    submission_id: int, *, server: str, name: str, polling: Polling, at_once: bool = True
) -> Steps[Solution]:
    """Wait for the job of a submission that exists, and fetch its results; raises as `solve`."""
    ended = yield from wait_for_jobs(submission_id, server=server, polling=polling, at_once=at_once)
    if ended.status.failed:
        raise rejection(ended.status)
    solved = [job_id for job_id, state in ended.states.items() if state == "success"]
    if not solved:
        raise unsolved(next(iter(ended.states)), submission_id)
    return (yield from _fetch(solved[0], submission_id, server=server, name=name))


def follow_job(job_id: int, *, server: str, name: str, polling: Polling) -> Steps[Solution]:
    """Wait for a job whose submission is not known, and fetch its results; raises as `solve`."""
    state = yield from wait_for_job(job_id, server=server, polling=polling)
    if state == "failure":
        raise unsolved(job_id, None)
    return (yield from _fetch(job_id, None, server=server, name=name))


def _fetch(job_id: int, submission_id: int | None, *, server: str, name: str) -> Steps[Solution]:
    with ids_in_errors(submission_id, job_id):
        calibration = yield Make(api.calibration(server, job_id), "fetching")
        wcs_file = yield Make(api.result_file(server, job_id, "wcs_file"), "fetching")
    return Solution(
        name=name,
        server=server,
        submission_id=submission_id,
        job_id=job_id,
        calibration=calibration,
        wcs_file=wcs_file,
    )


def unsolved(job_id: int, submission_id: int | None) -> StatusFailedException:
    """Return the error for a job that ended without a solution."""
    return StatusFailedException(
        f"Job {job_id} ended without a solution: a scale range or a position may help.",
        submission_id=submission_id,
        job_id=job_id,
    )
