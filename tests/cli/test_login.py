"""The commands that keep, forget and explain the API key, as a user runs them."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astrometry_client.api_key import find_api_key
from astrometry_client.config import config_file, state_dir
from astrometry_client.login import Session
from astrometry_client.server.run import LocalServer

COMMAND = (sys.executable, "-m", "astrometry_client")


def run(*arguments: str | Path, told: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, **environment},
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture
def asked(nova: LocalServer) -> tuple[str, ...]:
    return "--server", nova.url


@pytest.fixture
def user(nova: LocalServer) -> str:
    return Session(nova.api_key, base_url=nova.url).whoami()


def test_key_from_standard_input_is_tried_and_kept(
    nova: LocalServer, asked: tuple[str, ...], user: str
) -> None:
    result = run("login", *asked, told=f"{nova.api_key}\n")
    assert result.returncode == 0, result.stderr
    assert f"as {user}." in result.stdout
    assert str(config_file()) in result.stdout
    assert config_file().stat().st_mode & 0o777 == 0o600
    assert find_api_key(base_url=nova.url) == nova.api_key
    assert nova.api_key not in result.stdout + result.stderr


def test_key_from_a_file_is_tried_and_kept(
    nova: LocalServer, asked: tuple[str, ...], user: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(nova.api_key)
    (tmp_path / "key").chmod(0o600)
    result = run("login", *asked, "--key-file", tmp_path / "key", "--json")
    file = str(config_file())
    assert json.loads(result.stdout) == {
        "server": nova.url,
        "user": user,
        "stored_in": file,
        "key_from": f"file {file}",
    }
    assert run("login", *asked, "--key-file", "-", told=nova.api_key).returncode == 0


@contextmanager
def at_the_prompt(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a command at a terminal, and give it and the terminal once it asks for the key."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, *arguments]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while b"(not shown): " not in shown:
            shown += os.read(ours, 1000)
        yield process, ours
    os.close(ours)


def test_key_typed_at_a_terminal_is_not_shown(nova: LocalServer, asked: tuple[str, ...]) -> None:
    with at_the_prompt("login", *asked) as (process, terminal):
        os.write(terminal, f"{nova.api_key}\n".encode())
        printed, _ = process.communicate(timeout=60)
        shown = os.read(terminal, 1000)
    assert process.returncode == 0
    assert b"Logged in" in printed
    assert nova.api_key.encode() not in shown + printed
    assert find_api_key(base_url=nova.url) == nova.api_key


def test_ctrl_c_at_the_prompt_ends_in_one_line(asked: tuple[str, ...]) -> None:
    with at_the_prompt("login", *asked) as (process, terminal):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shown = os.read(terminal, 1000)
    assert process.returncode == 130
    assert shown.split() == b"astrometry-client: Interrupted.".split()


@pytest.mark.parametrize("key", ["wrongkey", "", "two words", "schlüssel", "\x00"])
def test_key_that_does_not_work_is_not_kept(asked: tuple[str, ...], key: str) -> None:
    result = run("login", *asked, told=key)
    assert (result.returncode, result.stdout) == (4, "")
    assert "wrongkey" not in result.stderr
    assert key or "Standard input holds no API key" in result.stderr
    assert not config_file().exists()


def test_key_file_that_others_can_read_is_told_in_one_line(asked: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("wrongkey")
    (tmp_path / "key").chmod(0o644)
    told = run("login", *asked, "--key-file", tmp_path / "key").stderr.splitlines()
    assert told[0] == f"astrometry-client: Others can read the API key in {tmp_path / 'key'}: chmod 600 it."
    assert len(told) == 2


def test_key_that_comes_first_is_told(nova: LocalServer, asked: tuple[str, ...]) -> None:
    result = run("login", *asked, told=nova.api_key, ASTROMETRY_API_KEY="other")
    assert result.returncode == 0
    assert "environment ASTROMETRY_API_KEY" in result.stderr


def test_login_in_a_dry_run_keeps_nothing(asked: tuple[str, ...]) -> None:
    result = run("login", *asked, told="anything", DRY_RUN_ENABLED="1")
    assert result.stdout == "Dry run: nothing was sent, nothing was stored.\n"
    assert not config_file().exists()


def test_logout_forgets_the_key_and_the_shared_login(nova: LocalServer, asked: tuple[str, ...]) -> None:
    run("login", *asked, told=nova.api_key)
    Session(nova.api_key, base_url=nova.url, shared=True).login()
    assert len(list(state_dir().glob("*.json"))) == 1
    result = run("logout", *asked, "--json")
    assert json.loads(result.stdout) == {"server": nova.url, "forgotten": True, "key_from": None}
    assert nova.api_key not in config_file().read_text()
    again = run("logout", *asked)
    assert (again.returncode, again.stdout) == (0, f"No API key was kept for {nova.url}.\n")


def test_logout_tells_what_is_left(nova: LocalServer, asked: tuple[str, ...]) -> None:
    run("login", *asked, told=nova.api_key)
    result = run("logout", *asked, AN_API_KEY="other")
    assert result.stdout == "API key forgotten.\n"
    assert "environment AN_API_KEY" in result.stderr


def test_whoami_tells_the_user_and_the_place_of_the_key(
    nova: LocalServer, asked: tuple[str, ...], user: str
) -> None:
    run("login", *asked, told=nova.api_key)
    result = run("whoami", *asked)
    rows = dict(line.split(maxsplit=1) for line in result.stdout.replace("Key from", "Key").splitlines())
    assert rows == {"Server": nova.url, "Key": f"file {config_file()}", "Works": "yes", "User": user}
    assert nova.api_key not in result.stdout + result.stderr


def test_whoami_of_a_key_that_does_not_work(nova: LocalServer, asked: tuple[str, ...]) -> None:
    result = run("whoami", *asked, "--json", ASTROMETRY_API_KEY="wrongkey")
    assert result.returncode == 4
    assert json.loads(result.stdout) == {
        "server": nova.url,
        "key_from": "environment ASTROMETRY_API_KEY",
        "works": False,
        "user": None,
    }
    assert "Works        no" in run("whoami", *asked, ASTROMETRY_API_KEY="wrongkey").stdout
    assert "wrongkey" not in result.stdout + result.stderr


def test_whoami_without_a_key_names_the_places(asked: tuple[str, ...]) -> None:
    result = run("whoami", *asked)
    assert (result.returncode, result.stdout) == (4, "")
    assert "ASTROMETRY_API_KEY" in result.stderr


@pytest.mark.parametrize("command", ["login", "logout", "whoami"])
def test_bad_address_is_wrong_use(command: str) -> None:
    result = run(command, "--server", "nova.astrometry.net", told="key")
    assert (result.returncode, result.stdout) == (2, "")
    assert "base_url" in result.stderr
