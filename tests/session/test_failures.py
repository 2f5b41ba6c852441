"""What a failure on the wire proves, and which of our errors it becomes."""

import ssl
from typing import Any

import pytest
import requests
import urllib3.exceptions as below

from astrometry_client.errors import (
    AstrometryError,
    InputError,
    MalformedReply,
    RateLimitExceeded,
    ReplyTimeout,
    Unreachable,
)
from astrometry_client.session.failures import never_opened, typed_error

POOL: Any = None
REFUSED = below.NewConnectionError(POOL, "refused")
REQUEST = requests.Request("GET", "https://nova.example/api/x?session=SECRET").prepare()


def _retried(reason: Exception) -> requests.ConnectionError:
    return requests.ConnectionError(below.MaxRetryError(POOL, "/api/x?session=SECRET", reason))


FAILURES: list[tuple[Exception, type[AstrometryError]]] = [
    (_retried(REFUSED), Unreachable),
    (_retried(below.NameResolutionError("host", POOL, OSError(-2, "unknown"))), Unreachable),
    (requests.ConnectTimeout(below.MaxRetryError(POOL, "/", below.ConnectTimeoutError())), Unreachable),
    (
        requests.exceptions.ProxyError(below.MaxRetryError(POOL, "/", below.ProxyError("no", OSError()))),
        Unreachable,
    ),
    (
        requests.exceptions.SSLError(
            below.MaxRetryError(POOL, "/", below.SSLError(ssl.SSLCertVerificationError()))
        ),
        Unreachable,
    ),
    (requests.exceptions.SSLError(ssl.SSLError("in the middle")), MalformedReply),
    (
        requests.ConnectionError(
            below.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
        ),
        MalformedReply,
    ),
    (
        requests.ConnectionError(below.ProtocolError("Connection aborted.", BrokenPipeError(32, "pipe"))),
        MalformedReply,
    ),
    (requests.ReadTimeout(below.ReadTimeoutError(POOL, "/", "")), ReplyTimeout),
    (requests.ConnectionError(below.ReadTimeoutError(POOL, "/", "")), ReplyTimeout),
    (below.ReadTimeoutError(POOL, "/", ""), ReplyTimeout),
    (below.IncompleteRead(10, 20), MalformedReply),
    (requests.exceptions.ChunkedEncodingError(), MalformedReply),
    (requests.exceptions.ContentDecodingError(), MalformedReply),
    (requests.Timeout("Rate limit not cleared"), RateLimitExceeded),
    (requests.exceptions.InvalidSchema("ftp"), InputError),
    (requests.exceptions.InvalidURL("x"), InputError),
    (OSError(28, "No space left on device"), InputError),
    (FileNotFoundError(2, "No such file"), InputError),
    (ConnectionResetError(104, "reset"), MalformedReply),
    (TimeoutError(), ReplyTimeout),
]


@pytest.mark.parametrize(
    ("error", "expected"), FAILURES, ids=lambda value: getattr(value, "__name__", repr(value)[:60])
)
def test_failure_becomes_our_error(error: Exception, expected: type[AstrometryError]) -> None:
    typed = typed_error(error, REQUEST)
    assert type(typed) is expected
    assert typed.url == "https://nova.example/api/x?session=***"
    assert "SECRET" not in str(typed)


@pytest.mark.parametrize(
    ("error", "expected"), FAILURES, ids=lambda value: getattr(value, "__name__", repr(value)[:60])
)
def test_only_a_connection_that_was_not_made_proves_that_nothing_left(
    error: Exception, expected: type[AstrometryError]
) -> None:
    assert never_opened(error) is (expected is Unreachable)


def test_our_own_error_stays() -> None:
    error = MalformedReply("cut")
    assert typed_error(error, REQUEST) is error
