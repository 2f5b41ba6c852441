"""The file behind the cache: what it keeps, what it lets go, and what it does when it is damaged."""

import logging
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from astrometry_client.session.reply_store import ReplyStore, StoredReply

REPLY = StoredReply(
    url="https://nova.astrometry.net/wcs_file/1",
    status=200,
    reason="OK",
    headers={"Content-Type": "application/fits"},
    encoding=None,
    created_s=1.0,
    expires_s=None,
)
LARGE = bytes(1_048_577)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "replies.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[ReplyStore]:
    store = ReplyStore(path, lock_wait_s=0.05)
    yield store
    store.close()


def _rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_reply_comes_back_as_it_was(store: ReplyStore) -> None:
    store.put("a", REPLY, b"small")
    assert store.find("a") == (REPLY, b"small")
    assert store.find("b") is None


def test_later_reply_replaces_the_earlier(store: ReplyStore) -> None:
    store.put("a", REPLY, LARGE)
    store.put("a", REPLY, b"second")
    assert store.find("a") == (REPLY, b"second")
    assert store.totals()[0] == 1


def test_large_body_is_a_file_beside_the_database(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, LARGE)
    found = store.find("a")
    assert found is not None
    assert found[1] == path.parent / "replies-files" / "a"
    assert Path(str(found[1])).read_bytes() == LARGE
    assert path.stat().st_size < len(LARGE)


def test_file_given_is_copied(store: ReplyStore, tmp_path: Path) -> None:
    original = tmp_path / "wcs.fits"
    original.write_bytes(b"wcs")
    store.put("a", REPLY, original)
    original.write_bytes(b"changed by its owner")
    found = store.find("a")
    assert found is not None
    assert Path(str(found[1])).read_bytes() == b"wcs"


def test_body_file_that_was_cut_does_not_count(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, LARGE)
    (path.parent / "replies-files" / "a").write_bytes(b"cut")
    assert store.find("a") is None
    assert store.totals() == (0, 0)


def test_files_are_for_their_owner_alone(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, LARGE)
    store.put("b", REPLY, b"small")
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    assert len(files) >= 3
    assert {_rights(file) for file in files} == {0o600}
    assert {_rights(folder) for folder in (path.parent, path.parent / "replies-files")} == {0o700}


def test_write_ahead_log_is_on(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, b"small")
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


def test_longest_unused_go_first(path: Path) -> None:
    now = [0.0]
    store = ReplyStore(path, max_size_bytes=20_000, clock=lambda: now[0])
    for number in range(12):
        now[0] += 1
        store.put(str(number), REPLY, bytes(1000))
    now[0] += 1
    store.find("0")
    for number in range(12, 16):
        now[0] += 1
        store.put(str(number), REPLY, bytes(1000))
    kept = set(store.keys())
    assert store.totals()[1] <= 20_000
    assert {"0", "15"} <= kept
    assert "1" not in kept
    store.close()


def test_room_is_made_for_files_too(path: Path) -> None:
    store = ReplyStore(path, max_size_bytes=12_000_000)
    for number in range(14):
        store.put(str(number), REPLY, LARGE)
    files = list((path.parent / "replies-files").iterdir())
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert sorted(file.name for file in files) == sorted(store.keys())
    store.close()


def test_body_larger_than_a_tenth_of_the_bound_is_not_kept(path: Path) -> None:
    store = ReplyStore(path, max_size_bytes=5000)
    store.put("a", REPLY, bytes(501))
    assert store.find("a") is None
    store.close()


def test_clear_leaves_nothing(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, LARGE)
    store.put("b", REPLY, b"secret-looking-body")
    store.clear()
    store.close()
    assert store.totals() == (0, 0)
    assert not (path.parent / "replies-files").exists()
    assert b"secret-looking-body" not in path.read_bytes()


def test_use_survives_only_through_close(path: Path) -> None:
    now = [1.0]
    store = ReplyStore(path, clock=lambda: now[0])
    store.put("a", REPLY, b"small")
    now[0] = 99.0
    store.find("a")
    store.close()
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT used FROM replies").fetchone() == (99.0,)
    file.close()


def test_threads_share_a_store(store: ReplyStore) -> None:
    def work(number: int) -> None:
        for step in range(20):
            store.put(f"{number}-{step}", REPLY, b"body")
            assert store.find(f"{number}-{step}") is not None

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.totals()[0] == 160


def test_closed_store_holds_no_file_open(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, b"small")
    store.close()
    open_files = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
    assert not [name for name in open_files if name.startswith(str(path))]
    assert store.find("a") is not None


def _damage_cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _damage_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))


def _damage_text(path: Path) -> None:
    path.write_text("This is not a database. " * 100)


@pytest.mark.parametrize("damage", [_damage_cut, _damage_overwritten, _damage_text])
def test_damaged_file_is_set_aside_with_one_warning(
    path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    store = ReplyStore(path)
    for number in range(200):
        store.put(str(number), REPLY, bytes(500))
    store.close()
    damage(path)  # type: ignore[operator]
    damaged = path.read_bytes()
    store = ReplyStore(path)
    for number in range(3):
        assert store.find(str(number)) is None
        store.put(str(number), REPLY, b"body")
    (warning,) = _warnings(caplog)
    (aside,) = path.parent.glob("replies.sqlite.damaged-*")
    assert str(aside) in warning
    assert aside.read_bytes() == damaged
    store.close()
    fresh = ReplyStore(path)
    fresh.put("a", REPLY, b"body")
    assert fresh.find("a") == (REPLY, b"body")
    fresh.close()


def test_new_file_of_another_process_is_not_set_aside(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, b"body")
    path.rename(f"{path}.damaged-1")
    other = ReplyStore(path)
    other.put("b", REPLY, b"body")
    store.file._give_up(_corruption())
    assert other.find("b") == (REPLY, b"body")
    assert path.exists()
    other.close()


def _corruption() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def test_database_of_another_program_is_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE precious (value TEXT)")
    file.close()
    before = path.read_bytes()
    store = ReplyStore(path)
    store.put("a", REPLY, b"body")
    assert store.find("a") is None
    assert len(_warnings(caplog)) == 1
    assert path.read_bytes() == before
    store.close()


def test_file_of_a_newer_version_is_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ReplyStore(path)
    store.put("a", REPLY, b"body")
    store.close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    store = ReplyStore(path)
    assert store.find("a") is None
    assert "newer version" in _warnings(caplog)[0]
    assert path.exists()
    store.close()


def test_locked_file_does_not_hold_anybody_up(
    store: ReplyStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a", REPLY, b"body")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    threads = [threading.Thread(target=store.put, args=(str(n), REPLY, b"body")) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert len(_warnings(caplog)) == 1
    blocker.execute("ROLLBACK")
    blocker.close()


def test_reading_goes_on_while_another_process_writes(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, b"body")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert store.find("a") == (REPLY, b"body")
    blocker.execute("ROLLBACK")
    blocker.close()


def test_full_disk_gives_a_warning(store: ReplyStore, caplog: pytest.LogCaptureFixture) -> None:
    store.put("a", REPLY, b"body")
    assert store.file._database._connection is not None
    store.file._database._connection.execute("PRAGMA max_page_count = 8")
    store.put("b", REPLY, bytes(500_000))
    assert "full" in _warnings(caplog)[0]
    assert store.path.exists()


def test_read_only_file_gives_a_warning(store: ReplyStore, caplog: pytest.LogCaptureFixture) -> None:
    store.put("a", REPLY, b"body")
    assert store.file._database._connection is not None
    store.file._database._connection.execute("PRAGMA query_only = 1")
    store.put("b", REPLY, b"body")
    assert "readonly" in _warnings(caplog)[0]


@pytest.mark.parametrize("obstacle", ["file in place of the folder", "folder in place of the file"])
def test_place_that_cannot_be_used_gives_a_warning(
    path: Path, obstacle: str, caplog: pytest.LogCaptureFixture
) -> None:
    if obstacle.startswith("file"):
        path.parent.write_text("in the way")
    else:
        path.mkdir(parents=True)
    store = ReplyStore(path)
    store.put("a", REPLY, b"body")
    assert store.find("a") is None
    assert len(_warnings(caplog)) == 1


def test_store_that_vanished_is_made_anew(store: ReplyStore, path: Path) -> None:
    store.put("a", REPLY, b"body")
    store.close()
    shutil.rmtree(path.parent)
    store.put("b", REPLY, b"body")
    assert store.find("b") == (REPLY, b"body")


def test_interrupt_in_a_write_leaves_no_transaction_open(store: ReplyStore) -> None:
    store.put("a", REPLY, b"body")
    store._note_use = _interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        store.put("b", REPLY, b"body")
    del store._note_use
    store.put("c", REPLY, b"body")
    assert sorted(store.keys()) == ["a", "c"]


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt
