"""A user of a server under test."""

from pathlib import Path

import pytest
from live_server import Api

from astrometry_client.testing import NovaServer

ORION = Path(__file__).parents[2] / "examples" / "orion.jpg"


@pytest.fixture
def api(nova_server: NovaServer) -> Api:
    return Api.login(nova_server.url, nova_server.api_key)
