"""A server with a toy engine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import Api, OpenDatabase

from astrometry_client.server.database import Database
from astrometry_client.server.run import LocalServer


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[OpenDatabase]:
    """Open the same file, as often as wished."""
    opened = []

    def open_once() -> Database:
        opened.append(Database(tmp_path / "server.sqlite"))
        return opened[-1]

    yield open_once
    for database in opened:
        database.close()


@pytest.fixture(scope="session")
def toy_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let worker processes find the toy engines; return where these leave their notes."""
    folder = tmp_path_factory.mktemp("toys")
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
        patch.setenv("TOY_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def server(toy_dir: Path) -> Iterator[LocalServer]:
    options = {"workers": 1, "solve_timeout_s": 60.0, "upload_bytes": 30_000_000}
    with LocalServer(engine="toy_engines:toy", **options) as running:
        yield running


@pytest.fixture
def api(server: LocalServer) -> Api:
    return Api.login(server.url, server.api_key)
