"""Many solves with a server that fails in every way it can: right results, nothing stored twice."""

import random
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from arrivals import ManualTime
from both_clients import NewClient
from faulty_server import Answer, Arrival, Fault
from small_nova import SmallNova, ra_of

from astrometry_client import Client, ClientSession
from astrometry_client.session.retrying import RetryPolicy

PAGE = b"<!DOCTYPE html><html><title>Sorry</title></html>"
SHARE = 0.05
AFTER_STORING = (Fault.RESET_AFTER, Fault.CUT, Fault.HANG, Fault.DRIP, "page")
BEFORE_STORING = (Fault.RESET_BEFORE, *((status, wait) for status in (403, 429, 503) for wait in (None, "2")))
FAULTS = (*AFTER_STORING, *BEFORE_STORING)


class FailingNova(SmallNova):
    """Serves each of the faults to a twentieth of the requests."""

    def __init__(self) -> None:
        super().__init__()
        self._chance = random.Random(603)

    def answer(self, arrival: Arrival) -> Answer:
        place = int(self._chance.random() / SHARE)
        fault = FAULTS[place] if place < len(FAULTS) else Fault.NONE
        if isinstance(fault, tuple):
            status, wait = fault
            return Answer(status=status, body=PAGE, headers={"Retry-After": wait} if wait else {})
        if fault is Fault.RESET_BEFORE:
            return Answer(fault=fault)
        answer = super().answer(arrival)
        if fault == "page":
            return Answer(body=PAGE, kind="text/html")
        return attrs.evolve(answer, fault=fault, pause_s=0.2 / len(answer.body))


@pytest.fixture
def server() -> Iterator[FailingNova]:
    with FailingNova() as running:
        yield running


@pytest.fixture
def client(server: FailingNova, new_client: NewClient) -> Iterator[Client]:
    passing = ManualTime()
    with ClientSession(timeout=0.15, write_timeout=0.5) as session:
        # Three of five requests fail here, so that five repeats would be too few.
        patient = RetryPolicy(max_retries=100, retry_time_s=1e6)
        session.retrying = attrs.evolve(
            session.retrying, policy=patient, sleep=passing.sleep, clock=passing.clock
        )
        with new_client("key", base_url=server.url, client_session=session) as client:
            yield client


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_every_solve_ends_right_and_nothing_is_stored_twice(
    server: FailingNova, client: Client, tmp_path: Path, count: int
) -> None:
    for number in range(count):
        path = tmp_path / f"field{number}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"%d" % number)
        solution = client.solve(path, timeout_s=1e6)
        assert solution.name == path.name
        assert solution.calibration.ra_deg == ra_of(path.read_bytes())
        assert solution.header()["CRVAL1"] == ra_of(path.read_bytes())
    assert len(server.uploads) == count
