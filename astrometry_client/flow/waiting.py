"""Waiting: until a submission or a job has ended."""

from typing import Final

import attrs

from astrometry_client import api
from astrometry_client.errors import NotFound, SolveTimeout, SubmissionFailed
from astrometry_client.flow.steps import Make, Polling, Stage, Steps, Wait, ids_in_errors
from astrometry_client.models import SubmissionStatus
from astrometry_client.models.replies import JobState

ENDED: Final = frozenset({"success", "failure"})
"""The states a job does not leave."""


@attrs.frozen(kw_only=True)
class Ended:
    """The end of a submission: its last status, and how each of its jobs ended; none if it was rejected."""

    status: SubmissionStatus
    states: dict[int, JobState]


def wait_for_jobs(submission_id: int, *, server: str, polling: Polling, at_once: bool = True) -> Steps[Ended]:
    """Wait until every job of a submission ended, solved or not, or until the submission was rejected.

    Parameters
    ----------
    at_once
        Whether the first look is not waited for.

    Raises
    ------
    SolveTimeout
        It is not finished.
    """
    states: dict[int, JobState] = {}
    complete = False
    waited_s = 0.0
    with ids_in_errors(submission_id):
        for wait_s in polling.waits_s(at_once=at_once):
            if waited_s >= polling.timeout_s:
                break
            stage: Stage = "solving" if complete else "queued"
            waited_s = yield Wait(min(wait_s, polling.timeout_s - waited_s), stage)
            if complete:
                complete = yield from _look_at_jobs(states, server)
            else:
                status: SubmissionStatus = yield Make(api.submission_status(server, submission_id), "queued")
                if status.failed:
                    return Ended(status=status, states={})
                states = {job_id: _known_state(job_id, status, states) for job_id in status.job_ids}
                complete = bool(states) and not status.queued
            if complete and ENDED.issuperset(states.values()):
                return Ended(status=status, states=states)
    raise _too_late(f"Submission {submission_id}", waited_s, submission_id, next(iter(states), None))


def wait_for_job(job_id: int, *, server: str, polling: Polling) -> Steps[JobState]:
    """Wait until a job ended, and return how; `SolveTimeout` if that takes too long."""
    waited_s = 0.0
    with ids_in_errors(None, job_id):
        for wait_s in polling.waits_s(at_once=True):
            if waited_s >= polling.timeout_s:
                break
            waited_s = yield Wait(min(wait_s, polling.timeout_s - waited_s), "solving")
            state: JobState = yield Make(api.job_status(server, job_id), "solving")
            if state in ENDED:
                return state
    raise _too_late(f"Job {job_id}", waited_s, None, job_id)


def rejection(status: SubmissionStatus) -> SubmissionFailed:
    """Return the error for a submission that was rejected."""
    return SubmissionFailed(
        f"Submission {status.submission_id} was rejected: {status.error_message or 'no reason given'}",
        server_message=status.error_message,
        submission_id=status.submission_id,
    )


def _known_state(job_id: int, status: SubmissionStatus, states: dict[int, JobState]) -> JobState:
    return "success" if job_id in status.solved_job_ids else states.get(job_id, "processing")


def _look_at_jobs(states: dict[int, JobState], server: str) -> Steps[bool]:
    """Take down the states of the jobs that have not ended; return whether all of them still exist."""
    for job_id in [job_id for job_id, state in states.items() if state not in ENDED]:
        try:
            states[job_id] = yield Make(api.job_status(server, job_id), "solving")
        except NotFound:
            # A restart of the server's solver makes a job id vanish; the submission will name a new one.
            return False
    return True


def _too_late(what: str, waited_s: float, submission_id: int | None, job_id: int | None) -> SolveTimeout:
    return SolveTimeout(
        f"{what} is not finished after {waited_s:.0f} s: look again later.",
        submission_id=submission_id,
        job_id=job_id,
        waited_s=waited_s,
    )
