"""The pytest fixture `nova_server`; pytest finds it by itself where this package is installed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from astrometry_client.testing import NovaServer

MARKER = "nova_server(**options): what the fixture `nova_server` gives to `NovaServer`"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def nova_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[NovaServer]":
    """Run a `NovaServer` during the test; its options stand in a marker `nova_server`.

    Logins and all else the package keeps are in folders of the test; its API key is that of the server.
    """
    from astrometry_client.testing import NovaServer

    marker = request.node.get_closest_marker("nova_server")
    folder = tmp_path_factory.mktemp("nova-server")
    with NovaServer(**(marker.kwargs if marker else {})) as server:
        monkeypatch.setenv("ASTROMETRY_API_KEY", server.api_key)
        for name in ("CACHE", "STATE"):
            monkeypatch.setenv(f"ASTROMETRY_{name}_DIR", str(folder / name.lower()))
        yield server
