"""A forked child opens its own of everything, and leaves the parent's alone."""

import os
import signal
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from faulty_server import FaultyServer, answer_json

from astrometry_client import Ledger, Session
from astrometry_client.session import ClientSession, SQLiteSlots, get_local_session
from astrometry_client.session.caching import shared_cache
from astrometry_client.session.slots import Window


def _in_child(work: Callable[[], object]) -> None:
    """Run `work` in a forked child and fail if it fails there."""
    _check(_forked(work))


def _forked(work: Callable[[], object]) -> int:
    with warnings.catch_warnings():
        # The server's threads are of no use to the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(20)  # the end of a child that is blocked
        try:
            work()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def _check(child: int) -> None:
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.fixture
def options(tmp_path: Path) -> dict[str, object]:
    return {
        "cache_file": tmp_path / "replies.sqlite",
        "per_second": 1000,
        "ratelimit_path": tmp_path / "rates",
    }


def test_child_has_connections_cache_and_budget_of_its_own(
    server: FaultyServer, options: dict[str, object]
) -> None:
    server.default = answer_json({"ra": 1.0})
    with ClientSession(**options) as session:
        url = f"{server.url}/api/jobs/1/calibration"
        session.get(url)
        store = session.cache.store

        def work() -> None:
            assert not store.file._database.is_open
            assert session.get(url).from_cache
            session.get(f"{server.url}/api/jobs/2/calibration")
            session.close()

        _in_child(work)
        assert session.get(f"{server.url}/api/jobs/2/calibration").from_cache
        session.get(f"{server.url}/api/jobs/1")
    assert [arrival.connection for arrival in server.arrivals] == [1, 2, 1]


def test_child_that_ends_in_order_does_not_hurt_the_parent(
    server: FaultyServer, options: dict[str, object]
) -> None:
    server.default = answer_json({"ra": 1.0})
    with ClientSession(**options) as session:
        session.get(f"{server.url}/api/jobs/1/calibration")
        _in_child(lambda: None)
        session.get(f"{server.url}/api/jobs/2/calibration")
        assert session.cache.store.totals()[0] == 2


def test_child_has_local_sessions_of_its_own() -> None:
    mine = get_local_session()

    def work() -> None:
        assert get_local_session() is not mine

    _in_child(work)
    assert get_local_session() is mine


def test_what_a_child_writes_outlasts_the_files_end_in_the_parent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.expect({"parent": ""})
    parent, child = socket.socketpair()

    def work() -> None:
        ledger.expect({"first": ""})
        child.send(b"written")
        child.recv(10)
        ledger.expect({"second": ""})

    with parent, child:
        forked = _forked(work)
        parent.recv(10)
        ledger.close()
        parent.send(b"closed")
        _check(forked)
    assert set(Ledger(ledger.path).expected()) == {"parent", "first", "second"}


USES: dict[str, Callable[[Path], Callable[[], object]]] = {
    "ledger": lambda path: partial(Ledger(path).expect, {"a": ""}),
    "replies": lambda path: partial(shared_cache(path).store.put, "a", _reply(), b"body"),
    "rates": lambda path: partial(SQLiteSlots(path).reserve, "nova", (Window(10**6, 1.0),), 1, 1e9),
    "login": lambda path: _held(Session("key", base_url="http://127.0.0.1:9")._lock),
    "leases": lambda path: _held(Ledger(path)._leases._lock),
}


@pytest.mark.parametrize("use", USES)
def test_fork_while_other_threads_use_a_file_does_not_block_the_child(tmp_path: Path, use: str) -> None:
    step, ended = USES[use](tmp_path / "file"), threading.Event()

    def often() -> None:
        while not ended.is_set():
            step()

    threads = [threading.Thread(target=often) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            _in_child(step)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _held(lock: AbstractContextManager[None]) -> Callable[[], None]:
    def step() -> None:
        with lock:
            time.sleep(0.001)

    return step


def _reply() -> object:
    from astrometry_client.session.reply_store import StoredReply

    return StoredReply(
        url="u", status=200, reason="", headers={}, encoding=None, created_s=0.0, expires_s=None
    )
