"""Which servers run on this machine."""

import pytest

from astrometry_client.session import is_loopback


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/api", True),
        ("http://127.8.9.1", True),
        ("http://localhost:8000", True),
        ("http://LOCALHOST", True),
        ("http://nova.localhost/", True),
        ("http://[::1]:8000/", True),
        ("https://nova.astrometry.net", False),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
        ("http://[::2]/", False),
        ("http://127.0.0.1.example.org", False),
        ("http://user@127.0.0.1@example.org/", False),
        ("", False),
        ("http://[::1", False),
    ],
)
def test_only_this_machine_counts(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
