"""How long a silent server is waited for."""

from typing import Final, Self

from astrometry_client.config import DEFAULTS
from astrometry_client.errors import InputError

__all__ = ["WRITE_METHODS", "RequestTimeout"]

WRITE_METHODS: Final = frozenset({"DELETE", "PATCH", "POST", "PUT"})

Seconds = float | None


class RequestTimeout(tuple[Seconds, Seconds]):
    """The time-outs of one request, as `requests` wants them: (connect, read) in seconds.

    Parameters
    ----------
    method
        HTTP method; writes wait longer, because the server stores the whole file before it answers.
    read_timeout, write_timeout
        Longest silence in seconds after a read and after a write, above 0. `None` waits for ever.
    connect_timeout
        Longest wait in seconds for a connection to open, above 0. `None` waits for ever.
    """

    __slots__ = ()

    def __new__(
        cls,
        method: str,
        read_timeout: Seconds = DEFAULTS.timeout_s,
        write_timeout: Seconds = DEFAULTS.write_timeout_s,
        *,
        connect_timeout: Seconds = DEFAULTS.connect_timeout_s,
    ) -> Self:
        """Choose the silence allowed by the method."""
        silence_s = write_timeout if method.upper() in WRITE_METHODS else read_timeout
        return super().__new__(
            cls, (_checked("connect_timeout", connect_timeout), _checked("timeout", silence_s))
        )

    @property
    def connect_s(self) -> Seconds:
        """Longest wait for a connection to open."""
        return self[0]

    @property
    def read_s(self) -> Seconds:
        """Longest silence while waiting for the reply."""
        return self[1]


def _checked(name: str, seconds: Seconds) -> Seconds:
    if seconds is None or (isinstance(seconds, int | float) and seconds > 0):
        return seconds
    raise InputError(f"{name}={seconds!r} is not allowed: give seconds above 0, or None to wait for ever.")
