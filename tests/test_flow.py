"""The way of an image through the service, stepped by hand without network or clock."""

from collections.abc import Generator
from typing import Any

import pytest

from astrometry_client import flow
from astrometry_client.errors import (
    NotFound,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
    Unreachable,
)
from astrometry_client.models import Calibration, Solution, SubmissionStatus, UploadReceipt
from astrometry_client.request import Request

SERVER = "https://nova.example"
UPLOAD: Request[UploadReceipt] = Request(f"{SERVER}/api/upload")
CALIBRATION = Calibration(
    ra_deg=1, dec_deg=2, radius_deg=3, pixel_scale_arcsec=4, orientation_deg=5, parity=-1
)
QUEUED: dict[str, Any] = {"jobs": (None,)}


def status(**changes: Any) -> SubmissionStatus:
    known = {"jobs": (), "solved_job_ids": (), "error_message": None}
    return SubmissionStatus(submission_id=7, started=None, finished=None, **{**known, **changes})


class Stepper:
    """Answers a flow: each request from a list, each wait with a clock that passes as it is told to."""

    def __init__(self, steps: Generator[flow.Effect, Any, Any], answers: list[Any]) -> None:
        self.steps = steps
        self.answers = answers
        self.paths: list[str] = []
        self.waits_s: list[float] = []

    def run(self) -> Any:
        try:
            effect = next(self.steps)
            while True:
                effect = self._answer(effect)
        except StopIteration as end:
            return end.value

    def _answer(self, effect: flow.Effect) -> flow.Effect:
        if isinstance(effect, flow.Wait):
            self.waits_s.append(effect.seconds)
            return self.steps.send(sum(self.waits_s))
        self.paths.append(effect.request.url.removeprefix(SERVER))
        answer = self.answers.pop(0)
        return self.steps.throw(answer) if isinstance(answer, Exception) else self.steps.send(answer)


def stepper(*answers: Any, timeout_s: float = 1000) -> Stepper:
    polling = flow.Polling(first_s=5, longest_s=60, timeout_s=timeout_s)
    steps = flow.solve(UPLOAD, server=SERVER, name="m31.jpg", polling=polling)
    return Stepper(steps, [UploadReceipt(submission_id=7, sha1=None), *answers])


def test_solved_image_ends_in_a_solution_with_its_ids() -> None:
    run = stepper(status(**QUEUED), status(jobs=(9,)), "solving", "success", CALIBRATION, b"SIMPLE")
    assert run.run() == Solution(
        name="m31.jpg",
        server=SERVER,
        submission_id=7,
        job_id=9,
        calibration=CALIBRATION,
        wcs_file=b"SIMPLE",
    )
    assert run.paths == [
        "/api/upload",
        "/api/submissions/7",
        "/api/submissions/7",
        "/api/jobs/9",
        "/api/jobs/9",
        "/api/jobs/9/calibration",
        "/wcs_file/9",
    ]


def test_submission_that_lists_the_calibration_needs_no_job_request() -> None:
    run = stepper(status(jobs=(9,), solved_job_ids=(9,)), CALIBRATION, b"")
    run.run()
    assert "/api/jobs/9" not in run.paths


def test_waits_grow_up_to_the_longest() -> None:
    run = stepper(*[status(**QUEUED)] * 12, status(jobs=(9,), solved_job_ids=(9,)), CALIBRATION, b"")
    run.run()
    assert run.waits_s[:3] == pytest.approx([5, 7, 9.8])
    assert run.waits_s == sorted(run.waits_s)
    assert run.waits_s[-1] == 60


def test_vanished_job_is_looked_up_in_the_submission_again() -> None:
    run = stepper(
        status(jobs=(9,)),
        NotFound("gone"),
        status(jobs=(10,)),
        "success",
        CALIBRATION,
        b"",
    )
    assert run.run().job_id == 10


def test_rejected_submission_carries_the_servers_words_and_its_id() -> None:
    rejected = SubmissionStatus.from_document(
        {
            "processing_started": "2026-11-20 14:28:04",
            "processing_finished": "2026-11-20 14:28:05",
            "jobs": [],
            "job_calibrations": [],
            "error_message": "This file's type is not supported.",
        },
        submission_id=7,
    )
    with pytest.raises(SubmissionFailed, match="not supported") as caught:
        stepper(rejected).run()
    assert caught.value.submission_id == 7


def test_failed_job_carries_both_ids() -> None:
    with pytest.raises(StatusFailedException) as caught:
        stepper(status(jobs=(9,)), "failure").run()
    assert (caught.value.submission_id, caught.value.job_id) == (7, 9)


def test_late_solve_ends_in_time_and_can_be_resumed() -> None:
    run = stepper(status(jobs=(9,)), *["solving"] * 50, timeout_s=20)
    with pytest.raises(SolveTimeout) as caught:
        run.run()
    assert sum(run.waits_s) == 20
    assert (caught.value.submission_id, caught.value.job_id, caught.value.waited_s) == (7, 9, 20)


def test_error_while_polling_carries_the_submission() -> None:
    with pytest.raises(Unreachable) as caught:
        stepper(Unreachable("no connection")).run()
    assert caught.value.submission_id == 7


def test_error_while_fetching_carries_the_job() -> None:
    with pytest.raises(Unreachable) as caught:
        stepper(status(jobs=(9,), solved_job_ids=(9,)), Unreachable("no connection")).run()
    assert (caught.value.submission_id, caught.value.job_id) == (7, 9)


def test_followed_submission_is_not_uploaded() -> None:
    polling = flow.Polling(first_s=1, longest_s=1, timeout_s=10)
    run = Stepper(
        flow.follow(7, server=SERVER, name="m31.jpg", polling=polling),
        [status(jobs=(9,), solved_job_ids=(9,)), CALIBRATION, b""],
    )
    assert run.run().job_id == 9
    assert "/api/upload" not in run.paths
