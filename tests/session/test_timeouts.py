"""How long a silent server is waited for."""

from typing import Any

import pytest
from faulty_server import Answer, Fault, FaultyServer

from astrometry_client.errors import InputError
from astrometry_client.session import ClientSession, RequestTimeout


@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", (10.0, 30.0)), ("head", (10.0, 30.0)), ("POST", (10.0, 300.0)), ("put", (10.0, 300.0))],
)
def test_writes_wait_longer(method: str, expected: tuple[float, float]) -> None:
    timeout = RequestTimeout(method)
    assert timeout == expected
    assert (timeout.connect_s, timeout.read_s) == expected


def test_each_silence_can_be_chosen() -> None:
    assert RequestTimeout("GET", 1, 2, connect_timeout=3) == (3, 1)
    assert RequestTimeout("POST", 1, None, connect_timeout=None) == (None, None)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5"])
def test_silence_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(InputError, match="timeout"):
        RequestTimeout("GET", seconds)
    with pytest.raises(InputError, match="timeout"):
        ClientSession(timeout=seconds)


def test_session_and_request_choose(server: FaultyServer, session: ClientSession) -> None:
    session.write_timeout = 7
    assert session.timeouts("GET") == (10, 5)
    assert session.timeouts("POST") == (10, 7)
    assert session.timeouts("POST", 2) == (2, 2)
    assert session.timeouts("GET", (1, None)) == (1, None)


def test_timeout_of_one_request_counts(server: FaultyServer, session: ClientSession) -> None:
    server.script(Answer(fault=Fault.HANG))
    session.get(f"{server.url}/api/jobs/1", timeout=0.1)
    assert len(server.arrivals) == 2
