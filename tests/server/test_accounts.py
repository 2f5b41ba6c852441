"""Keys open the server, and cannot be read from its files."""

from pathlib import Path

import pytest
from live_server import OpenDatabase

from astrometry_client.server.accounts import PURGE_S, Accounts
from astrometry_client.server.wire import ApiError


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(open_database: OpenDatabase, clock: Clock) -> Accounts:
    return Accounts(open_database(), session_s=100.0, clock=clock)


def test_new_key_logs_in(accounts: Accounts) -> None:
    assert not accounts.has_keys()
    login = accounts.login(accounts.new_key("someone"))
    assert (login.user, accounts.user_of(login.session_key), accounts.has_keys()) == ("someone", 1, True)


def test_user_may_have_several_keys(accounts: Accounts) -> None:
    keys = {accounts.new_key("someone") for _ in range(3)}
    assert {accounts.user_of(accounts.login(key).session_key) for key in keys} == {1}


@pytest.mark.parametrize(
    ("key", "words"), [(None, 'need "apikey"'), ("", "bad apikey"), ("x", "bad apikey"), (5, "bad apikey")]
)
def test_bad_key_is_refused_in_novas_words(accounts: Accounts, key: object, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        accounts.login(key)


def test_session_expires_and_is_forgotten_later(accounts: Accounts, clock: Clock) -> None:
    api_key = accounts.new_key("someone")
    session_key = accounts.login(api_key).session_key
    clock.now += 101.0
    with pytest.raises(ApiError, match="user is not authenticated"):
        accounts.user_of(session_key)
    clock.now += PURGE_S
    accounts.login(api_key)
    with pytest.raises(ApiError, match=f"no session with key .{session_key}"):
        accounts.user_of(session_key)


def test_no_key_is_stored_or_shown(accounts: Accounts, tmp_path: Path) -> None:
    api_key = accounts.new_key("someone")
    login = accounts.login(api_key)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(stored) > 0
    for secret in (api_key, login.session_key):
        assert secret.encode() not in stored
        assert secret not in repr(login)


def test_where_anyone_may_enter_any_key_does(open_database: OpenDatabase) -> None:
    accounts = Accounts(open_database(), session_s=100.0, anyone=True)
    known = accounts.login(accounts.new_key("someone"))
    assert [accounts.login(key).user for key in ("x", "nova's", 5)] == ["anyone"] * 3
    assert known.user == "someone"
    for nothing in (None, ""):
        with pytest.raises(ApiError):
            accounts.login(nothing)
