"""From a method, an address and values to a prepared request."""

import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from astrometry_client.errors import InputError
from astrometry_client.session.formatting import redact_url

__all__ = ["RequestingMixin", "Timeout", "log_request", "prepared"]

logger = logging.getLogger(__name__)

Timeout = float | tuple[float | None, float | None] | None


class RequestingMixin(requests.Session):
    """Hands what a request is and how it is sent to `send`, whose options plain `requests` does not know."""

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        data: Any = None,
        headers: Mapping[str, str | bytes | None] | None = None,
        cookies: Any = None,
        auth: Any = None,
        hooks: Any = None,
        json: Any = None,
        **options: Any,
    ) -> requests.Response:
        """Make a request and return its judged reply. What is not listed here is as in `requests`.

        Parameters
        ----------
        files
            Files to send, by form field; streamed from disk, never held in memory.
        access_token
            Replaces the session's credentials this once.
        options
            `timeout`, `dry_run`, `raise_for_status`, `idempotent`, `expire_after`, `only_if_cached`,
            `refresh` and `force_refresh`, see `send`.

        Raises
        ------
        InputError
            The request cannot be made as given; nothing was sent.
        NoUsableReply, ServerRefused
            See `send`.
        """
        request = requests.Request(
            method.upper(),
            url,
            headers=headers,
            data=data or {},
            json=json,
            params=params or {},
            auth=auth,
            cookies=cookies,
            hooks=hooks,
        )
        return self.send(prepared(self, request), **options)


def prepared(session: requests.Session, request: requests.Request) -> requests.PreparedRequest:
    """Return the request with the session's headers, cookies and credentials."""
    try:
        return session.prepare_request(request)
    except requests.RequestException as cause:
        raise InputError(f"{redact_url(request.url)} cannot be asked: {cause}") from cause


def log_request(request: requests.PreparedRequest, status: int, started_s: float, how: str = "") -> None:
    """Write the one line every request leaves in the log; `started_s` is of `time.perf_counter`."""
    if logger.isEnabledFor(logging.INFO):
        milliseconds = (time.perf_counter() - started_s) * 1000
        path = urlsplit(request.url or "").path
        logger.info("%s %s %d %.0f ms%s", request.method, path, status, milliseconds, how and f" ({how})")
