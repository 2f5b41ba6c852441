"""A forked child opens its own of everything, and leaves the parent's alone."""

import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_server import FaultyServer, answer_json

from astrometry_client import own_database
from astrometry_client.session import ClientSession, get_local_session


def _in_child(work: Callable[[], None]) -> None:
    """Run `work` in a forked child and fail if it fails there."""
    with warnings.catch_warnings():
        # The server's threads are of no use to the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
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
        parents = store.file._database._connection

        def work() -> None:
            assert store.file._database._connection is None
            # Closing it would do away with files and locks the parent relies on.
            assert parents in own_database._inherited
            assert session.get(url).from_cache
            assert store.file._database._connection is not parents
            session.get(f"{server.url}/api/jobs/2/calibration")
            session.close()

        _in_child(work)
        assert store.file._database._connection is parents
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


def test_fork_while_the_cache_is_in_use_does_not_block_the_child(
    server: FaultyServer, options: dict[str, object]
) -> None:
    with ClientSession(**options) as session, session.cache.store.file._database.lock:
        _in_child(lambda: session.cache.store.put("a", _reply(), b"body"))


def _reply() -> object:
    from astrometry_client.session.reply_store import StoredReply

    return StoredReply(
        url="u", status=200, reason="", headers={}, encoding=None, created_s=0.0, expires_s=None
    )
