"""Several uploads at once, each result under the name it belongs to."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from astrometry_client import flow
from astrometry_client.driver import pace_of
from astrometry_client.errors import AstrometryError, SolveTimeout
from astrometry_client.job import Job
from astrometry_client.scheduler import drive_many
from astrometry_client.session import ClientSession
from astrometry_client.submission import Submission
from astrometry_client.uploads import Upload

Name = TypeVar("Name")
Ends = tuple[Job | Submission, ...]


def ended_jobs(
    uploads: Iterable[tuple[Upload, Name]],
    client_session: ClientSession | None,
    *,
    server: str,
    workers: int,
    timeout_s: float | None,
) -> Iterator[tuple[Job | Submission, Name]]:
    """Upload, several at once, and yield the jobs as they end.

    Parameters
    ----------
    uploads
        Each with what its results are yielded with.
    client_session
        Makes the requests; by default each thread's own.
    server
        The address of the server.
    workers
        Uploads in work at once.
    timeout_s
        Seconds to wait for each at most.

    Yields
    ------
    result : Job or Submission
        A job that ended; or a submission that was rejected, or did not end in time.
    name
        What came with the upload.
    """
    failed: AstrometryError | None = None

    def flows() -> Iterator[tuple[Name, flow.Steps[Ends]]]:
        for upload, name in uploads:
            if failed is not None:
                return
            polling = pace_of(upload.session.base_url, timeout_s=timeout_s)
            yield name, _ended(upload, polling)

    for name, end in drive_many(flows(), client_session, server=server, most=workers):
        if isinstance(end, AstrometryError):
            failed = failed or end
        else:
            yield from ((result, name) for result in end)
    if failed is not None:
        raise failed


def _ended(upload: Upload, polling: flow.Polling) -> flow.Steps[Ends]:
    receipt = yield flow.Make(upload.request(), "uploading")
    submission = Submission(receipt.submission_id, session=upload.session)
    try:
        ended = yield from flow.wait_for_jobs(
            submission.id, server=submission.session.base_url, polling=polling
        )
    except SolveTimeout:
        return (submission,)
    submission._take_note(ended.status, ended.states)
    return (submission,) if ended.status.failed else submission.jobs
