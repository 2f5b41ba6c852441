"""Whoever wants a request no more ends it: its waits at once, what is on its way between two blocks."""

import io
import threading
import time
from collections.abc import Iterator

import pytest
from faulty_server import Answer, Arrival, Fault, FaultyServer

from astrometry_client import ClientSession
from astrometry_client.errors import OutcomeUnknown
from astrometry_client.session.interrupting import Interrupt, Interrupted, interruptible


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


class Watched(io.BytesIO):
    """A file that says when it is read."""

    def __init__(self, content: bytes, at_read: Interrupt) -> None:
        super().__init__(content)
        self._at_read = at_read
        self.name = "field.fits"

    def read(self, size: int | None = -1, /) -> bytes:
        self._at_read.end()
        return super().read(size)


def test_wait_before_a_repeat_ends_at_once(server: FaultyServer) -> None:
    server.default = Answer(status=503, headers={"Retry-After": "200"})
    interrupt = Interrupt()
    ended: list[BaseException] = []

    def ask(session: ClientSession) -> None:
        try:
            with interruptible(interrupt):
                session.get(f"{server.url}/api/jobs/1")
        except Interrupted as error:
            ended.append(error)

    with ClientSession() as session:
        thread = threading.Thread(target=ask, args=(session,))
        thread.start()
        interrupt.end_waits()
        thread.join(20)
    assert ended


def test_wait_for_a_slot_ends_at_once(server: FaultyServer) -> None:
    interrupt = Interrupt()
    interrupt.end_waits()
    with ClientSession(per_minute=1) as session, interruptible(interrupt):
        session.get(f"{server.url}/api/jobs/1", dry_run=False, raise_for_status=False)
        with pytest.raises(Interrupted):
            session.get(f"{server.url}/api/jobs/1", raise_for_status=False)


def test_upload_is_broken_off_between_two_blocks(server: FaultyServer) -> None:
    interrupt = Interrupt()
    file = Watched(b"x" * 5_000_000, interrupt)
    with ClientSession() as session, interruptible(interrupt), pytest.raises(Interrupted):
        session.post(f"{server.url}/api/upload", data={"request-json": "{}"}, files={"file": file})


@pytest.mark.parametrize(("method", "error"), [("GET", Interrupted), ("POST", OutcomeUnknown)])
def test_silent_server_is_listened_to_no_more(
    server: FaultyServer, method: str, error: type[Exception]
) -> None:
    interrupt = Interrupt()

    def answer(_: Arrival) -> Answer:
        interrupt.end()
        return Answer(fault=Fault.HANG)

    server.responder = answer
    begun_s = time.monotonic()
    with ClientSession() as session, interruptible(interrupt), pytest.raises(error):
        session.request(method, f"{server.url}/api/jobs/1", data={"a": 1})
    assert time.monotonic() - begun_s < 10
    assert len(server.arrivals) == 1


def test_connection_is_of_the_request_that_uses_it_now(server: FaultyServer) -> None:
    first = Interrupt()
    with ClientSession() as session:
        with interruptible(first):
            session.get(f"{server.url}/api/jobs/1")
        server.responder = lambda _: first.end()
        session.get(f"{server.url}/api/jobs/1")
    assert {arrival.connection for arrival in server.arrivals} == {1}


def test_wait_is_told_to_whoever_wants_the_request(server: FaultyServer) -> None:
    waits: list[float] = []
    with ClientSession(per_second=4, burst=1) as session, interruptible(Interrupt(waits.append)):
        for _ in range(2):
            session.get(f"{server.url}/api/jobs/1")
    assert [0 < wait_s < 0.3 for wait_s in waits] == [True]


def test_others_are_left_alone(server: FaultyServer) -> None:
    interrupt = Interrupt()
    interrupt.end()
    with ClientSession() as session:
        with interruptible(interrupt):
            pass
        assert session.get(f"{server.url}/api/jobs/1", raise_for_status=False).status_code
