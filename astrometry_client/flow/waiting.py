"""Waiting: until a submission or a job has ended."""

from typing import Final

import attrs

from astrometry_client import api
from astrometry_client.errors import NotFound, SubmissionFailed
from astrometry_client.flow.looking import Looks, PacedLooks, looking
from astrometry_client.flow.steps import Make, Polling, Steps
from astrometry_client.models import SubmissionStatus
from astrometry_client.models.replies import JobState

ENDED: Final[frozenset[JobState]] = frozenset({"success", "failure"})
"""The states a job does not leave."""


@attrs.frozen(kw_only=True)
class Ended:
    """The end of a submission: its last status, and how each of its jobs ended; none if it was rejected."""

    status: SubmissionStatus
    states: dict[int, JobState]


@attrs.define(kw_only=True)
class _Jobs:
    """The jobs of a submission, and what the looks at them have told."""

    submission_id: int
    server: str
    looks: Looks
    states: dict[int, JobState] = attrs.field(factory=dict, init=False)
    complete: SubmissionStatus | None = attrs.field(default=None, init=False)
    """The status that told that each image has its job."""

    @property
    def job_id(self) -> int | None:
        """The first job."""
        return next(iter(self.states), None)

    def look(self) -> Steps[Ended | None]:
        """Look at the submission, and once that says no more, at its jobs."""
        status = yield from self._look_at_jobs() if self.complete else self._look_at_submission()
        states = {*self.states.values()}
        if status is not None and (status.failed or (self.complete and states <= ENDED)):
            self.looks.saw("ended")
            return Ended(status=status, states=self.states)
        waiting = not self.complete or states <= {"processing", "success", "failure"}
        self.looks.saw("queued" if waiting else "solving")
        return None

    def _look_at_submission(self) -> Steps[SubmissionStatus]:
        """Take down what the submission tells."""
        status: SubmissionStatus = yield Make(
            api.submission_status(self.server, self.submission_id), "queued"
        )
        # A job that the submission does not call solved may have failed, or be on its way.
        self.states = {
            job_id: "success" if job_id in status.solved_job_ids else self.states.get(job_id, "solving")
            for job_id in status.job_ids
        }
        self.complete = status if self.states and not status.queued else None
        return status

    def _look_at_jobs(self) -> Steps[SubmissionStatus | None]:
        """Take down the states of the jobs that have not ended."""
        for job_id in [job_id for job_id, state in self.states.items() if state not in ENDED]:
            try:
                self.states[job_id] = yield Make(api.job_status(self.server, job_id), "solving")
            except NotFound:
                # A restart of the server's solver makes a job id vanish; the submission will name a new one.
                self.complete = None
                break
        return self.complete


@attrs.frozen(kw_only=True)
class _Job:
    """A job whose submission is not known."""

    job_id: int
    server: str
    looks: Looks
    submission_id: None = None

    def look(self) -> Steps[JobState | None]:
        """Look at the job."""
        state: JobState = yield Make(api.job_status(self.server, self.job_id), "solving")
        self.looks.saw("ended" if state in ENDED else "queued" if state == "processing" else "solving")
        return state if state in ENDED else None


def wait_for_jobs(
    submission_id: int, *, server: str, polling: Polling, looks: Looks | None = None
) -> Steps[Ended]:
    """Wait until every job of a submission ended, solved or not, or until the submission was rejected.

    Parameters
    ----------
    looks
        When to look, in place of at once and then at the pace of `polling`.

    Raises
    ------
    SolveTimeout
        It is not finished.
    NoUsableReply, ServerRefused
        Nothing was heard of it at the end of that time, or the server does not know it.
    """
    looks = looks or PacedLooks(polling, at_once=True)
    return looking(_Jobs(submission_id=submission_id, server=server, looks=looks), polling)


def wait_for_job(
    job_id: int, *, server: str, polling: Polling, looks: Looks | None = None
) -> Steps[JobState]:
    """Wait until a job ended, and return how; raises as `wait_for_jobs`."""
    looks = looks or PacedLooks(polling, at_once=True)
    return looking(_Job(job_id=job_id, server=server, looks=looks), polling)


def rejection(status: SubmissionStatus) -> SubmissionFailed:
    """Return the error for a submission that was rejected."""
    return SubmissionFailed(
        f"Submission {status.submission_id} was rejected: {status.error_message or 'no reason given'}",
        server_message=status.error_message,
        submission_id=status.submission_id,
    )
