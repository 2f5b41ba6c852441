"""Credentials are found in order and reach their own server only."""

import base64
import logging
import os
import time

import pytest
import requests
from loopback import loopback

from astrometry_client.errors import InputError
from astrometry_client.session import bearer_tokens
from astrometry_client.session.auth import SessionAuthMixin


class AuthSession(SessionAuthMixin, requests.Session):
    pass


@pytest.fixture(autouse=True)
def no_credentials(tmp_path, monkeypatch):
    """Keep the tests from credentials of the machine."""
    for name in ("BEARER_TOKEN", "BEARER_TOKEN_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(bearer_tokens, "_SHARED_FOLDER", tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


@pytest.fixture
def server():
    with loopback() as server:
        yield server


@pytest.fixture
def other():
    with loopback("127.0.0.2") as other:
        yield other


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def authorization(server, url=None, *, request=None, **kwargs) -> str | None:
    with AuthSession(server.url if url is None else url, **kwargs) as session:
        session.get(server.url + "/api/jobs/1", **(request or {}))
    return server.received[-1].headers.get("authorization")


def netrc(folder, host: str = "127.0.0.1") -> None:
    path = folder / "netrc"
    path.write_text(f"machine {host} login from-netrc password abc\n")
    path.chmod(0o600)


def test_given_token_and_password_are_sent(server):
    assert authorization(server, token="abc") == "Bearer abc"
    assert authorization(server, username="jörg", password="geheimnis£") == basic("jörg", "geheimnis£")


def test_nothing_is_sent_where_there_is_nothing(server):
    assert authorization(server) is None


def test_given_comes_before_token_file_before_netrc(server, no_credentials, monkeypatch):
    netrc(no_credentials)
    assert authorization(server) == basic("from-netrc", "abc")
    monkeypatch.setenv("BEARER_TOKEN", "found")
    assert authorization(server) == "Bearer found"
    assert authorization(server, username="a", password="b") == basic("a", "b")


def test_force_noauth_sends_nothing_whatever_there_is(server, no_credentials, monkeypatch):
    netrc(no_credentials)
    monkeypatch.setenv("BEARER_TOKEN", "found")
    assert authorization(server, force_noauth=True) is None
    assert authorization(server, force_noauth=True, token="abc") is None


def test_session_without_url_looks_for_nothing(server, no_credentials):
    netrc(no_credentials)
    with AuthSession() as session:
        session.get(server.url)
    assert "authorization" not in server.received[-1].headers


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"username": "a"}, "both or neither"),
        ({"password": "a"}, "both or neither"),
        ({"token": "a", "username": "a", "password": "b"}, "exclude each other"),
        ({"force_noauth": True, "fail_if_noauth": True}, "exclude each other"),
        ({"fail_if_noauth": True}, "no credentials for http://127.0.0.1"),
        ({"url": None, "token": "a"}, "url is missing"),
        ({"url": None, "fail_if_noauth": True}, "url is missing"),
        ({"url": "nova.astrometry.net"}, "begin with https://"),
        ({"token": ""}, "one word"),
        ({"token": "a\r\nX: y"}, "one word"),
        ({"auth_reload_timeout": -1}, "auth_reload_timeout=-1 is negative"),
    ],
)
def test_contradictions_are_refused_when_the_session_is_made(kwargs, message):
    with pytest.raises(InputError, match=message):
        AuthSession(**{"url": "http://127.0.0.1", **kwargs})


def test_fail_if_noauth_is_content_with_any_credentials(server, no_credentials):
    netrc(no_credentials)
    assert authorization(server, fail_if_noauth=True) == basic("from-netrc", "abc")


def test_credentials_do_not_go_to_another_server(server, other, no_credentials):
    netrc(no_credentials, "127.0.0.2")
    assert authorization(other, url=server.url, token="abc") is None
    # Nor to another port, which may belong to somebody else.
    assert authorization(server, url="http://127.0.0.1:1", token="abc") is None


def test_credentials_do_not_follow_a_redirect_to_another_server(server, other, no_credentials):
    netrc(no_credentials, "127.0.0.2")
    server.answer = lambda _: (302, {"Location": other.url}, b"")
    with AuthSession(server.url, token="abc") as session:
        session.get(server.url)
        session.get(server.url, access_token="once")
    assert [request.headers["authorization"] for request in server.received] == ["Bearer abc", "Bearer once"]
    assert len(other.received) == 2
    assert all("authorization" not in request.headers for request in other.received)


def test_credentials_follow_a_redirect_on_their_server(server):
    def answer(request):
        return (302, {"Location": "/there"}, b"") if request.path != "/there" else (200, {}, b"{}")

    server.answer = answer
    assert authorization(server, token="abc") == "Bearer abc"
    assert server.received[-1].path == "/there"


def test_access_token_counts_for_one_request(server):
    with AuthSession(server.url, token="abc") as session:
        session.get(server.url, access_token="once")
        session.get(server.url)
        with pytest.raises(InputError, match="exclude each other"):
            session.get(server.url, access_token="once", auth=("a", "b"))
    assert [request.headers["authorization"] for request in server.received] == ["Bearer once", "Bearer abc"]


def test_header_and_auth_set_by_hand_count_more(server):
    by_hand = {"headers": {"Authorization": "Custom x"}}
    assert authorization(server, token="abc", request=by_hand) == "Custom x"
    assert authorization(server, token="abc", request={"auth": ("a", "b")}) == basic("a", "b")


@pytest.fixture
def token_path(no_credentials, monkeypatch):
    path = no_credentials / "token"
    path.write_text("old")
    path.chmod(0o600)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
    return path


def jwt(exp: int, name: str) -> str:
    claims = base64.urlsafe_b64encode(f'{{"exp": {exp}, "sub": "{name}"}}'.encode()).decode().rstrip("=")
    return f"head.{claims}.signature"


@pytest.mark.parametrize(("now", "used"), [(899, "old"), (900, "new")])
def test_token_is_read_again_before_it_expires(now, used, server, token_path, monkeypatch):
    tokens = {"old": jwt(1000, "old"), "new": jwt(9000, "new")}
    token_path.write_text(tokens["old"])
    with AuthSession(server.url, auth_reload=True, auth_reload_timeout=100) as session:
        token_path.write_text(tokens["new"])
        monkeypatch.setattr(time, "time", lambda: now)
        session.get(server.url)
    assert server.received[-1].headers["authorization"] == f"Bearer {tokens[used]}"


def test_token_is_read_once_unless_told_otherwise(server, token_path):
    with AuthSession(server.url) as session:
        token_path.unlink()
        session.get(server.url)
    assert server.received[-1].headers["authorization"] == "Bearer old"


def test_token_without_expiry_is_read_again_when_its_file_changed(server, token_path):
    with AuthSession(server.url, auth_reload=True) as session:
        session.get(server.url)
        token_path.write_text("new")
        os.utime(token_path, ns=(1, 1))
        session.get(server.url)
    assert [request.headers["authorization"] for request in server.received] == ["Bearer old", "Bearer new"]


def test_old_token_goes_on_while_the_new_one_is_missing(server, token_path, caplog):
    with AuthSession(server.url, auth_reload=True) as session, caplog.at_level(logging.WARNING):
        token_path.unlink()
        session.get(server.url)
    assert server.received[-1].headers["authorization"] == "Bearer old"
    assert "could not be read again" in caplog.text


def test_session_shows_no_secret():
    with AuthSession("http://127.0.0.1", token="hidden-value") as session:
        assert "hidden-value" not in repr(session) + repr(session.auth) + repr(vars(session.auth))
