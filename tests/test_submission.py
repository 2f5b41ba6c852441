"""The submission: its jobs, its end, and ids that vanish."""

from collections.abc import Iterator
from typing import Any

import pytest
from faulty_server import Answer, FaultyServer, answer_json

from astrometry_client import Session, Submission
from astrometry_client.errors import NotFound, SolveTimeout, StillProcessingException, SubmissionFailed

TIME = "2026-11-20 14:28:01.337214"
GONE = Answer(status=404, body=b"<!doctype html><html><title>Not Found</title>", kind="text/html")


def state(*jobs: int | None, solved: tuple[int, ...] = (), **more: Any) -> Answer:
    times = {"processing_started": TIME, "processing_finished": TIME}
    return answer_json({**times, "jobs": jobs, "job_calibrations": [[job, 1] for job in solved], **more})


def status(word: str) -> Answer:
    return answer_json({"status": word})


REJECTED = state(error_message="This file's type is not supported.")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        running.default = Answer(status=400)
        yield running


@pytest.fixture
def submission(server: FaultyServer) -> Submission:
    return Submission(7, session=Session(base_url=server.url))


def paths(server: FaultyServer) -> list[str]:
    return [arrival.path for arrival in server.arrivals]


def test_jobs_appear_one_by_one_in_the_order_of_the_images(
    server: FaultyServer, submission: Submission
) -> None:
    server.script(state(None, None), state(None, 39), state(37, 39))
    assert submission.jobs == ()
    (second,) = submission.jobs
    first, same = submission.jobs
    assert (first.id, second.id) == (37, 39)
    assert same is second
    assert submission.jobs == (first, second)
    assert len(server.arrivals) == 3


def test_iterating_gives_the_jobs(server: FaultyServer, submission: Submission) -> None:
    server.script(state(37, 39))
    assert [job.id for job in submission] == [37, 39]
    assert [job.submission for job in submission] == [submission] * 2


@pytest.mark.parametrize("waiting", [state(), state(None), state(37, None)])
def test_iterating_before_all_jobs_are_there_is_refused(
    server: FaultyServer, submission: Submission, waiting: Answer
) -> None:
    unfinished = waiting if b"[]," not in waiting.body else state(processing_finished="None")
    server.script(unfinished, unfinished)
    with pytest.raises(StillProcessingException) as caught:
        iter(submission)
    assert caught.value.submission_id == 7


def test_rejected_submission_says_why_and_is_not_asked_again(
    server: FaultyServer, submission: Submission
) -> None:
    server.script(REJECTED)
    for ask in (submission.until_done, submission.__iter__, submission.until_done):
        with pytest.raises(SubmissionFailed, match="not supported") as caught:
            ask()
        assert (caught.value.submission_id, caught.value.server_message) == (
            7,
            "This file's type is not supported.",
        )
    assert submission.status().failed
    assert (submission.done(), submission.success(), submission.jobs) == (True, False, ())
    assert len(server.arrivals) == 1


def test_waiting_ends_with_the_last_job(server: FaultyServer, submission: Submission) -> None:
    server.script(
        *(
            state(None, None),
            state(37, None),
            state(37, 39, solved=(37,)),
            status("solving"),
            status("failure"),
        )
    )
    assert submission.until_done(0.01, 0.01).job_ids == (37, 39)
    assert [job.status() for job in submission] == ["success", "failure"]
    assert (submission.done(), submission.success()) == (True, False)
    submission.until_done()
    submission.status()
    assert len(server.arrivals) == 5


def test_done_asks_for_what_is_not_known(server: FaultyServer, submission: Submission) -> None:
    server.script(state(None), state(9), status("solving"), state(9), status("success"))
    assert [submission.done(), submission.done(), submission.done()] == [False, False, True]
    assert submission.success()
    assert len(server.arrivals) == 5


def test_vanished_job_takes_over_the_new_id(server: FaultyServer, submission: Submission) -> None:
    server.script(state(43), status("solving"), GONE, state(44), status("success"))
    (job,) = submission
    assert job.status() == "solving"
    assert job.status() == "processing"
    assert job.id == 44
    assert job.success()
    assert paths(server)[-1] == "/api/jobs/44"


def test_waiting_for_a_job_follows_it_to_its_new_id(server: FaultyServer, submission: Submission) -> None:
    server.script(state(43), GONE, state(None), state(44), status("success"))
    (job,) = submission
    assert job.until_done(0.01, 0.01) == "success"
    assert job.id == 44


def test_only_the_vanished_one_of_several_jobs_changes(server: FaultyServer, submission: Submission) -> None:
    server.script(state(1, 2, 3), status("success"), GONE, state(1, 5, 3, solved=(1, 5, 3)))
    first, second, third = submission
    assert first.success()
    assert second.success()
    assert [first.id, second.id, third.id] == [1, 5, 3]
    assert third.success()
    assert len(server.arrivals) == 4


def test_job_of_a_vanished_submission_is_not_found(server: FaultyServer, submission: Submission) -> None:
    server.script(state(43), GONE, GONE)
    (job,) = submission
    with pytest.raises(NotFound):
        job.status()


def test_late_submission_can_be_waited_for_again(server: FaultyServer, submission: Submission) -> None:
    server.script(state(None), state(None), state(9, solved=(9,)))
    with pytest.raises(SolveTimeout) as caught:
        submission.until_done(0.01, timeout=0.005)
    assert caught.value.submission_id == 7
    assert submission.until_done(0.01).solved_job_ids == (9,)
