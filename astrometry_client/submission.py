"""The submission: what became of an upload."""

from collections.abc import Iterator
from typing import cast

from astrometry_client import api, flow
from astrometry_client.config import DEFAULTS, NOT_GIVEN, NotGiven
from astrometry_client.driver import drive, pace_of
from astrometry_client.errors import StillProcessingException
from astrometry_client.job import Job
from astrometry_client.login import Session
from astrometry_client.models import SubmissionStatus
from astrometry_client.models.replies import JobState


class Submission:
    """What became of an upload: an image has one job, a tar one for each of its files.

    Iterating over it gives its jobs.

    Parameters
    ----------
    submission_id
        Its id on the server.
    session
        The login whose server is asked; by default one to nova.astrometry.net. Reading needs no API key.

    Attributes
    ----------
    id : int
        Its id on the server.
    """

    def __init__(self, submission_id: int, *, session: Session | None = None) -> None:
        self.id = submission_id
        self.session = session or Session()
        self._status: SubmissionStatus | None = None
        self._jobs: dict[int, Job] = {}

    def __repr__(self) -> str:
        return f"<Submission {self.id}, {len(self._jobs)} jobs known>"

    def __iter__(self) -> Iterator[Job]:
        """Give the jobs.

        Raises
        ------
        SubmissionFailed
            The upload was rejected; there will be none.
        StillProcessingException
            Not every image has its job yet.
        """
        jobs = self.jobs
        status = cast(SubmissionStatus, self._status)
        if status.failed:
            raise flow.rejection(status)
        if not jobs or status.queued:
            raise StillProcessingException(
                f"Submission {self.id} waits in the queue: wait for it with until_done().",
                submission_id=self.id,
            )
        return iter(jobs)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs that exist, in the order of the images; the server is asked until there are all."""
        if self._status is None or not (self._status.jobs or self._status.failed) or self._status.queued:
            self.status()
        return tuple(self._jobs[place] for place in sorted(self._jobs))

    def status(self, force: bool = False) -> SubmissionStatus:
        """Return how far it has come; the server is asked unless the end is known.

        Parameters
        ----------
        force
            Whether to ask although the end is known.

        Returns
        -------
        SubmissionStatus
            `failed` tells whether the upload was rejected, and `error_message` why.
        """
        if force or self._status is None or not self._is_over():
            request = api.submission_status(self.session.base_url, self.id)
            self._take_note(request.make(self.session.client_session))
        return cast(SubmissionStatus, self._status)

    def until_done(
        self,
        start: float | NotGiven = NOT_GIVEN,
        end: float | NotGiven | None = NOT_GIVEN,
        timeout: float | None = DEFAULTS.solve_timeout_s,
    ) -> SubmissionStatus:
        """Wait until each of its jobs has ended, with or without a solution.

        Parameters
        ----------
        start, end, timeout
            See `Job.until_done`.

        Returns
        -------
        SubmissionStatus
            The last.

        Raises
        ------
        SubmissionFailed
            The upload was rejected; the server's own words are in `server_message`.
        SolveTimeout
            It has not ended in time: wait again later.
        """
        return drive(self._to_its_end(start, end, timeout), self.session.client_session)

    def done(self) -> bool:
        """Return whether it was rejected, or each of its jobs has ended."""
        status = self.status()
        return status.failed or (
            bool(status.jobs) and not status.queued and all(job.done() for job in self.jobs)
        )

    def success(self) -> bool:
        """Return whether each of its jobs has ended with a solution."""
        return self.done() and bool(self._jobs) and all(job.success() for job in self.jobs)

    def _to_its_end(
        self, start: float | NotGiven, end: float | NotGiven | None, timeout: float | None
    ) -> flow.Steps[SubmissionStatus]:
        if not self._is_over():
            server = self.session.base_url
            polling = pace_of(server, first_s=start, longest_s=end, timeout_s=timeout)
            ended = yield from flow.wait_for_jobs(self.id, server=server, polling=polling)
            self._take_note(ended.status, ended.states)
        status = cast(SubmissionStatus, self._status)
        if status.failed:
            raise flow.rejection(status)
        return status

    def _is_over(self) -> bool:
        """Return whether its end is known here already."""
        if self._status is None or self._status.queued:
            return False
        return self._status.failed or (
            bool(self._jobs) and all(job._is_over() for job in self._jobs.values())
        )

    def _take_note(self, status: SubmissionStatus, states: dict[int, JobState] | None = None) -> None:
        self._status = status
        for place, job_id in enumerate(status.jobs):
            if job_id is None:
                continue
            if place not in self._jobs:
                self._jobs[place] = Job(job_id, session=self.session)
                self._jobs[place].submission = self
            solved: JobState | None = "success" if job_id in status.solved_job_ids else None
            self._jobs[place]._take_note(job_id, (states or {}).get(job_id, solved))
