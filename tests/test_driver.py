"""The driver carries out what a flow decides."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from arrivals import ManualTime
from both_clients import SyncDrivers
from faulty_server import FaultyServer, answer_json

from astrometry_client import ClientSession, flow
from astrometry_client.driver import pace_of
from astrometry_client.errors import NotFound
from astrometry_client.request import Request


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def test_values_and_passed_time_are_sent_back(
    drivers: type[SyncDrivers], server: FaultyServer, session: ClientSession
) -> None:
    server.default = answer_json({"status": "solving"})

    def steps() -> flow.Steps[Any]:
        document = yield flow.Make(Request(f"{server.url}/api/jobs/1"), "solving")
        first = yield flow.Wait(5, "solving")
        return document, first, (yield flow.Wait(2, "solving"))

    assert drivers.drive(steps(), session) == ({"status": "solving"}, 5, 7)


def test_errors_are_thrown_in_and_may_be_dealt_with(
    drivers: type[SyncDrivers], server: FaultyServer, session: ClientSession
) -> None:
    server.default = attrs.evolve(server.default, status=404)

    def steps() -> flow.Steps[str]:
        try:
            yield flow.Make(Request(f"{server.url}/api/jobs/1"), "solving")
        except NotFound:
            yield flow.Wait(1, "queued")
            return "followed"
        return "found"

    stages: list[str] = []
    assert drivers.drive(steps(), session, on_step=lambda effect: stages.append(effect.stage)) == "followed"
    assert stages == ["solving", "queued"]


def test_flow_is_closed_when_the_one_who_watches_it_fails(
    drivers: type[SyncDrivers], session: ClientSession
) -> None:
    noted: list[str] = []

    def steps() -> flow.Steps[None]:
        try:
            yield flow.Wait(1, "queued")
        finally:
            noted.append("closed")

    def fail(_: flow.Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as kept:
        drivers.drive(steps(), session, on_step=fail)
    assert (noted, kept.type) == (["closed"], KeyboardInterrupt)


def test_dry_run_waits_for_nothing(
    drivers: type[SyncDrivers], session: ClientSession, passing: ManualTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps() -> flow.Steps[float]:
        return (yield flow.Wait(100, "queued"))

    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    assert drivers.drive(steps(), session) == 0
    assert passing.slept == []


def test_server_on_this_machine_is_asked_more_often() -> None:
    public, own = pace_of("https://nova.example"), pace_of("http://127.0.0.1:8000")
    assert (public.first_s, public.longest_s) == (5, 60)
    assert (own.first_s, own.longest_s) == (0.25, 2)
    assert pace_of("http://localhost", first_s=3, longest_s=None, timeout_s=None) == flow.Polling(first_s=3)
