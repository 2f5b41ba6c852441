"""Each fault happens to the requests it is planned for, and to no others."""

import threading
import time
from collections.abc import Iterable

import pytest
import requests
from live_server import Api

from astrometry_client.testing import (
    Clock,
    Cut,
    Drip,
    ExpireSessions,
    Fault,
    Hang,
    Late,
    NovaServer,
    Reset,
    Restart,
    Status,
    VanishJob,
)
from astrometry_client.testing.faults import Plan, Planned


def get(server: NovaServer, path: str = "api/jobs_by_tag?query=a", **options: float) -> requests.Response:
    return requests.get(f"{server.url}/{path}", timeout=options.get("timeout", 10))


def faults(plan: Plan, calls: Iterable[str]) -> list[Fault | None]:
    return [plan.next(call) for call in calls]


@pytest.mark.nova_server(faults=[Status(503, retry_after_s=7).at("jobs_by_tag", 3)])
def test_third_look_is_refused(nova_server: NovaServer) -> None:
    replies = [get(nova_server) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 503, 200]
    assert replies[2].headers["Retry-After"] == "7"
    assert [record.fault for record in nova_server.requests] == [
        None,
        None,
        Status(503, retry_after_s=7),
        None,
    ]


def test_page_stands_in_place_of_an_answer(nova_server: NovaServer) -> None:
    nova_server.plan(Status(200).at("jobs_by_tag"))
    reply = get(nova_server)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html")
    assert reply.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("fault", "uploads"),
    [
        (Reset(), 0),
        (Reset("read"), 0),
        (Reset("processed"), 1),
        (Cut(), 1),
        (Status(502), 0),
        (Status(502, processed=True), 1),
    ],
)
def test_lost_answer_may_leave_an_upload(
    nova_server: NovaServer, api: Api, fault: Fault, uploads: int
) -> None:
    nova_server.plan(fault.at("upload", 1))
    with pytest.raises(requests.RequestException):
        api.upload(b"x")
    assert len(nova_server.uploads) == uploads
    assert api.upload(b"x") == uploads + 1


@pytest.mark.parametrize("fault", [Reset(), Reset("read"), Reset("processed")])
def test_reset_is_no_orderly_end(nova_server: NovaServer, fault: Fault) -> None:
    nova_server.plan(fault.at("jobs_by_tag"))
    with pytest.raises(requests.ConnectionError, match="reset"):
        get(nova_server)


@pytest.mark.parametrize(("processed", "uploads"), [(False, 0), (True, 1)])
def test_hanging_request_ends_with_the_client(nova_server: NovaServer, processed: bool, uploads: int) -> None:
    nova_server.plan(Hang(processed=processed).at("login"))
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{nova_server.url}/api/login", timeout=0.1)
    assert get(nova_server).ok


@pytest.mark.nova_server(clock=Clock(speed=0), faults=[Late(30.0).at("jobs_by_tag", 1)])
def test_late_answer_comes_on_the_servers_clock(nova_server: NovaServer) -> None:
    assert get(nova_server).ok
    assert nova_server.clock.monotonic() == 30.0


def test_body_drips(nova_server: NovaServer) -> None:
    nova_server.plan(Drip(pause_s=0.01).at("jobs_by_tag"))
    began_s = time.perf_counter()
    assert get(nova_server).json() == {"job_ids": []}
    assert time.perf_counter() - began_s > 0.1


@pytest.mark.parametrize(("purged", "words"), [(True, "no session with key"), (False, "not authenticated")])
def test_sessions_expire(nova_server: NovaServer, api: Api, purged: bool, words: str) -> None:
    nova_server.plan(ExpireSessions(purged=purged).at("myjobs", 2))
    told = [api.call("myjobs", {"session": api.session_key}).text for _ in range(3)]
    assert [words in text for text in told] == [False, True, True]


def test_job_vanishes_and_comes_back_under_another_id(nova_server: NovaServer, api: Api) -> None:
    nova_server.plan(VanishJob().at("job", 1))
    submission_id = api.upload(b"x")
    assert api.submission(submission_id)["jobs"] == [1]
    assert api.get("api/jobs/1").status_code == 404
    assert api.submission(submission_id)["jobs"] == [2]
    assert api.status(2) == "success"
    assert [job.state for job in nova_server.jobs] == ["vanished", "success"]


@pytest.mark.nova_server(solve_time_s=100.0, clock=Clock(speed=0))
def test_restart_begins_solves_anew_and_ids_go_on(nova_server: NovaServer, api: Api) -> None:
    submission_id = api.upload(b"x")
    nova_server.clock.turn(50)
    nova_server.restart()
    nova_server.clock.turn(99)
    assert api.status(1) == "solving"
    nova_server.clock.turn(1)
    assert api.ended(submission_id) == ["success"]
    assert api.upload(b"y") == submission_id + 1


@pytest.mark.nova_server(clock=Clock(speed=0), faults=[Restart(down_s=60.0).at("jobs_by_tag", 1)])
def test_server_that_is_down_refuses_connections(nova_server: NovaServer) -> None:
    with pytest.raises(requests.ConnectionError, match="reset"):
        get(nova_server)
    with pytest.raises(requests.ConnectionError, match="refused"):
        get(nova_server)
    nova_server.clock.turn(60)
    for _ in range(1000):  # the socket opens in a thread of the server
        try:
            assert get(nova_server).ok
            break
        except requests.ConnectionError:
            continue
    else:
        pytest.fail("the server did not come back")


@pytest.mark.parametrize(
    "fault", [Hang(), Hang(processed=True), Drip(pause_s=100), Late(100), Restart(down_s=100)]
)
def test_server_ends_whatever_goes_on(fault: Fault) -> None:
    with NovaServer(faults=[fault.at("jobs_by_tag")]) as server, pytest.raises(requests.RequestException):
        get(server, timeout=0.1)
    assert not any(thread.name == "nova-server" for thread in threading.enumerate())


def test_first_that_fits_counts() -> None:
    plan = Plan([Cut().at("*_file", 2), Hang().at("job", 1, 2), Drip().at("*")])
    assert faults(plan, ["wcs_file", "job", "corr_file", "job", "job"]) == [
        Drip(),
        Hang(),
        Cut(),
        Hang(),
        Drip(),
    ]


def test_same_seed_gives_same_faults_in_any_order_of_calls() -> None:
    def of_jobs(seed: int, calls: list[str]) -> list[Fault | None]:
        found = faults(Plan([Cut().rate(0.3)], seed=seed), calls)
        return [fault for call, fault in zip(calls, found, strict=True) if call == "job"]

    alone, mixed = ["job"] * 300, ["job", "login", "job"] * 150
    assert of_jobs(1, alone) == of_jobs(1, mixed)
    assert of_jobs(1, alone) != of_jobs(2, alone)
    assert 60 < sum(fault is not None for fault in of_jobs(1, alone)) < 120


def test_path_may_be_named() -> None:
    plan = Plan([Cut().at("/api/jobs/2", 1), Drip().at("/wcs_file/*")])
    asked = (
        ("job", "/api/jobs/1"),
        ("job", "/api/jobs/2"),
        ("job", "/api/jobs/2"),
        ("wcs_file", "/wcs_file/5"),
    )
    assert [plan.next(call, path) for call, path in asked] == [None, Cut(), None, Drip()]


def test_plan_is_a_value() -> None:
    assert Status(503).at("job", 1, 2) == Planned(Status(503), "job", numbers=(1, 2))
    assert Status(503).rate(0.1) == Planned(Status(503), "*", share=0.1)
