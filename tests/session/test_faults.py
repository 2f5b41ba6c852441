"""A session against a server that fails: reads recover within bounds, no write is ever sent twice."""

import re
import socket
import threading
from collections.abc import Iterator

import attrs
import pytest
import requests
from arrivals import ManualTime
from faulty_server import Answer, Fault, FaultyServer, answer_json

from astrometry_client.errors import (
    InputError,
    MalformedReply,
    OutcomeUnknown,
    Overloaded,
    ReplyTimeout,
    ServerRefused,
    Unreachable,
)
from astrometry_client.session import ClientSession

HTML = Answer(body=b"<!DOCTYPE html><html><title>Oops</title></html>", kind="text/html")
CUT_JSON = Answer(body=b'{"status": "succ')
LONG = b'{"status": "success", "filler": "' + b"x" * 200 + b'"}'

PASSING = {
    "503": Answer(status=503),
    "503 with Retry-After": Answer(status=503, headers={"Retry-After": "7"}),
    "429": Answer(status=429),
    "429 with Retry-After": Answer(status=429, headers={"Retry-After": "7"}),
    "403": Answer(status=403),
    "403 with Retry-After": Answer(status=403, headers={"Retry-After": "7"}),
    "500": Answer(status=500),
    "502": Answer(status=502, body=HTML.body, kind="text/html"),
    "reset before": Answer(fault=Fault.RESET_BEFORE),
    "reset after": Answer(fault=Fault.RESET_AFTER),
    "cut body": Answer(body=LONG, fault=Fault.CUT),
    "hang": Answer(fault=Fault.HANG),
    "slow drip": Answer(body=LONG, fault=Fault.DRIP),
    "HTML with 200": HTML,
    "cut JSON": CUT_JSON,
    "empty": Answer(body=b""),
}
REFUSALS = {"503", "503 with Retry-After", "429", "429 with Retry-After", "403", "403 with Retry-After"}


@pytest.fixture
def hasty(session: ClientSession) -> ClientSession:
    """Return a session that takes a fraction of a second of silence for a failure."""
    session.timeout = session.write_timeout = 0.5
    return session


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_read_recovers(server: FaultyServer, hasty: ClientSession, fault: Answer) -> None:
    server.script(fault, fault, answer_json({"status": "solving"}))
    assert hasty.get(f"{server.url}/api/jobs/7").json() == {"status": "solving"}
    assert len(server.arrivals) == 3


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("on_used_connection", [False, True])
def test_write_is_never_sent_twice(
    server: FaultyServer, hasty: ClientSession, name: str, on_used_connection: bool
) -> None:
    if on_used_connection:
        hasty.get(f"{server.url}/api/jobs/7")
        server.arrivals.clear()
    server.script(PASSING[name])
    expected = Overloaded if name in REFUSALS else OutcomeUnknown
    with pytest.raises(expected) as raised:
        hasty.post(f"{server.url}/api/upload", data={"request-json": "{}"})
    assert len(server.arrivals) == 1
    assert raised.value.url is not None
    if expected is OutcomeUnknown:
        assert raised.value.__cause__ is not None


def test_reads_stop_at_the_bound_of_attempts(server: FaultyServer, session: ClientSession) -> None:
    server.default = CUT_JSON
    with pytest.raises(MalformedReply):
        session.get(f"{server.url}/api/jobs/7")
    assert len(server.arrivals) == 1 + session.retrying.policy.max_retries


def test_reads_stop_at_the_bound_of_time(
    server: FaultyServer, session: ClientSession, manual_time: ManualTime
) -> None:
    policy = attrs.evolve(session.retrying.policy, max_retries=1000, retry_time_s=100, backoff_max_s=10)
    session.retrying = attrs.evolve(session.retrying, policy=policy)
    server.default = CUT_JSON
    with pytest.raises(MalformedReply) as raised:
        session.get(f"{server.url}/api/jobs/7")
    assert sum(manual_time.slept) <= 100
    assert raised.value.waited_s == sum(manual_time.slept) > 90


def test_retry_after_is_waited_for(
    server: FaultyServer, session: ClientSession, manual_time: ManualTime
) -> None:
    server.script(Answer(status=429, headers={"Retry-After": "42"}))
    session.get(f"{server.url}/api/jobs/7")
    assert manual_time.slept == [42.5]


def test_retry_after_as_a_date_is_waited_for(
    server: FaultyServer, session: ClientSession, manual_time: ManualTime
) -> None:
    dates = {"Date": "Fri, 20 Nov 2026 12:00:00 GMT", "Retry-After": "Fri, 20 Nov 2026 12:01:00 GMT"}
    server.script(Answer(status=503, headers=dates))
    session.get(f"{server.url}/api/jobs/7")
    assert manual_time.slept == [60.5]


def test_retry_after_beyond_the_bound_is_reported_at_once(
    server: FaultyServer, session: ClientSession, manual_time: ManualTime
) -> None:
    server.default = Answer(status=503, headers={"Retry-After": "86400"})
    with pytest.raises(Overloaded) as raised:
        session.get(f"{server.url}/api/jobs/7")
    assert raised.value.retry_after_s == 86400
    assert (len(server.arrivals), manual_time.slept) == (1, [])


def test_without_raise_for_status_the_last_reply_comes_as_it_is(
    server: FaultyServer, session: ClientSession
) -> None:
    server.default = Answer(status=503, body=b"closed")
    response = session.get(f"{server.url}/api/jobs/7", raise_for_status=False)
    assert (response.status_code, response.content) == (503, b"closed")
    assert len(server.arrivals) == 6


def test_without_raise_for_status_silence_still_raises(server: FaultyServer, hasty: ClientSession) -> None:
    server.default = Answer(fault=Fault.HANG)
    with pytest.raises(ReplyTimeout):
        hasty.get(f"{server.url}/api/jobs/7", raise_for_status=False)


def test_reply_that_was_not_read_is_no_reply(server: FaultyServer, hasty: ClientSession) -> None:
    server.default = Answer(body=LONG, fault=Fault.DRIP)
    policy = attrs.evolve(hasty.retrying.policy, max_retries=0)
    hasty.retrying = attrs.evolve(hasty.retrying, policy=policy)
    with pytest.raises(ReplyTimeout, match="too slowly"):
        hasty.get(f"{server.url}/api/jobs/7", raise_for_status=False)


def test_unusable_error_pages_are_not_repeated(server: FaultyServer, session: ClientSession) -> None:
    server.default = Answer(status=404)
    with pytest.raises(ServerRefused):
        session.get(f"{server.url}/api/jobs/7")
    assert len(server.arrivals) == 1


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_connection_that_never_opened_is_tried_again(
    session: ClientSession, manual_time: ManualTime, closed_port: int, method: str
) -> None:
    with pytest.raises(Unreachable, match="refused") as raised:
        session.request(method, f"http://127.0.0.1:{closed_port}/api/upload")
    assert len(manual_time.slept) == 5
    assert isinstance(raised.value, requests.ConnectionError)


def test_write_is_sent_once_the_server_is_up(session: ClientSession, manual_time: ManualTime) -> None:
    with FaultyServer() as first:
        port = first.port
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        arrived = []

        def start() -> None:
            taken.listen()
            threading.Thread(target=_answer_one, args=(taken, arrived)).start()

        manual_time.during_sleep = start
        response = session.post(f"http://127.0.0.1:{port}/api/upload", data={"request-json": "{}"})
    assert response.json() == {"status": "success"}
    assert len(arrived) == 1


def _answer_one(listener: socket.socket, arrived: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        arrived.append(connection.recv(65536))
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"status": "success"}')


def test_harmless_post_is_repeated_when_the_caller_says_so(
    server: FaultyServer, session: ClientSession
) -> None:
    server.script(CUT_JSON)
    session.post(f"{server.url}/api/login", data={"request-json": "{}"}, idempotent=True)
    assert [arrival.body for arrival in server.arrivals] == [b"request-json=%7B%7D"] * 2


def test_streamed_body_is_rewound_before_it_is_repeated(server: FaultyServer, session: ClientSession) -> None:
    server.script(CUT_JSON)
    session.post(f"{server.url}/api/login", files={"file": ("a.txt", b"content")}, idempotent=True)
    first, second = server.arrivals
    assert b"content" in first.body
    assert first.body == second.body


def test_idle_connection_that_was_closed_does_not_hurt(server: FaultyServer, session: ClientSession) -> None:
    session.get(f"{server.url}/api/jobs/7")
    server.drop_connections()
    session.post(f"{server.url}/api/upload", data={"request-json": "{}"})
    assert [arrival.method for arrival in server.arrivals] == ["GET", "POST"]


@pytest.mark.parametrize("url", ["nova.astrometry.net/api", "ftp://127.0.0.1/x", "http://", "http://[::1"])
def test_address_that_is_none_is_refused(session: ClientSession, url: str) -> None:
    with pytest.raises(InputError):
        session.get(url)


def _redirect(server: FaultyServer, status: int, target: str) -> None:
    def respond(arrival: object) -> Answer | None:
        path = getattr(arrival, "path", "")
        return Answer(status=status, headers={"Location": target}) if path == "/from" else None

    server.responder = respond


def test_redirect_is_followed_without_multiplying_attempts(
    server: FaultyServer, session: ClientSession
) -> None:
    server.default = CUT_JSON
    _redirect(server, 302, "/api/jobs/7")
    with pytest.raises(MalformedReply):
        session.get(f"{server.url}/api/jobs/7?from")
    server.arrivals.clear()
    server.default = Answer(status=503)
    with pytest.raises(Overloaded):
        session.get(f"{server.url}/from")
    assert [arrival.path for arrival in server.arrivals] == ["/from", "/api/jobs/7"] * 6


def test_redirected_reply_knows_its_history(server: FaultyServer, session: ClientSession) -> None:
    _redirect(server, 302, "/to")
    response = session.get(f"{server.url}/from")
    assert [hop.url for hop in response.history] == [f"{server.url}/from"]
    assert response.url == f"{server.url}/to"


def test_endless_redirect_is_given_up(server: FaultyServer, session: ClientSession) -> None:
    session.max_redirects = 3
    _redirect(server, 302, "/from")
    with pytest.raises(ServerRefused, match="redirects without end"):
        session.get(f"{server.url}/from")
    assert len(server.arrivals) == 4


def test_redirected_write_is_sent_on_once(server: FaultyServer, session: ClientSession) -> None:
    _redirect(server, 307, "/to")
    session.post(f"{server.url}/from", data={"a": "b"})
    assert [(arrival.method, arrival.path, arrival.body) for arrival in server.arrivals] == [
        ("POST", "/from", b"a=b"),
        ("POST", "/to", b"a=b"),
    ]


def test_redirected_write_does_not_begin_anew(
    server: FaultyServer, session: ClientSession, manual_time: ManualTime, closed_port: int
) -> None:
    _redirect(server, 302, f"http://127.0.0.1:{closed_port}/to")
    with pytest.raises(Unreachable):
        session.post(f"{server.url}/from", data={"a": "b"})
    assert len(manual_time.slept) == 5
    assert len(server.arrivals) == 1


def test_redirected_write_without_an_answer_is_not_repeated(
    server: FaultyServer, session: ClientSession
) -> None:
    _redirect(server, 307, "/to")
    server.default = Answer(fault=Fault.RESET_AFTER)
    with pytest.raises(OutcomeUnknown):
        session.post(f"{server.url}/from", data={"a": "b"})
    assert [arrival.path for arrival in server.arrivals] == ["/from", "/to"]


def test_keys_in_a_body_are_not_sent_on_to_another_server(
    server: FaultyServer, session: ClientSession
) -> None:
    with FaultyServer() as other:
        _redirect(server, 307, f"{other.url}/to")
        with pytest.raises(ServerRefused, match=re.escape(other.url)):
            session.post(f"{server.url}/from", data={"request-json": "secret"})
        assert other.arrivals == []


def test_interrupted_write_leaves_a_usable_session(
    server: FaultyServer, session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.recv_into

    def interrupt(*_: object) -> int:
        monkeypatch.setattr(socket.socket, "recv_into", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(socket.socket, "recv_into", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.post(f"{server.url}/api/upload", data={"request-json": "{}"})
    server.default = answer_json({"status": "solving"})
    assert session.get(f"{server.url}/api/jobs/7").json() == {"status": "solving"}
