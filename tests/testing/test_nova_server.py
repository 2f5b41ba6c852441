"""A server for tests answers as nova does, in no time."""

from pathlib import Path

import pytest

from astrometry_client import Client
from astrometry_client.testing import NovaServer, place_of

ORION = Path(__file__).parents[2] / "examples" / "orion.jpg"


def test_fixture_solves_where_the_name_says(nova_server: NovaServer) -> None:
    with Client(base_url=nova_server.url) as client:
        calibration = client.solve(ORION).calibration
    place = place_of("orion.jpg")
    assert (calibration.ra_deg, calibration.dec_deg) == (place.ra_deg, place.dec_deg)
    assert calibration.orientation_deg == place.orientation_deg


@pytest.mark.nova_server(solve_time_s=3600.0)
def test_turned_clock_ends_a_solve(nova_server: NovaServer) -> None:
    with Client(base_url=nova_server.url) as client:
        submission = client._file(ORION, None).submit()
        assert nova_server.jobs[0].state == "solving"
        nova_server.clock.turn(3600.0)
        assert submission.until_done()
    assert nova_server.jobs[0].state == "success"
