"""Many solves with a server that fails in every way it can: right results, nothing stored twice."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from both_clients import NewClient

from astrometry_client import Client
from astrometry_client.session.retrying import RetryPolicy
from astrometry_client.testing import Cut, Drip, Hang, NovaServer, Reset, Status, fits_image, place_of

FAULTS = (
    *(Reset("arriving"), Reset("read"), Reset("processed")),
    *(Hang(processed=True), Cut(), Drip(pause_s=0.05), Status(200, processed=True)),
    *(Status(status, retry_after_s=wait_s) for status in (403, 429, 503) for wait_s in (None, 2.0)),
)
SHARE = 0.07
"""Three of five requests fail."""


@pytest.fixture
def client(nova_server: NovaServer, new_client: NewClient) -> Iterator[Client]:
    with nova_server.client_session(timeout=0.15, write_timeout=0.5) as session:
        # Five repeats would be too few.
        patient = RetryPolicy(max_retries=100, retry_time_s=1e6)
        session.retrying = attrs.evolve(session.retrying, policy=patient)
        with new_client(nova_server.api_key, base_url=nova_server.url, client_session=session) as client:
            yield client


@pytest.mark.nova_server(faults=[fault.rate(SHARE) for fault in FAULTS], seed=603)
@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.soak)])
def test_every_solve_ends_right_and_nothing_is_stored_twice(
    nova_server: NovaServer, client: Client, tmp_path: Path, count: int
) -> None:
    for number in range(count):
        path = tmp_path / f"field{number}.fits"
        path.write_bytes(fits_image(path.name))
        solution = client.solve(path, timeout_s=1e6)
        assert solution.name == path.name
        assert solution.calibration.ra_deg == place_of(path.name).ra_deg
        assert solution.header()["CRVAL1"] == place_of(path.name).ra_deg
    assert len(nova_server.uploads) == count
    assert {request.fault for request in nova_server.requests} == {*FAULTS, None}
