"""Requests as values: nothing is sent before it is made."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Answer, FaultyServer, answer_json

from astrometry_client import ClientSession, PostRequest, Request, Session, SessionRequest
from astrometry_client.errors import MalformedReply, NotFound, StaleSession
from astrometry_client.request import content
from astrometry_client.testing import NovaServer


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def test_nothing_is_sent_before_it_is_made(server: FaultyServer) -> None:
    request: Request[Any] = Request(f"{server.url}/api/jobs/1")
    assert server.arrivals == []
    assert request.make() == {"status": "success"}
    assert request.make() == {"status": "success"}
    assert len(server.arrivals) == 2


def test_given_session_sends_it(server: FaultyServer) -> None:
    with ClientSession(user_agent="contact me") as session:
        Request(f"{server.url}/api/jobs/1").make(session)
    assert "contact me" in server.arrivals[0].headers["user-agent"]


def test_error_comes_from_the_reply(server: FaultyServer) -> None:
    server.default = Answer(status=404)
    with pytest.raises(NotFound):
        Request(f"{server.url}/api/jobs/1").make()


def test_reply_is_downloaded_to_the_disk(server: FaultyServer, tmp_path: Path) -> None:
    server.default = Answer(body=b"SIMPLE  =                    T".ljust(2880), kind="application/fits")
    request: Request[bytes] = Request(f"{server.url}/corr_file/1", read=content, headers={"Referer": "here"})
    assert request.download(tmp_path / "corr.fits").read_bytes() == request.make()
    assert {arrival.headers["referer"] for arrival in server.arrivals} == {"here"}


def test_spoilt_download_leaves_no_file(server: FaultyServer, tmp_path: Path) -> None:
    server.default = Answer(body=b"SIMPLE  =                    T", kind="application/fits")
    with ClientSession(max_retries=0) as session, pytest.raises(MalformedReply):
        Request(f"{server.url}/corr_file/1").download(tmp_path / "corr.fits", session)
    assert list(tmp_path.iterdir()) == []


def test_payload_travels_in_request_json(server: FaultyServer) -> None:
    PostRequest(f"{server.url}/api/login", payload={"a": 1}).make()
    assert server.arrivals[0].body == b"request-json=%7B%22a%22%3A+1%7D"


def test_file_is_sent_in_any_of_its_forms(nova_server: NovaServer, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    closed = []

    @contextmanager
    def opened() -> Iterator[bytes]:
        yield b"pixels"
        closed.append(True)

    session = Session(base_url=nova_server.url)
    for source in (path, b"pixels", io.BytesIO(b"pixels"), opened):
        SessionRequest(session, f"{nova_server.url}/api/upload", file=("b.png", source)).make()
    assert [(stored.filename, stored.content) for stored in nova_server.uploads] == [("b.png", b"pixels")] * 4
    assert closed == [True]


def test_session_request_takes_login_and_address_by_position(server: FaultyServer) -> None:
    server.default = answer_json({"status": "success", "session": "sessionkey"})
    session = Session("key", base_url=server.url)
    request: SessionRequest[Any] = SessionRequest(session, f"{server.url}/api/myjobs")
    assert server.arrivals == []
    request.make()
    assert [arrival.path for arrival in server.arrivals] == ["/api/login", "/api/myjobs"]
    assert b"sessionkey" in server.arrivals[1].body


def test_session_that_is_refused_twice_is_told(server: FaultyServer) -> None:
    stale = answer_json({"status": "error", "errormessage": "user is not authenticated."})
    known = answer_json({"status": "success", "session": "sessionkey"})
    server.script(known, stale, known, stale)
    with pytest.raises(StaleSession):
        SessionRequest(Session("key", base_url=server.url), f"{server.url}/api/myjobs").make()
    assert len(server.arrivals) == 4


def test_file_is_sent_whole_again_after_the_login_was_renewed(nova_server: NovaServer) -> None:
    session = Session(base_url=nova_server.url)
    session.login()
    nova_server.expire_sessions()
    file = io.BytesIO(b"pixels")
    SessionRequest(session, f"{nova_server.url}/api/upload", file=("a.png", file)).make()
    assert [stored.content for stored in nova_server.uploads] == [b"pixels"]
