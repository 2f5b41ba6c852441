"""The login: one session key for all threads and processes of a user."""

import itertools
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from faulty_server import Answer, Arrival, FaultyServer, answer_json

from astrometry_client import ClientSession
from astrometry_client.config import state_dir
from astrometry_client.errors import APIKeyError, InputError, LoginFailedException, MalformedReply
from astrometry_client.login import Session
from astrometry_client.request import SessionRequest

STALE = ('no session with key "old"', "user is not authenticated.")


class LoginServer(FaultyServer):
    """Hands out session keys `key1`, `key2`, …; accepts only the newest, refuses the rest as stale."""

    def __init__(self) -> None:
        super().__init__()
        self.logins = 0
        self.valid = ""
        self.stale_words = itertools.cycle(STALE)
        self._counting = threading.Lock()
        self.responder = self._answer_login

    def forget(self) -> None:
        """Let the session that is known go stale."""
        self.valid = ""

    def _answer_login(self, arrival: Arrival) -> Answer:
        sent = json.loads(parse_qs(arrival.body.decode())["request-json"][0])
        if arrival.path == "/api/login":
            with self._counting:
                self.logins += 1
                self.valid = f"key{self.logins}"
            user = "authenticated user: me@example.com"
            return answer_json({"status": "success", "message": user, "session": self.valid})
        if sent["session"] != self.valid:
            return answer_json({"status": "error", "errormessage": next(self.stale_words)})
        return answer_json({"status": "success", "jobs": [1]})


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with LoginServer() as running:
        yield running


def my_jobs(login: Session) -> object:
    return SessionRequest(login, f"{login.base_url}/api/myjobs").make()


def test_nothing_is_sent_before_a_key_is_needed(server: LoginServer) -> None:
    login = Session("secret", base_url=server.url)
    SessionRequest(login, f"{server.url}/api/myjobs")
    assert not login.logged_in
    assert server.arrivals == []


def test_threads_share_one_login(server: LoginServer) -> None:
    login = Session("secret", base_url=server.url)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: my_jobs(login), range(16)))
    assert replies == [{"status": "success", "jobs": [1]}] * 16
    assert server.logins == 1
    assert login.logged_in


@pytest.mark.parametrize("words", STALE)
def test_either_face_of_a_stale_session_is_renewed_once(server: LoginServer, words: str) -> None:
    server.stale_words = itertools.repeat(words)
    login = Session("secret", base_url=server.url)
    my_jobs(login)
    server.forget()
    assert my_jobs(login) == {"status": "success", "jobs": [1]}
    assert server.logins == 2


def test_threads_renew_a_stale_session_once(server: LoginServer) -> None:
    login = Session("secret", base_url=server.url)
    my_jobs(login)
    server.forget()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: my_jobs(login), range(8)))
    assert server.logins == 2


def test_sessions_of_one_user_share_the_login_on_disk(server: LoginServer) -> None:
    for _ in range(3):
        my_jobs(Session("secret", base_url=server.url, shared=True))
    assert server.logins == 1


def test_processes_share_one_login_and_renew_it_once(server: LoginServer) -> None:
    program = (
        "import sys; from astrometry_client import Session, SessionRequest\n"
        "login = Session('secret', base_url=sys.argv[1], shared=True)\n"
        "print(SessionRequest(login, f'{login.base_url}/api/myjobs').make()['jobs'])"
    )
    for expected in (1, 2):
        running = [
            subprocess.Popen([sys.executable, "-c", program, server.url], stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        assert [process.communicate(timeout=60)[0] for process in running] == [b"[1]\n"] * 3
        assert server.logins == expected
        server.forget()


def test_stored_login_is_private_and_does_not_show_the_api_key(server: LoginServer) -> None:
    my_jobs(Session("secret", base_url=server.url, shared=True))
    files = [path for path in state_dir().iterdir() if path.suffix == ".json"]
    assert len(files) == 1
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert "secret" not in files[0].name + files[0].read_text()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"session": 5}', b"\xff\xfe"])
def test_damaged_stored_login_is_replaced(server: LoginServer, damage: bytes) -> None:
    my_jobs(Session("secret", base_url=server.url, shared=True))
    (stored,) = state_dir().glob("*.json")
    stored.write_bytes(damage)
    my_jobs(Session("secret", base_url=server.url, shared=True))
    assert server.logins == 2
    assert json.loads(stored.read_text()) == {"session": "key2"}


def test_state_folder_that_cannot_be_made_costs_only_the_sharing(
    server: LoginServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASTROMETRY_STATE_DIR", str(tmp_path / "file" / "folder"))
    my_jobs(Session("secret", base_url=server.url, shared=True))
    assert "cannot be shared" in caplog.text


def test_server_on_this_machine_leaves_no_login_behind(server: LoginServer) -> None:
    my_jobs(Session("secret", base_url=server.url))
    assert not state_dir().exists()


def test_forced_login_gets_a_new_key(server: LoginServer) -> None:
    login = Session("secret", base_url=server.url)
    assert login.key == "key1"
    login.login()
    assert login.key == "key1"
    login.login(force=True)
    assert login.key == "key2"


def test_forced_login_replaces_the_key_on_disk(server: LoginServer) -> None:
    my_jobs(Session("secret", base_url=server.url, shared=True))
    Session("secret", base_url=server.url, shared=True).login(force=True)
    assert Session("secret", base_url=server.url, shared=True).key == "key2"
    assert server.logins == 2


def test_logout_forgets_the_key_here_and_on_disk(server: LoginServer) -> None:
    login = Session("secret", base_url=server.url, shared=True)
    login.login()
    login.logout()
    assert not login.logged_in
    assert list(state_dir().glob("*.json")) == []
    login.logout()
    assert login.key == "key2"


def test_logout_that_cannot_remove_the_key_says_so(server: LoginServer) -> None:
    login = Session("secret", base_url=server.url, shared=True)
    login.login()
    (stored,) = state_dir().glob("*.json")
    stored.unlink()
    stored.mkdir()
    with pytest.raises(InputError, match="remove it yourself"):
        login.logout()


def test_user_is_told_at_the_price_of_one_login(server: LoginServer) -> None:
    my_jobs(Session("secret", base_url=server.url, shared=True))
    login = Session("secret", base_url=server.url, shared=True)
    assert [login.whoami(), login.whoami()] == ["me@example.com"] * 2
    assert server.logins == 2
    assert my_jobs(login) == {"status": "success", "jobs": [1]}


def test_dry_run_needs_no_key(server: LoginServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    login = Session(base_url=server.url, shared=True)
    login.login(force=True)
    assert (login.key, login.whoami()) == ("dry-run", "dry-run")
    assert server.arrivals == []


def test_session_brought_along_sends_everything(server: LoginServer) -> None:
    with ClientSession(user_agent="contact me") as client_session:
        login = Session("secret", base_url=server.url, client_session=client_session)
        login.login()
    assert "contact me" in server.arrivals[0].headers["user-agent"]


def test_refused_api_key_says_where_to_look_and_does_not_show_it(server: LoginServer) -> None:
    server.responder = None
    server.default = answer_json({"status": "error", "errormessage": "bad apikey"})
    with pytest.raises(LoginFailedException, match="profile page") as caught:
        my_jobs(Session("secret", base_url=server.url))
    assert caught.value.server_message == "bad apikey"
    assert "secret" not in str(caught.value) + repr(caught.value)


def test_login_without_a_session_key_is_no_usable_reply(server: LoginServer) -> None:
    server.responder = None
    server.default = answer_json({"status": "success"})
    with pytest.raises(MalformedReply, match="'session'"):
        my_jobs(Session("secret", base_url=server.url))


def test_missing_api_key_is_told_before_any_request(server: LoginServer) -> None:
    with pytest.raises(APIKeyError):
        my_jobs(Session(base_url=server.url))
    assert server.arrivals == []


def test_neither_key_is_shown_anywhere(server: LoginServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    login = Session("secret", base_url=server.url)
    request = SessionRequest(login, f"{server.url}/api/myjobs", payload={"x": 1})
    request.make()
    shown = caplog.text + repr(login) + repr(request) + str(vars(login).keys())
    assert not re.search(r"secret|key1", shown)
