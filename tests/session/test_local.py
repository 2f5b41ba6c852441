"""One session per thread and keywords, and what becomes of it."""

import gc
import threading
import time
import weakref
from pathlib import Path

import pytest
from faulty_server import FaultyServer, answer_json

from astrometry_client.errors import InputError, RateLimitExceeded
from astrometry_client.session import ClientSession, delete, get, get_local_session, post, put


@pytest.fixture(autouse=True)
def _in_a_thread_of_its_own() -> None:
    """Leave no session of this thread to the next test."""
    from astrometry_client.session import local

    local._local.__dict__.clear()


def test_same_keywords_give_the_same_session() -> None:
    assert get_local_session() is get_local_session()
    assert get_local_session(max_retries=1, timeout=5) is get_local_session(timeout=5, max_retries=1)


def test_other_keywords_are_honoured() -> None:
    default, other = get_local_session(), get_local_session(max_retries=1, urls_expire_after={"*": 60})
    assert default is not other
    assert other.retrying.policy.max_retries == 1
    assert other.settings.urls_expire_after == {"*": 60}


def test_unknown_keyword_is_refused() -> None:
    with pytest.raises(InputError, match="per_fortnight"):
        get_local_session(per_fortnight=1)


def test_each_thread_has_its_own_session_on_shared_cache_and_budget() -> None:
    sessions: list[ClientSession] = []
    thread = threading.Thread(target=lambda: sessions.append(get_local_session()))
    thread.start()
    thread.join()
    mine = get_local_session()
    assert mine is not sessions[0]
    assert mine.cache is sessions[0].cache
    assert mine.limiter is sessions[0].limiter


def test_functions_use_the_threads_session(server: FaultyServer) -> None:
    url = f"{server.url}/api/jobs/1"
    for function in (get, post, put, delete):
        assert function(url).json() == {"status": "success"}
    assert [arrival.method for arrival in server.arrivals] == ["GET", "POST", "PUT", "DELETE"]
    assert {arrival.connection for arrival in server.arrivals} == {1}


def test_functions_take_a_session(server: FaultyServer, session: ClientSession) -> None:
    session.headers["X-Mine"] = "yes"
    get(f"{server.url}/api/jobs/1", session=session)
    assert server.arrivals[0].headers["x-mine"] == "yes"


def test_sessions_of_many_threads_cost_little_and_give_it_back(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer_json({"ra": 1.0})
    options = {
        "cache_file": tmp_path / "replies.sqlite",
        "per_second": 10_000,
        "ratelimit_path": tmp_path / "rates",
    }
    get_local_session(**options).get(f"{server.url}/api/jobs/0/calibration")
    files, threads = _open_files(server, 1), threading.active_count() - len(server._threads)
    ready, done = threading.Barrier(65), threading.Event()
    sessions: weakref.WeakSet[ClientSession] = weakref.WeakSet()

    def work() -> None:
        session = get_local_session(**options)
        sessions.add(session)
        session.get(f"{server.url}/api/jobs/1")
        del session
        ready.wait()
        done.wait()

    workers = [threading.Thread(target=work) for _ in range(64)]
    for worker in workers:
        worker.start()
    ready.wait()
    assert _open_files(server, 65) - files <= 64 * 6
    assert threading.active_count() - len(server._threads) - threads <= 64 + 1
    done.set()
    for worker in workers:
        worker.join()
    gc.collect()
    assert len(sessions) == 0
    assert _open_files(server, 1) <= files


def _open_files(server: FaultyServer, connections: int) -> int:
    """Count open files without the server's own, once it has so many connections."""
    for _ in range(500):
        if len(server._sockets) == connections:
            return len(list(Path("/proc/self/fd").iterdir())) - connections
        time.sleep(0.01)
    raise AssertionError(f"{len(server._sockets)} connections in place of {connections}")


def test_wait_longer_than_allowed_is_an_error(server: FaultyServer, tmp_path: Path) -> None:
    with ClientSession(per_minute=1, max_delay=0.5, ratelimit_path=tmp_path / "rates") as session:
        session.get(f"{server.url}/api/jobs/1")
        with pytest.raises(RateLimitExceeded, match="max_delay"):
            session.get(f"{server.url}/api/jobs/1")
    assert len(server.arrivals) == 1
