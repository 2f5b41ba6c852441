"""What another site makes a browser send is refused; programs are not."""

import asyncio
from asyncio import Queue

import pytest
import requests
from live_server import DEADLINE_S
from starlette.responses import PlainTextResponse
from starlette.types import Message

from astrometry_client.server.run import LocalServer
from astrometry_client.server.web.guard import Guard


def login(server: LocalServer, **headers: str) -> requests.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    data = {"request-json": f'{{"apikey": "{server.api_key}"}}'}
    return requests.post(f"{server.url}/api/login", data=data, headers=told, timeout=DEADLINE_S)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.org"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1"},
        {"host": "example.org"},
        {"host": "127.0.0.1.example.org"},
        {"host": "localhost.example.org:80"},
        {"host": "192.0.2.1"},
        {"host": "[::2]:80"},
    ],
)
def test_request_of_another_site_is_refused(server: LocalServer, headers: dict[str, str]) -> None:
    reply = login(server, **headers)
    assert reply.status_code == 403
    assert "session" not in reply.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin", "origin": "https://behind.a.proxy"},
        {"host": "localhost"},
        {"host": "LOCALHOST:1234"},
        {"host": "nova.localhost:1"},
        {"host": "[::1]:8000"},
        {"host": "127.9.9.9"},
        {"host": "localhost:8000", "origin": "http://localhost:8000"},
    ],
)
def test_request_of_a_program_or_of_the_page_is_answered(
    server: LocalServer, headers: dict[str, str]
) -> None:
    assert login(server, **headers).json()["status"] == "success"


def test_reading_is_guarded_against_foreign_names_only(server: LocalServer) -> None:
    def status(**headers: str) -> int:
        return requests.get(f"{server.url}/", headers=headers, timeout=DEADLINE_S).status_code

    assert status(origin="https://example.org") == 200
    assert status(host="example.org") == 403


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "Plates.example.org"), ("0.0.0.0", None)])
def test_server_answers_under_the_names_it_has(host: str, name: str | None) -> None:
    guard = Guard(PlainTextResponse("welcome"), host=host, host_names=(name,) if name else ())
    status = {asked: get(guard, asked) for asked in ("plates.example.org", "other.example.org")}
    assert status == {"plates.example.org": 200, "other.example.org": 403 if name else 200}


def get(guard: Guard, host: str) -> int:
    """Return the status of the answer to a request."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
    asyncio.run(guard(scope, Queue().get, send))
    return int(sent[0]["status"])
