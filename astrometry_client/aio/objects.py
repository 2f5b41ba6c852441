"""The submission and the job, with everything that asks the server awaitable."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

from astrometry_client.aio.awaiting import Asynchronous, awaitable, awaitable_as, driven
from astrometry_client.job import Job
from astrometry_client.submission import Submission

T = TypeVar("T")


class AsyncJob(Asynchronous):
    """A `Job` whose methods are awaited; those of its attributes that ask the server are methods here."""

    if TYPE_CHECKING:
        _inner: Job

    def __repr__(self) -> str:
        return f"<Async{repr(self._inner)[1:]}"

    @property
    def id(self) -> int:
        """Its id on the server, see `Job`."""
        return self._inner.id

    @property
    def submission(self) -> "AsyncSubmission | None":
        """The submission it was taken from."""
        found = self._inner.submission
        return AsyncSubmission(found, self._operations, self._client_session) if found else None

    until_done = driven(Job.until_done, Job._to_its_end)

    status = awaitable(Job.status)
    done = awaitable(Job.done)
    success = awaitable(Job.success)
    info = awaitable(Job.info)
    calibration = awaitable(Job.calibration)
    annotations = awaitable(Job.annotations)
    tags = awaitable(Job.tags)
    machine_tags = awaitable(Job.machine_tags)
    objects_in_field = awaitable(Job.objects_in_field)
    wcs_file = awaitable(Job.wcs_file)
    wcs = awaitable(Job.wcs)
    new_fits_file = awaitable(Job.new_fits_file)
    rdls_file = awaitable(Job.rdls_file)
    axy_file = awaitable(Job.axy_file)
    corr_file = awaitable(Job.corr_file)
    annotated_display = awaitable(Job.annotated_display)
    red_green_image_display = awaitable(Job.red_green_image_display)
    extraction_image_display = awaitable(Job.extraction_image_display)
    download = awaitable(Job.download)


def _jobs(owner: Asynchronous, jobs: tuple[Job, ...]) -> tuple[AsyncJob, ...]:
    return tuple(asynchronous_job(owner, job) for job in jobs)


class AsyncSubmission(Asynchronous):
    """A `Submission` whose methods are awaited; iterating over it (`async for`) gives its jobs."""

    if TYPE_CHECKING:
        _inner: Submission

    def __repr__(self) -> str:
        return f"<Async{repr(self._inner)[1:]}"

    @property
    def id(self) -> int:
        """Its id on the server."""
        return self._inner.id

    async def __aiter__(self) -> AsyncIterator[AsyncJob]:
        for job in await self._all_jobs():
            yield job

    until_done = driven(Submission.until_done, Submission._to_its_end)

    jobs = awaitable_as(_jobs, Submission.jobs)
    status = awaitable(Submission.status)
    done = awaitable(Submission.done)
    success = awaitable(Submission.success)

    async def _all_jobs(self) -> tuple[AsyncJob, ...]:
        return _jobs(self, await self._awaited("reads", lambda: tuple(self._inner)))


def asynchronous_job(owner: Asynchronous, job: Job) -> AsyncJob:
    """Return the awaitable form of a job."""
    return AsyncJob(job, owner._operations, owner._client_session)


def asynchronous_end(
    owner: Asynchronous, ended: tuple[Job | Submission, T]
) -> tuple[AsyncJob | AsyncSubmission, T]:
    """Return the awaitable form of what an upload came to, with what belongs to it."""
    found, name = ended
    kind = AsyncJob if isinstance(found, Job) else AsyncSubmission
    return kind(found, owner._operations, owner._client_session), name
