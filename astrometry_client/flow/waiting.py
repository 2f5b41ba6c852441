"""Waiting: until a submission or a job has ended."""

from typing import Final, cast

import attrs

from astrometry_client import api
from astrometry_client.errors import NotFound, SolveTimeout, SubmissionFailed
from astrometry_client.flow.looking import Looks, PacedLooks, looking
from astrometry_client.flow.steps import Make, Polling, Steps, ids_in_errors
from astrometry_client.models import SubmissionStatus
from astrometry_client.models.replies import JobState

ENDED: Final[frozenset[JobState]] = frozenset({"success", "failure"})
"""The states a job does not leave."""


@attrs.frozen(kw_only=True)
class Ended:
    """The end of a submission: its last status, and how each of its jobs ended; none if it was rejected."""

    status: SubmissionStatus
    states: dict[int, JobState]


@attrs.define
class _Known:
    """What the looks at a submission have told."""

    status: SubmissionStatus | None = None
    states: dict[int, JobState] = attrs.field(factory=dict)

    @property
    def complete(self) -> bool:
        """Whether each image has its job, as far as is known."""
        return bool(self.states) and self.status is not None and not self.status.queued


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
    known = _Known()
    looks = looks or PacedLooks(polling, at_once=True)

    def look() -> Steps[Ended | None]:
        yield from _look_at_jobs(known, server) if known.complete else _look(known, submission_id, server)
        status = known.status
        if status is not None and (status.failed or (known.complete and {*known.states.values()} <= ENDED)):
            looks.saw("ended")
            return Ended(status=status, states=known.states)
        waiting = not known.complete or {*known.states.values()} <= {"processing", "success", "failure"}
        looks.saw("queued" if waiting else "solving")
        return None

    def late(waited_s: float) -> SolveTimeout:
        return _too_late(
            f"Submission {submission_id}", waited_s, submission_id, next(iter(known.states), None)
        )

    with ids_in_errors(submission_id):
        return (yield from looking(look, looks=looks, polling=polling, late=late))


def wait_for_job(
    job_id: int, *, server: str, polling: Polling, looks: Looks | None = None
) -> Steps[JobState]:
    """Wait until a job ended, and return how; raises as `wait_for_jobs`."""
    looks = looks or PacedLooks(polling, at_once=True)

    def look() -> Steps[JobState | None]:
        state: JobState = yield Make(api.job_status(server, job_id), "solving")
        looks.saw("ended" if state in ENDED else "queued" if state == "processing" else "solving")
        return state if state in ENDED else None

    def late(waited_s: float) -> SolveTimeout:
        return _too_late(f"Job {job_id}", waited_s, None, job_id)

    with ids_in_errors(None, job_id):
        ended = yield from looking(look, looks=looks, polling=polling, late=late)
        return cast(JobState, ended)


def rejection(status: SubmissionStatus) -> SubmissionFailed:
    """Return the error for a submission that was rejected."""
    return SubmissionFailed(
        f"Submission {status.submission_id} was rejected: {status.error_message or 'no reason given'}",
        server_message=status.error_message,
        submission_id=status.submission_id,
    )


def _look(known: _Known, submission_id: int, server: str) -> Steps[None]:
    """Take down what the submission tells."""
    status: SubmissionStatus = yield Make(api.submission_status(server, submission_id), "queued")
    # A job that the submission does not call solved may have failed, or be on its way.
    states: dict[int, JobState] = {
        job_id: "success" if job_id in status.solved_job_ids else known.states.get(job_id, "solving")
        for job_id in status.job_ids
    }
    known.status, known.states = status, states


def _look_at_jobs(known: _Known, server: str) -> Steps[None]:
    """Take down the states of the jobs that have not ended."""
    for job_id in [job_id for job_id, state in known.states.items() if state not in ENDED]:
        try:
            known.states[job_id] = yield Make(api.job_status(server, job_id), "solving")
        except NotFound:
            # A restart of the server's solver makes a job id vanish; the submission will name a new one.
            known.status = None
            return


def _too_late(what: str, waited_s: float, submission_id: int | None, job_id: int | None) -> SolveTimeout:
    return SolveTimeout(
        f"{what} is not finished after {waited_s:.0f} s: look again later.",
        submission_id=submission_id,
        job_id=job_id,
        waited_s=waited_s,
    )
