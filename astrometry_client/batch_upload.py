"""Uploads that are waited for, one or several at once, each result under the name it belongs to."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import attrs

from astrometry_client import flow
from astrometry_client.config import NOT_GIVEN
from astrometry_client.course import Course
from astrometry_client.driver import pace_of
from astrometry_client.errors import AstrometryError, SolveTimeout
from astrometry_client.job import Job
from astrometry_client.submission import Submission
from astrometry_client.uploads import Upload

Name = TypeVar("Name")
Ends = tuple[Job | Submission, ...]


@attrs.define(kw_only=True)
class UploadsInTurn:
    """Uploads, several at once; what ends is handed out as it ends, an error when all under way have ended.

    Parameters
    ----------
    uploads
        Each with what its results are handed out with.
    server
        The address of the server.
    workers
        Uploads in work at once.
    timeout_s
        Seconds to wait for each at most.
    """

    uploads: Iterable[tuple[Upload, Any]]
    server: str
    workers: int
    timeout_s: float | None
    _failed: AstrometryError | None = attrs.field(default=None, init=False)

    def course(self) -> Course[Any, Ends, tuple[Job | Submission, Any]]:
        """Return what is to be driven.

        It comes to a job that ended, or to a submission that was rejected or did not end in time; with what
        came with the upload.
        """
        return Course(
            flows=self._flows(),
            results=self._results,
            at_end=self._raise,
            server=self.server,
            most=self.workers,
        )

    def _flows(self) -> Iterator[tuple[Any, flow.Steps[Ends]]]:
        for upload, name in self.uploads:
            if self._failed is not None:
                return
            yield name, _ended(upload, pace_of(self.server, timeout_s=self.timeout_s))

    def _results(self, name: Name, end: Ends | AstrometryError) -> Iterator[tuple[Job | Submission, Name]]:
        if isinstance(end, AstrometryError):
            self._failed = self._failed or end
            return
        for result in end:
            yield result, name

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed


def ended_job(upload: Upload, *, timeout_s: float | None) -> flow.Steps[Job]:
    """Upload something that becomes one job, and return the job when it has ended."""
    submission = yield from _submitted(upload)
    yield from submission._to_its_end(NOT_GIVEN, NOT_GIVEN, timeout_s)
    return next(iter(submission))


def _ended(upload: Upload, polling: flow.Polling) -> flow.Steps[Ends]:
    submission = yield from _submitted(upload)
    try:
        ended = yield from flow.wait_for_jobs(
            submission.id, server=submission.session.base_url, polling=polling
        )
    except SolveTimeout:
        return (submission,)
    submission._take_note(ended.status, ended.states)
    return (submission,) if ended.status.failed else submission.jobs


def _submitted(upload: Upload) -> flow.Steps[Submission]:
    receipt = yield flow.Make(upload.request(), "uploading")
    return Submission(receipt.submission_id, session=upload.session)
