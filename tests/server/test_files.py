"""Files are stored whole, once, under their hash."""

import hashlib
from pathlib import Path

import pytest

from astrometry_client.server.files import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files")


def everything(store: FileStore) -> list[Path]:
    return [path for path in store.path("x").parent.parent.rglob("*") if path.is_file()]


def test_file_lies_under_its_hash(store: FileStore) -> None:
    with store.begin() as incoming:
        incoming.write(b"ab")
        incoming.write(b"c")
        stored = incoming.keep()
    assert (stored.sha1, stored.size_bytes) == (hashlib.sha1(b"abc").hexdigest(), 3)
    assert store.path(stored.sha1).read_bytes() == b"abc"


def test_same_content_is_stored_once(store: FileStore) -> None:
    assert store.store(b"abc") == store.store(b"abc")
    assert len(everything(store)) == 1


def test_file_that_is_not_kept_leaves_nothing(store: FileStore) -> None:
    with store.begin() as incoming:
        incoming.write(b"abc")
        assert len(everything(store)) == 1
    assert everything(store) == []


def test_what_a_killed_server_left_is_swept(store: FileStore) -> None:
    kept = store.store(b"kept")
    with store.begin() as unfinished:
        unfinished.write(b"never finished")
        assert len(everything(store)) == 2
        store.sweep()
        assert everything(store) == [store.path(kept.sha1)]
    store.store(b"works on")
