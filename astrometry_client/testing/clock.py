"""The time of a server under test."""

import threading
import time
from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """A clock that can be turned. It may stand in for the module `time` of the program under test.

    Parameters
    ----------
    speed
        Seconds that pass here in a real second, 0 or more: 0 stands still until the clock is turned.

    Examples
    --------
    >>> from astrometry_client.testing import Clock
    >>> clock = Clock(speed=0)
    >>> clock.sleep(3600)
    >>> clock.monotonic()
    3600.0
    """

    def __init__(self, *, speed: float = 1.0) -> None:
        self.speed = speed
        self._began_s, self._began_at = time.monotonic(), time.time()
        self._turned_s = 0.0
        self._lock = threading.Lock()
        self.on_turn: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return f"Clock(speed={self.speed!r})"

    def monotonic(self) -> float:
        """Return the seconds since this clock was made."""
        return self._turned_s + (time.monotonic() - self._began_s) * self.speed

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self._began_at + self.monotonic()

    def turn(self, seconds: float) -> None:
        """Move the clock forward; what should have happened meanwhile at the server, happens."""
        with self._lock:
            self._turned_s += max(0.0, seconds)
        self.on_turn()

    sleep = turn
