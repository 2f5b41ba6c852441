"""The way of an image through the service, stepped by hand without network or clock."""

import json
from collections.abc import Generator
from typing import Any

import attrs
import pytest
from arrivals import ManualTime
from recordings import recording

from astrometry_client import flow
from astrometry_client.errors import (
    AstrometryError,
    InputError,
    NotAvailable,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    ServerRefused,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
    Unreachable,
)
from astrometry_client.models import Calibration, JobInfo, Solution, SubmissionStatus, UploadReceipt
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


POLLING = flow.Polling(first_s=5, longest_s=60, timeout_s=1000)
RECEIPT = UploadReceipt(submission_id=7, sha1=None)


def stepper(*answers: Any, timeout_s: float = 1000) -> Stepper:
    polling = flow.Polling(first_s=5, longest_s=60, timeout_s=timeout_s)
    steps = flow.solve(UPLOAD, server=SERVER, name="m31.jpg", polling=polling)
    return Stepper(steps, [RECEIPT, *answers])


def test_solved_image_ends_in_a_solution_with_its_ids() -> None:
    run = stepper(status(**QUEUED), status(jobs=(9,)), "solving", "success", b"SIMPLE", CALIBRATION)
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
        "/wcs_file/9",
        "/api/jobs/9/calibration",
    ]


def test_submission_that_lists_the_calibration_needs_no_job_request() -> None:
    run = stepper(status(jobs=(9,), solved_job_ids=(9,)), b"", CALIBRATION)
    run.run()
    assert "/api/jobs/9" not in run.paths


def test_waits_grow_up_to_the_longest() -> None:
    run = stepper(*[status(**QUEUED)] * 12, status(jobs=(9,), solved_job_ids=(9,)), b"", CALIBRATION)
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
        b"",
        CALIBRATION,
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


@pytest.mark.parametrize(
    "trouble",
    [Unreachable("no connection"), Overloaded("busy", status=503), ServerRefused("broken", status=500)],
)
def test_look_that_fails_is_no_news(trouble: AstrometryError) -> None:
    run = stepper(trouble, status(jobs=(9,)), trouble, trouble, "success", b"", CALIBRATION)
    assert run.run().job_id == 9
    assert 0 not in run.waits_s


def test_trouble_to_the_end_of_the_time_is_told_with_the_ids() -> None:
    run = stepper(status(jobs=(9,)), *[Unreachable("no connection")] * 99, timeout_s=100)
    with pytest.raises(Unreachable) as caught:
        run.run()
    assert (caught.value.submission_id, sum(run.waits_s)) == (7, 100)


def test_file_that_is_not_there_yet_is_waited_for() -> None:
    run = stepper(status(jobs=(9,), solved_job_ids=(9,)), NotAvailable("not yet"), b"SIMPLE", CALIBRATION)
    assert run.run().wcs_file == b"SIMPLE"


@pytest.mark.parametrize("trouble", [Unreachable("no connection"), NotAvailable("no such file")])
def test_file_that_never_comes_carries_both_ids(trouble: AstrometryError) -> None:
    with pytest.raises(type(trouble)) as caught:
        stepper(status(jobs=(9,), solved_job_ids=(9,)), *[trouble] * 99).run()
    assert (caught.value.submission_id, caught.value.job_id) == (7, 9)


def test_unknown_submission_ends_the_wait_at_once() -> None:
    run = stepper(NotFound("no such submission"))
    with pytest.raises(NotFound):
        run.run()


def test_calibration_that_follows_from_the_wcs_is_not_asked_for() -> None:
    wcs_file = recording("file_wcs_file__noreferer").body
    steps = flow.follow(7, server=SERVER, name="m31.jpg", polling=POLLING, top_down=True)
    run = Stepper(steps, [status(jobs=(9,), solved_job_ids=(9,)), wcs_file])
    assert run.run().calibration.ra_deg == pytest.approx(186.96069)
    assert run.paths == ["/api/submissions/7", "/wcs_file/9"]


def test_followed_submission_is_not_uploaded() -> None:
    polling = flow.Polling(first_s=1, longest_s=1, timeout_s=10)
    run = Stepper(
        flow.follow(7, server=SERVER, name="m31.jpg", polling=polling),
        [status(jobs=(9,), solved_job_ids=(9,)), b"", CALIBRATION],
    )
    assert run.run().job_id == 9
    assert "/api/upload" not in run.paths


def recorded(name: str) -> SubmissionStatus:
    return SubmissionStatus.from_document(json.loads(recording(name).body), submission_id=7)


def waiting(*answers: Any) -> Stepper:
    return Stepper(flow.wait_for_jobs(7, server=SERVER, polling=POLLING), list(answers))


@pytest.mark.parametrize(
    "name",
    [
        "submission_not_started_file_again",
        "submission_state__started_unfinished_jobs-_cals0",
        "submission_state__started_unfinished_jobs-null-_cals0",
        "submission_state__started_finished_jobs-null-_cals0",
        "submission_state__started_finished_jobs-null-null-_cals0",
        "submission_state__started_finished_jobs-id-null-_cals0",
        "submission_state__started_finished_jobs-id-null-_cals1",
    ],
)
def test_state_without_all_jobs_is_looked_at_again(name: str) -> None:
    run = waiting(recorded(name), recorded("submission_state__started_finished_jobs-id-id-_cals2"))
    assert run.run().states == {37: "success", 39: "success"}
    assert run.paths == ["/api/submissions/7"] * 2


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("submission_state__started_finished_jobs-id-_cals1", {2: "success"}),
        ("submission_state__started_finished_jobs-id-id-_cals2", {37: "success", 39: "success"}),
        ("submission_final_garbage", {}),
        ("submission_final_url_404", {}),
    ],
)
def test_final_state_is_recognised_at_once(name: str, states: dict[int, str]) -> None:
    run = waiting(recorded(name))
    ended = run.run()
    assert ended.states == states
    assert ended.status.failed is not bool(states)
    assert (run.paths, run.waits_s) == (["/api/submissions/7"], [0.0])


def test_only_the_jobs_that_have_not_ended_are_asked() -> None:
    run = waiting(status(jobs=(1, 2, 3), solved_job_ids=(1,)), "failure", "solving", "success")
    assert run.run().states == {1: "success", 2: "failure", 3: "success"}
    assert run.paths == ["/api/submissions/7", "/api/jobs/2", "/api/jobs/3", "/api/jobs/3"]


def test_life_with_a_restart_of_the_solver_as_recorded() -> None:
    run = waiting(
        recorded("submission_while_solving"),
        "solving",
        NotFound("gone"),
        recorded("submission_after_solver_restart"),
        "success",
    )
    assert run.run().states == {44: "success"}
    assert run.paths[1:3] == ["/api/jobs/43"] * 2
    assert run.paths[-1] == "/api/jobs/44"


def test_job_that_vanishes_into_the_queue_is_waited_for() -> None:
    run = waiting(status(jobs=(9,)), NotFound("gone"), status(**QUEUED), status(jobs=(10,)), "failure")
    assert run.run().states == {10: "failure"}


def test_failed_job_beside_a_vanished_one_is_not_asked_again() -> None:
    run = waiting(status(jobs=(1, 2)), "failure", NotFound("gone"), status(jobs=(1, 4)), "success")
    assert run.run().states == {1: "failure", 4: "success"}
    assert run.paths.count("/api/jobs/1") == 1


def test_job_alone_is_waited_for() -> None:
    run = Stepper(flow.wait_for_job(9, server=SERVER, polling=POLLING), ["processing", "solving", "success"])
    assert run.run() == "success"
    assert run.waits_s == pytest.approx([0, 5, 7])


def test_job_alone_that_is_late_carries_its_id() -> None:
    polling = flow.Polling(first_s=5, timeout_s=6)
    with pytest.raises(SolveTimeout) as caught:
        Stepper(flow.wait_for_job(9, server=SERVER, polling=polling), ["solving"] * 9).run()
    assert caught.value.job_id == 9


def test_solved_job_of_several_is_the_solution() -> None:
    run = stepper(status(jobs=(8, 9)), "failure", "success", b"", CALIBRATION)
    assert run.run().job_id == 9


LOOKUP = flow.Lookup(my_jobs=Request(f"{SERVER}/api/myjobs"), filename="m31.cafe.jpg")


def lost(*answers: Any) -> Stepper:
    steps = flow.solve(UPLOAD, server=SERVER, name="m31.jpg", polling=POLLING, lookup=LOOKUP)
    return Stepper(steps, [OutcomeUnknown("lost"), *answers])


def info(filename: str) -> JobInfo:
    return JobInfo(
        job_id=0,
        state="solving",
        original_filename=filename,
        tags=(),
        machine_tags=(),
        objects_in_field=(),
        calibration=None,
    )


def test_lost_upload_is_found_by_its_name_and_not_sent_again() -> None:
    run = lost(
        (5, 6),
        NotFound("gone"),
        info("m31.jpg"),
        (5, 6, 8),
        info("m31.cafe.jpg"),
        "success",
        b"",
        CALIBRATION,
    )
    solution = run.run()
    assert (solution.name, solution.job_id, solution.submission_id) == ("m31.jpg", 8, None)
    assert run.paths.count("/api/upload") == 1
    assert run.paths[1:6] == [
        "/api/myjobs",
        "/api/jobs/6/info",
        "/api/jobs/5/info",
        "/api/myjobs",
        "/api/jobs/8/info",
    ]


def test_lost_upload_without_a_solution_says_so() -> None:
    with pytest.raises(StatusFailedException) as caught:
        lost((8,), info("m31.cafe.jpg"), "failure").run()
    assert caught.value.job_id == 8


def test_upload_that_is_nowhere_to_be_found_is_sent_again() -> None:
    run = lost(*[()] * 8, RECEIPT, status(jobs=(9,), solved_job_ids=(9,)), b"", CALIBRATION)
    assert run.run().submission_id == 7
    assert run.paths.count("/api/upload") == 2
    assert sum(run.waits_s[:8]) > 150


def test_upload_without_a_name_is_sent_again_a_few_times() -> None:
    steps = flow.solve(UPLOAD, server=SERVER, name="xy", polling=POLLING)
    run = Stepper(steps, [OutcomeUnknown("lost")] * 9)
    with pytest.raises(OutcomeUnknown):
        run.run()
    assert run.paths == ["/api/upload"] * 3


def test_refused_upload_is_sent_again_after_the_pause_the_server_wants() -> None:
    steps = flow.solve(UPLOAD, server=SERVER, name="xy", polling=POLLING)
    busy = [Overloaded("busy", retry_after_s=120), Overloaded("busy")]
    solved = [status(jobs=(9,), solved_job_ids=(9,)), b"", CALIBRATION]
    run = Stepper(steps, [*busy, RECEIPT, *solved])
    assert run.run().submission_id == 7
    assert run.waits_s[:2] == pytest.approx([120, 7])


def test_upload_that_is_refused_for_ever_ends_in_time() -> None:
    steps = flow.solve(UPLOAD, server=SERVER, name="xy", polling=POLLING)
    run = Stepper(steps, [Overloaded("busy")] * 99)
    with pytest.raises(Overloaded):
        run.run()
    assert 1000 <= sum(run.waits_s) < 1100


@pytest.mark.parametrize("option", ["first_s", "longest_s", "timeout_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_wait_that_is_none_is_refused(option: str, value: float) -> None:
    with pytest.raises(InputError, match=option):
        flow.Polling(**{"first_s": 1, option: value})


def test_waits_without_a_bound_grow_for_ever() -> None:
    waits = flow.Polling(first_s=5).waits_s()
    assert [next(waits) for _ in range(60)][-1] > 1e9


def test_lost_upload_is_waited_for_while_earlier_ones_are_queued() -> None:
    passing = ManualTime(now=0.0)
    forecast = flow.Forecast(POLLING, clock=passing.clock)
    earlier = forecast.uploaded()
    forecast.saw(earlier, "queued")
    lookup = attrs.evolve(LOOKUP, forecast=forecast)
    steps = flow.find(lookup, server=SERVER, polling=POLLING)
    looks = [()] * 12
    run = Stepper(steps, [*looks, (8,), info("m31.cafe.jpg")])
    assert run.run() == 8
    assert run.paths.count("/api/myjobs") == 13
    forecast.saw(earlier, "solving")
    run = Stepper(flow.find(lookup, server=SERVER, polling=POLLING), [()] * 30)
    with pytest.raises(OutcomeUnknown, match="look again later"):
        run.run()
    assert sum(run.waits_s) > 1000
    forecast.saw(earlier, "ended")
    assert Stepper(flow.find(lookup, server=SERVER, polling=POLLING), [()] * 8).run() is None


def test_upload_counts_as_never_stored_only_after_looks_that_told_all() -> None:
    failed = Unreachable("no connection"), (8,), ServerRefused("broken", status=500)
    run = Stepper(flow.find(LOOKUP, server=SERVER, polling=POLLING), [*failed, *[()] * 8])
    assert run.run() is None
    assert run.paths.count("/api/myjobs") == 10


def test_jobs_that_are_gone_are_not_found() -> None:
    names = flow.Names({7: "m31.cafe.jpg"})
    lookup = attrs.evolve(LOOKUP, names=names)
    answers = [(12,), info("m31.cafe.jpg")]
    assert Stepper(flow.find(lookup, server=SERVER, polling=POLLING), answers).run() == 12


def test_trouble_while_a_lost_upload_is_looked_for_is_lived_through() -> None:
    run = lost(
        Unreachable("no connection"),
        (8,),
        Overloaded("busy"),
        (8,),
        info("m31.cafe.jpg"),
        "success",
        b"",
        CALIBRATION,
    )
    assert run.run().job_id == 8
