"""Reading the body of a reply, in constant memory and not for ever."""

import time
from collections.abc import Callable, Iterator
from typing import Final

import requests

from astrometry_client.config import DEFAULTS
from astrometry_client.errors import ReplyTimeout
from astrometry_client.session.formatting import redact_url

__all__ = ["blocks", "read_body", "was_read"]

BLOCK_BYTES: Final = 65536


def blocks(
    response: requests.Response,
    *,
    grace_s: float | None = DEFAULTS.timeout_s,
    slowest_bytes_per_s: float = DEFAULTS.slowest_bytes_per_s,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[bytes]:
    """Yield the decoded body of a streamed reply as it arrives.

    Parameters
    ----------
    grace_s
        Seconds before the pace counts. `None` lets any pace pass.
    slowest_bytes_per_s
        A body that comes slower than this, counted from the start of the grace, is given up: the
        time-out of a socket starts anew with each byte and would let it drip for ever.

    Raises
    ------
    ReplyTimeout
        The body came too slowly.
    """
    started_s = clock()
    received_bytes = 0
    try:
        while block := response.raw.read1(BLOCK_BYTES, decode_content=True):
            received_bytes += len(block)
            yield block
            spent_s = clock() - started_s
            if grace_s is not None and spent_s > grace_s + received_bytes / slowest_bytes_per_s:
                raise _too_slow(response, received_bytes, spent_s)  # noqa: TRY301
    except BaseException:
        # Also Ctrl-C: a connection with half a reply in it must not be used again.
        response.close()
        raise


def read_body(response: requests.Response, *, grace_s: float | None) -> None:
    """Read the whole body into the reply, as `response.content` would, but not for ever."""
    # requests keeps the body in these two and has no public way to fill them.
    response._content = b"".join(blocks(response, grace_s=grace_s))
    response._content_consumed = True  # type: ignore[attr-defined]


def was_read(response: requests.Response) -> bool:
    """Return whether the body of a reply was read before."""
    return response._content is not False  # type: ignore[comparison-overlap]


def _too_slow(response: requests.Response, received_bytes: int, spent_s: float) -> ReplyTimeout:
    return ReplyTimeout(
        f"The reply came too slowly, {received_bytes} bytes in {spent_s:.0f} s: try again later.",
        url=redact_url(response.url),
        status=response.status_code,
        request=response.request,
    )
