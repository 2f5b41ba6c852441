"""`astrometry-client doctor` tells what is there and what to do, and changes nothing."""

import contextlib
import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pytest_httpserver import HTTPServer

from astrometry_client.cli import main
from astrometry_client.config import DEFAULTS, cache_dir, state_dir
from astrometry_client.ledger.ledger_file import LEDGER
from astrometry_client.own_database import OwnDatabase
from astrometry_client.server.engine.indexes import shipped_dir
from astrometry_client.server.run import LocalServer
from astrometry_client.session.cache_file import REPLIES
from astrometry_client.session.slots_sqlite import RATES
from astrometry_client.stored_api_key import store_api_key

SECRET = "k3yofaverysecretuser"

FILES = {"Cache": "replies.sqlite", "Rates": "ratelimit.db", "Ledger": "ledger.sqlite"}


def path_of(subject: str) -> Path:
    return (state_dir() if subject == "Ledger" else cache_dir()) / FILES[subject]


def examined(*arguments: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Return the findings, by their subject."""
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments])
    assert result.exit_code == code, result.output
    assert SECRET not in result.output
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.stdout)["findings"]:
        by_subject.setdefault(finding["subject"], []).append(finding)
    return by_subject


def make(subject: str) -> OwnDatabase:
    """Return one of the files, open, as programs make it."""
    kind = {"Cache": REPLIES, "Rates": RATES, "Ledger": LEDGER}[subject]
    database = OwnDatabase(path_of(subject), kind, lock_wait_s=1.0)
    database.connection()
    return database


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_fresh_machine_is_well_and_stays_untouched(private_folders: Path) -> None:
    before = snapshot(private_folders)
    found = examined()
    assert {finding["state"] for listed in found.values() for finding in listed} <= {"well", "note"}
    assert "nothing yet" in found["Cache"][0]["told"]
    assert "sep" in found["Engines"][0]["told"]
    assert snapshot(private_folders) == before


def test_people_read_lines() -> None:
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "All is well."
    assert "ok    Extra server: installed" in result.stdout


def test_missing_extra_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "astrometry_client.cli.health.EXTRAS", {"server": ("starlette", "not_installed_at_all")}
    )
    found = examined()
    assert found["Extra server"][0]["state"] == "note"
    assert "pip install 'astrometry-client[server]'" in found["Extra server"][0]["remedy"]
    assert "Engines" not in found


@pytest.mark.parametrize("subject", FILES)
@pytest.mark.parametrize(
    "damage",
    [b"Dear friend, " * 100, b"SQLite format 3\0" + bytes(range(256)) * 40],
    ids=["text", "noise"],
)
def test_damaged_file_is_told_and_left_as_it_is(subject: str, damage: bytes, private_folders: Path) -> None:
    path_of(subject).parent.mkdir(parents=True, exist_ok=True)
    path_of(subject).write_bytes(damage)
    before = snapshot(private_folders)
    (finding,) = examined(code=1)[subject]
    assert finding["state"] == "problem"
    assert str(path_of(subject)) in finding["told"]
    assert "Move it away" in finding["remedy"]
    assert snapshot(private_folders) == before


@pytest.mark.parametrize("open_elsewhere", [True, False])
@pytest.mark.parametrize("subject", FILES)
def test_sound_file_is_well_and_left_as_it_is(
    subject: str, private_folders: Path, *, open_elsewhere: bool
) -> None:
    database = make(subject)
    if not open_elsewhere:
        database.close()
    before = snapshot(private_folders)
    (finding,) = examined()[subject]
    after = snapshot(private_folders)
    database.close()
    assert finding["state"] == "well"
    assert str(path_of(subject)) in finding["told"]
    # The shared memory of an open file holds marks of its readers.
    assert {n: v for n, v in after.items() if "-shm" not in n} == {
        n: v for n, v in before.items() if "-shm" not in n
    }


def test_bent_page_is_found() -> None:
    database = make("Rates")
    rows = [("nova", number, float(number)) for number in range(5000)]
    database.connection().executemany("INSERT INTO slots VALUES (?, ?, ?)", rows)
    database.close()
    path = path_of("Rates")
    whole = path.read_bytes()
    path.write_bytes(whole[:20_000] + b"#" * 8192 + whole[28_192:])
    assert examined(code=1)["Rates"][0]["state"] == "problem"


def test_link_to_nowhere_is_told() -> None:
    path_of("Ledger").parent.mkdir(parents=True, exist_ok=True)
    path_of("Ledger").symlink_to(path_of("Ledger"))
    assert examined(code=1)["Ledger"][0]["state"] == "problem"


def test_database_of_another_program_is_told() -> None:
    path_of("Cache").parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path_of("Cache"))) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    assert "another program" in examined(code=1)["Cache"][0]["told"]


def test_newer_file_is_told() -> None:
    database = make("Ledger")
    database.connection().execute("PRAGMA user_version = 99")
    database.close()
    assert "newer version" in examined(code=1)["Ledger"][0]["told"]


def test_damaged_index_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "index-cut.fits"
    path.write_bytes((shipped_dir() / "index-tycho2-19.littleendian.fits").read_bytes()[:9000])
    found = examined("--index-dir", str(tmp_path), code=1)["Index files"]
    assert str(path) in found[-1]["told"]


def test_key_is_told_by_its_place_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined()["API key for nova.astrometry.net"][0]["state"] == "note"
    monkeypatch.setenv("ASTROMETRY_API_KEY", SECRET)
    (finding,) = examined()["API key for nova.astrometry.net"]
    assert (finding["state"], finding["told"]) == ("well", "in environment ASTROMETRY_API_KEY")


def test_key_that_others_can_read_is_a_problem() -> None:
    store_api_key(SECRET, base_url=DEFAULTS.base_url).chmod(0o644)
    (finding,) = examined(code=1)["API key for nova.astrometry.net"]
    assert "others can read" in finding["told"]


def test_broken_configuration_is_told() -> None:
    store_api_key(SECRET, base_url=DEFAULTS.base_url).write_text("no configuration")
    assert examined(code=1)["API key for nova.astrometry.net"][0]["state"] == "problem"


def test_server_that_answers_is_well(nova: LocalServer) -> None:
    (finding,) = examined("--server", nova.url)[f"Server {nova.url}"]
    assert finding["state"] == "well"


def test_server_that_does_not_answer_is_asked_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    (finding,) = examined("--server", url, code=1)[f"Server {url}"]
    assert finding["told"] == "not reachable"
    assert "astrometry-client serve" in finding["remedy"]


def test_something_else_that_answers_is_told(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/jobs/1").respond_with_data("<html>", content_type="text/html")
    url = httpserver.url_for("").rstrip("/")
    assert examined("--server", url, code=1)[f"Server {url}"][0]["state"] == "problem"
    assert len(httpserver.log) == 1


def test_nova_is_left_alone_unless_asked_for() -> None:
    assert not any(subject.startswith("Server") for subject in examined())
