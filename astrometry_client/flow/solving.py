"""Solving: the whole way from an image to its solution."""

from functools import partial

from astrometry_client import api
from astrometry_client.errors import NotFound, StatusFailedException
from astrometry_client.flow.finding import Lookup
from astrometry_client.flow.forecast import Forecast
from astrometry_client.flow.looking import Looks, PacedLooks, looks_at, patiently
from astrometry_client.flow.steps import Polling, Steps, ids_in_errors
from astrometry_client.flow.uploading import send
from astrometry_client.flow.waiting import rejection, wait_for_job, wait_for_jobs
from astrometry_client.models import Calibration, Solution, UploadReceipt
from astrometry_client.models.wcs_cards import calibration_from
from astrometry_client.request import Request


def solve(
    upload: Request[UploadReceipt],
    *,
    server: str,
    name: str,
    polling: Polling,
    lookup: Lookup | None = None,
    forecast: Forecast | None = None,
    top_down: bool | None = None,
) -> Steps[Solution]:
    """Upload an image, wait for its job, fetch its results.

    Parameters
    ----------
    lookup
        How to find the upload again if its reply gets lost; without, it is sent once more.
    forecast
        When looks are worth it, shared by all that is solved at this server; without, the pace of `polling`.
    top_down
        Whether row 1 of the image is shown at the top; then, or if not, its calibration follows from the WCS.
        `None` if that is not known: the server is asked for the calibration.

    Raises
    ------
    SubmissionFailed, StatusFailedException, SolveTimeout
        The image was rejected, has no solution, or is not finished; all carry the ids.
    OutcomeUnknown
        The reply to the upload got lost each time.
    """
    sent = yield from send(upload, server=server, polling=polling, lookup=lookup)
    follower = partial(follow_job, sent) if isinstance(sent, int) else partial(follow, sent.submission_id)
    looks = looks_at(forecast, polling, at_once=isinstance(sent, int))
    return (yield from follower(server=server, name=name, polling=polling, looks=looks, top_down=top_down))


def follow(
    submission_id: int,
    *,
    server: str,
    name: str,
    polling: Polling,
    looks: Looks | None = None,
    top_down: bool | None = None,
) -> Steps[Solution]:
    """Wait for the job of a submission that exists, and fetch its results; raises as `solve`.

    Parameters
    ----------
    looks
        When to look, in place of at once and then at the pace of `polling`.
    """
    looks = looks or PacedLooks(polling, at_once=True)
    gone: set[int] = set()
    while True:
        ended = yield from wait_for_jobs(submission_id, server=server, polling=polling, looks=looks)
        if ended.status.failed:
            raise rejection(ended.status)
        solved = [job_id for job_id, state in ended.states.items() if state == "success"]
        if not solved:
            raise unsolved(next(iter(ended.states)), submission_id)
        job_id = solved[0]
        try:
            return (
                yield from fetch(
                    job_id, submission_id, server=server, name=name, polling=polling, top_down=top_down
                )
            )
        except NotFound:
            # A restart of the server's solver made the job vanish: the submission will name a new one.
            if job_id in gone:
                raise
            gone.add(job_id)


def follow_job(
    job_id: int,
    *,
    server: str,
    name: str,
    polling: Polling,
    looks: Looks | None = None,
    top_down: bool | None = None,
) -> Steps[Solution]:
    """Wait for a job whose submission is not known, and fetch its results; see `follow`."""
    state = yield from wait_for_job(job_id, server=server, polling=polling, looks=looks)
    if state == "failure":
        raise unsolved(job_id, None)
    return (yield from fetch(job_id, None, server=server, name=name, polling=polling, top_down=top_down))


def fetch(
    job_id: int, submission_id: int | None, *, server: str, name: str, polling: Polling, top_down: bool | None
) -> Steps[Solution]:
    """Fetch the results of a solved job; see `solve`."""
    calibration: Calibration | None = None
    with ids_in_errors(submission_id, job_id):
        # The server may call a job solved a moment before its files are there.
        file = api.result_file(server, job_id, "wcs_file")
        wcs_file = yield from patiently(file, "fetching", polling=polling, ready=False)
        if top_down is not None:
            calibration = calibration_from(wcs_file, top_down=top_down)
        if calibration is None:
            calibration = yield from patiently(
                api.calibration(server, job_id), "fetching", polling=polling, ready=False
            )
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
