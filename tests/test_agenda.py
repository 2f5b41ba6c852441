"""What may be done for many flows, stepped by hand."""

import math
from typing import Any

import pytest

from astrometry_client import flow
from astrometry_client.agenda import Agenda, Errand
from astrometry_client.circuit import Circuit
from astrometry_client.errors import InputError, MalformedReply, Overloaded, SolveTimeout, Unreachable
from astrometry_client.request import Request

SERVER = "https://nova.example"
FREE: Any = {"uploads": 1, "reads": 2, "files": 1, "local": 1}
REFUSED = Overloaded("503")


@pytest.fixture
def agenda() -> Agenda[str, Any]:
    return Agenda(Circuit(SERVER), pause_s=lambda wait: wait.seconds)


def asks(*stages: flow.Stage) -> flow.Steps[list[Any]]:
    answers = []
    for stage in stages:
        answers.append((yield flow.Make(Request(f"{SERVER}/{stage}"), stage)))
    return answers


def started(agenda: Agenda[str, Any], now_s: float = 0.0, free: Any = None) -> list[Errand]:
    return agenda.startable(FREE if free is None else free, now_s)


def names(errands: list[Errand]) -> list[str]:
    return [errand.task.name for errand in errands]


def know_server(agenda: Agenda[str, Any]) -> None:
    agenda.begin("first", asks("solving"), 0)
    agenda.answered(started(agenda)[0], "processing", 0)
    agenda.ended.clear()


def test_lanes_do_not_hold_up_each_other(agenda: Agenda[str, Any]) -> None:
    for name in ("a", "b"):
        agenda.begin(f"upload {name}", asks("uploading"), 0)
        agenda.begin(f"look {name}", asks("solving"), 0)
    assert names(started(agenda)) == ["upload a", "look a", "look b"]
    assert started(agenda, free=dict.fromkeys(FREE, 0)) == []


def test_results_are_fetched_before_others_are_asked_for(agenda: Agenda[str, Any]) -> None:
    for name in ("look a", "look b", "look c"):
        agenda.begin(name, asks("solving"), 0)
    agenda.begin("fetch", asks("fetching"), 0)
    assert names(started(agenda)) == ["fetch", "look a"]


def test_wait_is_over_when_its_time_has_come(agenda: Agenda[str, Any]) -> None:
    def waits() -> flow.Steps[float]:
        return (yield flow.Wait(5, "solving"))

    agenda.begin("a", waits(), 100)
    assert agenda.wait_s(101) == 4
    started(agenda, 104)
    assert not agenda.ended
    started(agenda, 105.5)
    assert list(agenda.ended) == [("a", 5.5)]
    assert agenda.wait_s(106) is None


def test_wait_is_over_when_another_has_brought_what_is_waited_for(agenda: Agenda[str, Any]) -> None:
    news: list[str] = []

    def listens() -> flow.Steps[float]:
        return (yield flow.Wait(math.inf, "solving", lambda: bool(news)))

    def tells() -> flow.Steps[None]:
        news.append((yield flow.Make(Request(SERVER), "solving")))

    agenda.begin("listens", listens(), 0)
    agenda.begin("tells", tells(), 0)
    (errand,) = started(agenda, 1)
    assert agenda.wait_s(1) is None
    agenda.answered(errand, "news", 3)
    started(agenda, 4)
    assert list(agenda.ended) == [("tells", None), ("listens", 4)]
    assert len(agenda) == 0


def test_wait_that_another_has_ended_is_over_once(agenda: Agenda[str, Any]) -> None:
    news: list[str] = []

    def listens() -> flow.Steps[list[float]]:
        first = yield flow.Wait(5, "solving", lambda: bool(news))
        return [first, (yield flow.Wait(7, "solving"))]

    agenda.begin("listens", listens(), 0)
    agenda.begin("asks", asks("solving"), 0)
    news.append("news")
    agenda.answered(*started(agenda), None, 1)
    agenda.ended.clear()
    started(agenda, 1)
    assert agenda.wait_s(1) == 7
    started(agenda, 6)
    assert not agenda.ended
    started(agenda, 8)
    assert list(agenda.ended) == [("listens", [1, 8])]


def test_wait_that_takes_no_time_lets_others_have_their_turn(agenda: Agenda[str, Any]) -> None:
    def waits_for_ever() -> flow.Steps[None]:
        while True:
            yield flow.Wait(0, "solving")

    agenda.begin("waits", waits_for_ever(), 0)
    agenda.begin("asks", asks("solving"), 0)
    assert names(started(agenda)) == ["asks"]
    assert agenda.wait_s(0) == 0


def test_error_of_who_is_told_of_steps_is_the_end_of_no_flow() -> None:
    def fail(name: str, step: flow.Step) -> None:
        raise InputError("the display is gone")

    agenda = Agenda[str, Any](Circuit(SERVER), pause_s=lambda wait: wait.seconds, on_step=fail)
    with pytest.raises(InputError, match="display"):
        agenda.begin("asks", asks("solving"), 0)
    assert not agenda.ended


def test_local_step_is_taken_whatever_the_server_says(agenda: Agenda[str, Any]) -> None:
    def notes() -> flow.Steps[int]:
        return (yield flow.Local(lambda: 7))

    know_server(agenda)
    for _ in range(3):
        agenda.begin("asks", asks("solving"), 0)
        agenda.answered(started(agenda)[0], REFUSED, 0)
        if agenda.wait_s(0):
            break
    agenda.begin("notes", notes(), 0)
    (errand,) = started(agenda)
    agenda.answered(errand, errand.carry_out(None), 0)
    assert list(agenda.ended) == [("notes", 7)]


def test_refused_request_is_made_again_after_a_rest(agenda: Agenda[str, Any]) -> None:
    know_server(agenda)
    agenda.begin("a", asks("solving"), 0)
    agenda.begin("b", asks("solving"), 0)
    first, second = started(agenda)
    agenda.answered(first, REFUSED, 0)
    agenda.answered(second, REFUSED, 0)
    again, other = started(agenda)
    agenda.answered(again, REFUSED, 0)
    assert started(agenda, 29.9) == []
    assert agenda.wait_s(10) is None  # what is on its way is waited for first
    agenda.answered(other, REFUSED, 10)
    assert agenda.wait_s(10) == 20
    (probe,) = started(agenda, 30)
    assert started(agenda, 30) == []
    agenda.answered(probe, "success", 31)
    assert len(started(agenda, 31)) == 1
    assert len(agenda.ended) == 1


def test_time_stands_still_while_the_server_rests(agenda: Agenda[str, Any]) -> None:
    def looks() -> flow.Steps[float]:
        yield flow.Make(Request(SERVER), "solving")
        return (yield flow.Wait(2, "solving"))

    know_server(agenda)
    agenda.begin("a", looks(), 0)
    for _ in range(3):
        (errand,) = started(agenda)
        agenda.answered(errand, REFUSED, 0)
    (errand,) = started(agenda, 500)
    agenda.answered(errand, "solving", 500)
    started(agenda, 502)
    assert list(agenda.ended) == [("a", 2)]


def test_server_that_never_answered_is_told_at_once(agenda: Agenda[str, Any]) -> None:
    agenda.begin("a", asks("solving"), 0)
    error = Unreachable("no route")
    agenda.answered(started(agenda)[0], error, 0)
    assert list(agenda.ended) == [("a", error)]


def test_no_request_is_made_again_for_ever(agenda: Agenda[str, Any]) -> None:
    know_server(agenda)
    agenda.begin("a", asks("solving"), 0)
    now_s = 0.0
    for _ in range(10):
        assert not agenda.ended
        (errand,) = started(agenda, now_s)
        agenda.answered(errand, REFUSED, now_s)
        now_s += 1000
    assert list(agenda.ended) == [("a", REFUSED)]


def test_other_errors_are_the_business_of_the_flow(agenda: Agenda[str, Any]) -> None:
    know_server(agenda)
    agenda.begin("a", asks("solving"), 0)
    error = MalformedReply("a page")
    agenda.answered(started(agenda)[0], error, 0)
    assert list(agenda.ended) == [("a", error)]


def test_all_can_be_ended_where_they_stand(agenda: Agenda[str, Any]) -> None:
    noted: list[str] = []

    def careful(effect: flow.Effect) -> flow.Steps[None]:
        try:
            yield effect
        finally:
            yield flow.Local(lambda: noted.append("let go"))

    agenda.begin("waits", careful(flow.Wait(100, "solving")), 0)
    agenda.begin("asks", careful(flow.Make(Request(SERVER), "solving")), 0)
    (on_its_way,) = started(agenda, free=FREE)
    agenda.begin("was to ask", careful(flow.Make(Request(SERVER), "solving")), 0)
    agenda.give_up(0)
    agenda.answered(on_its_way, "solving", 0)
    while len(agenda):
        for errand in started(agenda):
            assert errand.lane == "local"
            agenda.answered(errand, errand.carry_out(None), 0)
    assert noted == ["let go"] * 3
    ends = dict(agenda.ended)
    assert {name: type(end) for name, end in ends.items() if end} == {
        "waits": SolveTimeout,
        "was to ask": SolveTimeout,
    }
