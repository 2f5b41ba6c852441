"""Many flows in one thread: none waits for another, and uploads wait for nobody."""

import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from arrivals import ManualTime
from both_clients import SyncDrivers
from faulty_server import Answer, Arrival, Fault, FaultyServer, answer_json

from astrometry_client import ClientSession, flow, scheduler
from astrometry_client.course import Course
from astrometry_client.errors import InputError, NotFound, SolveTimeout
from astrometry_client.lanes import Lanes
from astrometry_client.request import Request
from astrometry_client.session.interrupting import Interrupted


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def course(flows: Any, **options: Any) -> Course[Any, Any, Any]:
    return Course(flows=flows, results=lambda name, end: [(name, end)], server="http://127.0.0.1", **options)


def waits(*seconds: float) -> flow.Steps[float]:
    passed_s = 0.0
    for wait_s in seconds:
        passed_s = yield flow.Wait(wait_s, "solving")
    return passed_s


def iter_of(effect: flow.Effect) -> flow.Steps[Any]:
    return (yield effect)


def asks(server: FaultyServer, path: str, stage: flow.Stage) -> flow.Steps[Any]:
    return (yield flow.Make(Request(f"{server.url}/api/{path}"), stage))


def test_flows_end_in_the_order_of_their_waits(
    drivers: type[SyncDrivers], session: ClientSession, passing: ManualTime
) -> None:
    flows = [("late", waits(5, 5)), ("none", waits()), ("early", waits(3)), ("later", waits(11))]
    assert list(drivers.drive_many(course(flows, most=4), session)) == [
        ("none", 0.0),
        ("early", 3.0),
        ("late", 10.0),
        ("later", 11.0),
    ]
    assert passing.slept == [3, 2, 5, 1]


def test_no_more_are_in_work_than_allowed(drivers: type[SyncDrivers], session: ClientSession) -> None:
    begun: list[int] = []

    def flows() -> Iterator[tuple[int, flow.Steps[float]]]:
        for number in range(6):
            begun.append(number)
            yield number, waits(1)

    ended = drivers.drive_many(course(flows(), most=2), session)
    assert next(ended) == (0, 1.0)
    assert begun == [0, 1]
    assert [name for name, _ in ended] == [1, 2, 3, 4, 5]


def test_error_ends_its_own_flow_only(
    drivers: type[SyncDrivers], server: FaultyServer, session: ClientSession
) -> None:
    server.default = Answer(status=404)

    def bad() -> flow.Steps[None]:
        raise InputError("no file")
        yield

    flows = [("bad", bad()), ("lost", asks(server, "jobs/1", "solving")), ("well", waits(1))]
    ends = dict(drivers.drive_many(course(flows, most=3), session))
    assert (type(ends["bad"]), type(ends["lost"]), ends["well"]) == (InputError, NotFound, 1.0)


def test_upload_that_takes_long_holds_up_nobody(
    drivers: type[SyncDrivers], server: FaultyServer, session: ClientSession
) -> None:
    others_ended = threading.Event()

    def answer(arrival: Arrival) -> Answer:
        if arrival.path == "/api/upload":
            others_ended.wait(20)
        return answer_json({"status": "solving"})

    server.responder = answer
    flows = [("big", asks(server, "upload", "uploading")), ("small", asks(server, "jobs/1", "solving"))]
    ended = drivers.drive_many(course(flows, most=2), session)
    assert next(ended)[0] == "small"
    others_ended.set()
    assert next(ended)[0] == "big"


def test_steps_are_told_with_the_name_of_their_flow(
    drivers: type[SyncDrivers], session: ClientSession
) -> None:
    told: list[tuple[str, flow.Step]] = []
    flows = [("a", waits(1)), ("b", waits(2))]
    list(
        drivers.drive_many(
            course(flows, most=2, on_step=lambda name, effect: told.append((name, effect))), session
        )
    )
    assert told == [("a", flow.Wait(1, "solving")), ("b", flow.Wait(2, "solving"))]


def test_who_stops_listening_closes_what_is_in_work(
    drivers: type[SyncDrivers], session: ClientSession
) -> None:
    closed: list[str] = []

    def steps() -> flow.Steps[None]:
        try:
            yield flow.Wait(100, "solving")
        finally:
            closed.append("closed")

    ended = drivers.drive_many(
        course([("first", waits()), ("rest", steps()), ("second", waits(1))], most=3), session
    )
    assert next(ended)[0] == "first"
    assert next(ended)[0] == "second"
    ended.close()  # type: ignore[attr-defined]
    assert closed == ["closed"]


def test_who_stops_listening_does_not_wait_for_a_silent_server(
    drivers: type[SyncDrivers], server: FaultyServer, session: ClientSession
) -> None:
    asked = threading.Event()
    errors: list[Exception] = []

    class Watched(Request[Any]):
        def make(self, client_session: ClientSession | None = None) -> Any:
            try:
                return super().make(client_session)
            except Exception as error:
                errors.append(error)
                raise

    def answer(arrival: Arrival) -> Answer:
        asked.set()
        return Answer(fault=Fault.HANG)

    def silent() -> flow.Steps[Any]:
        return (yield flow.Make(Watched(f"{server.url}/api/jobs/1"), "solving"))

    def ends() -> flow.Steps[bool]:
        return (yield flow.Local(lambda: asked.wait(20)))

    server.responder = answer
    ended = drivers.drive_many(course([("silent", silent()), ("ends", ends())], most=2), session)
    assert next(ended) == ("ends", True)
    ended.close()
    assert [type(error) for error in errors] == [Interrupted]


def test_upload_on_its_way_arrives_and_is_noted_though_nobody_listens(
    server: FaultyServer, session: ClientSession
) -> None:
    asked, released = threading.Event(), threading.Event()
    noted: list[Any] = []

    def answer(arrival: Arrival) -> Answer:
        asked.set()
        assert released.wait(20)
        return answer_json({"status": "success", "subid": 7})

    def uploads() -> flow.Steps[None]:
        try:
            reply = yield flow.Make(Request(f"{server.url}/api/upload"), "uploading")
            yield flow.Wait(100, "queued")
        finally:
            noted.append(reply["subid"])

    def ends() -> flow.Steps[bool]:
        return (yield flow.Local(lambda: asked.wait(20)))

    server.responder = answer
    ended = SyncDrivers.drive_many(course([("upload", uploads()), ("ends", ends())], most=2), session)
    assert next(ended) == ("ends", True)
    threading.Timer(0.1, released.set).start()
    ended.close()
    assert noted == [7]


def test_lanes_given_up_before_the_first_flow_end_all(session: ClientSession) -> None:
    lanes = Lanes(session)
    lanes.give_up()
    with pytest.raises(Interrupted):
        next(scheduler.drive_many(course([("waits", waits(1))], most=1), session, lanes))


def test_ctrl_c_ends_all_whenever_it_comes(session: ClientSession) -> None:
    def interrupts(number: int) -> flow.Steps[None]:
        for step in range(20):
            yield flow.Local(partial(signal.raise_signal, signal.SIGINT) if step == number else int)

    for number in range(20):
        flows = [(name, interrupts(number)) for name in range(4)]
        with pytest.raises(KeyboardInterrupt):
            list(SyncDrivers.drive_many(course(flows, most=4), session))


def test_deadline_is_held_though_no_reply_comes(drivers: type[SyncDrivers], server: FaultyServer) -> None:
    server.default = Answer(fault=Fault.HANG)
    with ClientSession() as session:
        flows = [("silent", asks(server, "jobs/1", "solving"))]
        begun_s = time.monotonic()
        (end,) = drivers.drive_many(course(flows, most=1, deadline_s=0.2), session)
    assert isinstance(end[1], SolveTimeout)
    assert time.monotonic() - begun_s < 20


def test_deadline_may_be_as_far_away_as_one_likes(drivers: type[SyncDrivers], session: ClientSession) -> None:
    flows = [("step", iter_of(flow.Local(partial(time.sleep, 0.05))))]
    assert len(list(drivers.drive_many(course(flows, most=2, deadline_s=1e300), session))) == 1


def test_file_that_is_read_holds_up_no_step_of_others(
    drivers: type[SyncDrivers], session: ClientSession
) -> None:
    stepped = threading.Event()

    def reads() -> flow.Steps[bool]:
        return (yield flow.Local(lambda: stepped.wait(20), reads_file=True))

    def steps() -> flow.Steps[None]:
        yield flow.Local(stepped.set)

    ended = drivers.drive_many(course([("reads", reads()), ("steps", steps())], most=2), session)
    assert dict(ended) == {"reads": True, "steps": None}
