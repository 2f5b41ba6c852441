"""A server that refuses or cannot be reached is left alone for a while, and then asked once."""

import logging
from typing import Final

from astrometry_client.errors import AstrometryError, Overloaded, Unreachable
from astrometry_client.session import is_loopback

logger = logging.getLogger(__name__)

WEATHER: Final = (Overloaded, Unreachable)
"""Errors that say nothing about what was asked: the server has not taken it, and will some day."""

_MOST_FAILURES: Final = 3
"""In a row; each of them is a request that was repeated in vain before."""

_PUBLIC_REST_S: Final = (30.0, 600.0)
"""First and longest rest: a block or a restart of a public server takes minutes to pass."""

_OWN_REST_S: Final = (1.0, 30.0)
"""A server on this machine is back within seconds."""


class Circuit:
    """Open while the server must not be asked. Closes by itself when a request gets through.

    Parameters
    ----------
    server
        Its address.
    """

    def __init__(self, server: str) -> None:
        self.server_known = False
        """Whether it ever answered."""
        self._server = server
        self._first_s, self._longest_s = _OWN_REST_S if is_loopback(server) else _PUBLIC_REST_S
        self._failures = 0
        self._opened_s: float | None = None
        self._ask_at_s = 0.0
        self._held_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing may be asked but one request when the rest is over."""
        return self._opened_s is not None

    def rest_s(self, now_s: float) -> float:
        """Return the seconds until something may be asked."""
        return max(0.0, self._ask_at_s - now_s) if self.is_open else 0.0

    def held_s(self, now_s: float) -> float:
        """Return the seconds it was open so far, which no image is blamed for."""
        return self._held_s + (0.0 if self._opened_s is None else now_s - self._opened_s)

    def answered(self, now_s: float) -> None:
        """Take note of a request that got through."""
        if self._opened_s is not None:
            logger.warning("%s answers again.", self._server)
            self._held_s = self.held_s(now_s)
        self.server_known = True
        self._failures, self._opened_s = 0, None

    def failed(self, error: AstrometryError, now_s: float) -> None:
        """Take note of a request that did not."""
        if self.rest_s(now_s) > 0:
            return  # it was on its way when the rest began
        self._failures += 1
        if self._failures < _MOST_FAILURES:
            return
        doublings = min(self._failures - _MOST_FAILURES, 60)
        rest_s = max(min(self._first_s * 2.0**doublings, self._longest_s), error.retry_after_s or 0.0)
        if self._opened_s is None:
            self._opened_s = now_s
        self._ask_at_s = now_s + rest_s
        logger.warning("%s is asked nothing for %.0f s: %s", self._server, rest_s, error)
