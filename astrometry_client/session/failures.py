"""What went wrong on the wire, as one of our errors. Did anything leave, did anything come back."""

import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions

from astrometry_client.errors import (
    AstrometryError,
    InputError,
    MalformedReply,
    NoUsableReply,
    RateLimitExceeded,
    ReplyTimeout,
    Unreachable,
)
from astrometry_client.session.formatting import redact_url

__all__ = ["WIRE_ERRORS", "never_opened", "typed_error"]

WIRE_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What the layers below raise when a request fails. `requests` does not wrap all of urllib3's."""

_SILENCE = (requests.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)


def never_opened(error: BaseException) -> bool:
    """Return whether it is proven that nothing of the request left.

    That is so if no connection to server or proxy was made, or if the certificate was not accepted. A
    connection that was closed proves nothing, not even an old one: the request may have arrived.
    """
    return any(
        isinstance(
            reason,
            requests.ConnectTimeout
            | requests.exceptions.ProxyError
            | urllib3.exceptions.NewConnectionError
            | urllib3.exceptions.ConnectTimeoutError
            | ssl.SSLCertVerificationError,
        )
        for reason in _reasons(error)
    )


def typed_error(error: Exception, request: requests.PreparedRequest) -> AstrometryError:
    """Return our error for a failure below; the caller chains the two."""
    url = redact_url(request.url)
    if isinstance(error, AstrometryError):
        return error
    if isinstance(error, requests.RequestException) and isinstance(error, ValueError):
        return InputError(f"{url} cannot be asked: {error}", url=url)
    # The limiter raises the plain class; real time-outs are subclasses of it.
    if type(error) is requests.Timeout:
        return RateLimitExceeded(
            f"No request to {url} was free within max_delay: wait longer or ask less often.",
            url=url,
            request=request,
        )
    if _is_local(error):
        return InputError(f"{url} cannot be asked or its reply not be written: {error}", url=url)
    if never_opened(error):
        return _unreachable(error, url, request)
    return _no_reply(error, url, request)


def _is_local(error: Exception) -> bool:
    """Return whether the fault is of this machine's files: what goes wrong on the wire comes wrapped."""
    return isinstance(error, OSError) and not isinstance(
        error, requests.RequestException | ConnectionError | TimeoutError
    )


def _unreachable(error: Exception, url: str, request: requests.PreparedRequest) -> Unreachable:
    return Unreachable(
        f"{url} cannot be reached ({_root(error)}): check the address and the network.",
        url=url,
        request=request,
    )


def _no_reply(error: Exception, url: str, request: requests.PreparedRequest) -> NoUsableReply:
    if any(isinstance(reason, _SILENCE) for reason in _reasons(error)):
        return ReplyTimeout(
            f"{url} went silent: try again later, or allow a longer timeout.", url=url, request=request
        )
    return MalformedReply(f"{url} broke off ({_root(error)}): try again later.", url=url, request=request)


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised for, outermost first. urllib3 hides causes in arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        reason = waiting.pop(0)
        if isinstance(reason, BaseException) and id(reason) not in seen:
            seen.add(id(reason))
            yield reason
            waiting += [getattr(reason, "reason", None), reason.__cause__, *reason.args]


def _root(error: BaseException) -> str:
    """Return the innermost reason in a few words, without the address urllib3 puts into its texts."""
    root = list(_reasons(error))[-1]
    if isinstance(root, OSError) and root.strerror:
        return root.strerror
    return type(root).__name__
