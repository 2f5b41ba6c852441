"""Fixtures every test may use."""

import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from arrivals import ManualTime
from both_clients import drivers, new_client
from hypothesis import HealthCheck, settings

from astrometry_client import ClientSession
from astrometry_client.server.run import LocalServer

__all__ = ["drivers", "new_client"]

# Other processes compute beside this one: how long an example takes says nothing.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A shell has what runs in its background ignore Ctrl-C, and the programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by how they begin: gzip goes on with the time, and every process must name a test alike."""
    return str(val[:4]) if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test out of the user's own cache, state, configuration and keys."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("CACHE", "STATE", "CONFIG", "DATA"):
        (home / name.lower()).mkdir()
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    for name in ("API_KEY", "CACHE_DIR", "STATE_DIR"):
        monkeypatch.delenv(f"ASTROMETRY_{name}", raising=False)
    for name in ("AN_API_KEY", "DRY_RUN_ENABLED", "DRY_RUN_WRITE_ONLY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return home


@pytest.fixture
def passing() -> ManualTime:
    """Give a clock that only sleeps move."""
    return ManualTime(now=0.0)


@pytest.fixture
def session(passing: ManualTime) -> Iterator[ClientSession]:
    """Give a session that takes its time from it."""
    with ClientSession() as session:
        session.retrying = attrs.evolve(session.retrying, sleep=passing.sleep, clock=passing.clock)
        yield session


@pytest.fixture(scope="session")
def nova() -> Iterator[LocalServer]:
    """Run one embedded server, with its real solver, for all tests that need one."""
    with LocalServer() as server:
        yield server
