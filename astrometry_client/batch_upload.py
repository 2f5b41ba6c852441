"""Several uploads at once, each result under the name it belongs to."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from astrometry_client.errors import SolveTimeout, SubmissionFailed
from astrometry_client.job import Job
from astrometry_client.submission import Submission
from astrometry_client.uploads import Upload

Name = TypeVar("Name")


def ended_jobs(
    uploads: Iterable[tuple[Upload, Name]], *, workers: int, timeout_s: float | None
) -> Iterator[tuple[Job | Submission, Name]]:
    """Upload, several at once, and yield the jobs as they end.

    Parameters
    ----------
    uploads
        Each with what its results are yielded with.
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
    waiting = iter(uploads)
    names: dict[Future[tuple[Job | Submission, ...]], Name] = {}
    failed: BaseException | None = None
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            free = workers - len(names) if failed is None else 0
            names |= {pool.submit(_ended, upload, timeout_s): name for upload, name in islice(waiting, free)}
            if not names:
                break
            done, _ = wait(names, return_when=FIRST_COMPLETED)
            for future in done:
                name = names.pop(future)
                failed = failed or future.exception()
                if future.exception() is None:
                    yield from ((result, name) for result in future.result())
    finally:
        # Who stops listening early does not wait for what is under way.
        pool.shutdown(wait=False)
    if failed is not None:
        raise failed


def _ended(upload: Upload, timeout_s: float | None) -> tuple[Job | Submission, ...]:
    submission = upload.submit()
    try:
        submission.until_done(timeout=timeout_s)
    except (SubmissionFailed, SolveTimeout):
        return (submission,)
    return submission.jobs
