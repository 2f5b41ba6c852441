"""Every way a rate database can be spoilt: one warning, and the limit is kept all the same."""

import logging
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from astrometry_client.session.limiting import SlotLimiter, make_limiter
from astrometry_client.session.slots import StoreUnusable, Window
from astrometry_client.session.slots_sqlite import SQLiteSlots

TWO_A_MINUTE = (Window(2, 60.0),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a rate database that was in use."""
    path = tmp_path / "ratelimit.db"
    store = SQLiteSlots(path)
    for host in range(200):
        store.reserve(f"host-{host}", TWO_A_MINUTE, 1, 0)
    store.close()
    return path


def granted(path: Path) -> int:
    """Return how many of four requests a new limiter on this file lets through at once."""
    limiter = SlotLimiter(TWO_A_MINUTE, SQLiteSlots(path, busy_timeout_s=0.1))
    try:
        return sum(limiter.try_acquire("nova", blocking=False) for _ in range(4))
    finally:
        limiter.close()


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


DAMAGED = {
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2 + 100),
    "cut within its first page": lambda path: os.truncate(path, 100),
    "text in its place": lambda path: path.write_text("rates\n" * 1000),
    "noise in its pages": lambda path: overwrite(path, 4096, b"\xa5" * (path.stat().st_size - 4096)),
    "noise in its head": lambda path: overwrite(path, 0, b"\xa5" * 100),
    "a table missing": lambda path: execute(path, "DROP TABLE slots"),
    "a column missing": lambda path: execute(path, "ALTER TABLE budgets RENAME COLUMN seen TO saw"),
}


@pytest.mark.parametrize("spoil", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_set_aside_and_begun_anew(path, spoil, caplog):
    spoil(path)
    content = path.read_bytes()
    assert granted(path) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "damaged" in caplog.text
    (kept,) = path.parent.glob("ratelimit.db.damaged-*")
    assert kept.read_bytes() == content
    assert granted(path) == 0, "the new file is in use"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budgets SET seen = 'text', count = 'text', oldest = x'00'",
        "UPDATE slots SET at = 'text'",
        "UPDATE budgets SET count = 1e300, longest_s = 9e999",
        "UPDATE slots SET at = 9e999",
        "UPDATE budgets SET oldest = -1000000000000",
        "UPDATE budgets SET oldest = -1000000000000, seen = seen + 1000",
        "DELETE FROM slots",
    ],
)
def test_senseless_values_neither_stop_nor_crash(path, statement):
    execute(path, statement)
    limiter = SlotLimiter(TWO_A_MINUTE, SQLiteSlots(path), sleep=lambda seconds: pytest.fail("waited"))
    assert limiter.try_acquire("host-1")
    limiter.close()


@pytest.fixture
def locked(path: Path) -> Iterator[Path]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield path


def foreign(path: Path) -> Path:
    path = path.with_name("bookmarks.db")
    execute(path, "CREATE TABLE bookmarks (url)", "INSERT INTO bookmarks VALUES ('x')")
    return path


def newer(path: Path) -> Path:
    execute(path, "PRAGMA user_version = 99")
    return path


UNUSABLE = {
    "of another program": foreign,
    "of another version": newer,
    "a folder": lambda path: path.parent,
    "below a file": lambda path: path / "ratelimit.db",
    "where nothing can be created": lambda path: Path("/proc/ratelimit.db"),
}


@pytest.mark.parametrize("make", UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_is_not_ours_is_left_alone(path, make, caplog):
    chosen = make(path)
    content = chosen.read_bytes() if chosen.is_file() else None
    assert granted(chosen) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "in memory, for this process alone" in caplog.text
    assert str(chosen) in caplog.text
    assert content is None or chosen.read_bytes() == content
    assert not list(path.parent.glob("*.damaged-*"))


def test_a_locked_file_is_given_up_after_a_bounded_wait(locked, caplog):
    assert granted(locked) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "locked" in caplog.text


def test_threads_do_not_wait_for_a_locked_file_one_after_another(locked):
    store = SQLiteSlots(locked, busy_timeout_s=0.1)
    with pytest.raises(StoreUnusable, match="locked"):
        store.reserve("nova", TWO_A_MINUTE, 1, 0)
    store._busy_timeout_s = 3600
    with pytest.raises(StoreUnusable, match="locked"):
        store.reserve("nova", TWO_A_MINUTE, 1, 0)


def in_child(prepare, path: Path) -> tuple[int, str]:
    """Return what `granted` says, and what was logged, in a process that `prepare` has restricted."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            records: list[str] = []
            handler = logging.Handler()
            handler.emit = lambda record: records.append(f"{record.levelname} {record.getMessage()}")
            logging.getLogger("astrometry_client").addHandler(handler)
            prepare()
            os.write(writing, f"{granted(path)} {'|'.join(records)}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        count, log = answer.read().split(" ", 1)
    os.waitpid(child, 0)
    return int(count), log


def give_up_rights() -> None:
    """Become somebody who may not write the file, whoever runs the tests."""
    if os.geteuid() == 0:
        os.setuid(65534)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_file_that_cannot_be_written_is_replaced_by_memory(path):
    path.chmod(0o444)
    path.parent.chmod(0o555)
    for folder in path.parents[1:4]:
        folder.chmod(folder.stat().st_mode | 0o055)
    try:
        count, log = in_child(give_up_rights, path)
    finally:
        path.parent.chmod(0o755)
    assert (count, log.count("WARNING")) == (2, 1)
    assert "in memory" in log


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_full_disk_is_survived(path):
    size = path.stat().st_size

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 4, size))

    count, log = in_child(fill_disk, path)
    assert (count, log.count("WARNING")) == (2, 1)
    assert "in memory" in log


def test_a_file_damaged_while_in_use_is_set_aside(path, caplog):
    limiter = make_limiter(per_minute=2, ratelimit_path=path)
    assert limiter.try_acquire("nova", blocking=False)
    execute(path, "DROP TABLE slots")
    assert limiter.try_acquire("nova", blocking=False)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert list(path.parent.glob("ratelimit.db.damaged-*"))
