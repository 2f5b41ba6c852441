"""Tokens are found in the usual places, in order, and known to be old in time."""

import base64
import json
import logging
import os

import pytest

from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.session import bearer_tokens
from astrometry_client.session.bearer_tokens import BearerToken, find_token


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Give each place a folder of its own; none holds a token."""
    for name in ("BEARER_TOKEN", "BEARER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("run", "shared"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(bearer_tokens, "_SHARED_FOLDER", tmp_path / "shared")
    return tmp_path


def write(path, text: str, mode: int = 0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def jwt(**claims) -> str:
    def part(content) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}.signature"


def test_first_place_in_order_counts(places, monkeypatch):
    assert find_token() is None
    name = f"bt_u{os.geteuid()}"
    write(places / "shared" / name, "in-shared\n")
    assert find_token().value == "in-shared"
    write(places / "run" / name, "in-run\n")
    assert find_token().value == "in-run"
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(write(places / "named", " in-named ")))
    assert find_token().value == "in-named"
    monkeypatch.setenv("BEARER_TOKEN", "in-variable")
    assert find_token().value == "in-variable"


def test_file_named_by_hand_must_exist(places, monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(places / "missing"))
    with pytest.raises(UnreadableFileError, match="missing"):
        find_token()


def test_file_of_somebody_else_is_passed_over(places, monkeypatch, caplog):
    path = write(places / "shared" / "bt_u4711", "planted")
    assert path.stat().st_uid != 4711
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with caplog.at_level(logging.WARNING):
        assert find_token() is None
    assert "belongs to somebody else" in caplog.text


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_file_others_can_read_is_warned_about(places, mode):
    with pytest.warns(UserWarning, match="Others can read"):
        assert BearerToken.read(write(places / "open", "abc", mode)).value == "abc"


@pytest.mark.parametrize("text", ["", "two words", "two\nlines", "umläut"])
def test_what_is_no_token_is_refused_without_being_shown(text, places):
    with pytest.raises(InputError, match="one word of ASCII") as caught:
        BearerToken.read(write(places / "bad", text))
    assert not text or text not in str(caught.value)


def test_token_is_not_shown():
    assert "hidden-value" not in repr(BearerToken("hidden-value"))


@pytest.mark.parametrize(
    ("value", "expires_s"),
    [
        (jwt(exp=1000), 1000.0),
        (jwt(exp=1000.5), 1000.5),
        (jwt(), None),
        (jwt(exp="soon"), None),
        (jwt(exp=10**400), None),
        ("a.b.c", None),
        ("a.!!!.c", None),
        (f"a.{base64.urlsafe_b64encode(b'[1]').decode()}.c", None),
        ("opaque", None),
    ],
)
def test_expiry_is_read_from_a_jwt(value, expires_s):
    assert BearerToken(value.rstrip("=")).expires_s == expires_s


def test_jwt_is_stale_some_time_before_it_expires():
    token = BearerToken(jwt(exp=1000))
    assert not token.is_stale(899, early_s=100)
    assert token.is_stale(900, early_s=100)


def test_other_token_is_stale_when_its_file_changed(places):
    path = write(places / "token", "old")
    token = BearerToken.read(path)
    assert not token.is_stale(0, early_s=100)
    os.utime(path, ns=(1, 1))
    assert token.is_stale(0, early_s=100)
    path.unlink()
    assert token.is_stale(0, early_s=100)
    assert not BearerToken("from-a-variable").is_stale(0, early_s=100)
