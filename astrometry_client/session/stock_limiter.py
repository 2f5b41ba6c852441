"""The buckets of pyrate-limiter, behind the interface the session uses."""

import logging
import math
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, cast

from pyrate_limiter import (
    AbstractBucket,
    InMemoryBucket,
    Limiter,
    MultiprocessBucket,
    Rate,
    SQLiteBucket,
    validate_rate_list,
)
from requests_ratelimiter.buckets import HostBucketFactory, prepare_sqlite_kwargs

from astrometry_client.session.file_lock_bucket import FileLockSQLiteBucket
from astrometry_client.session.interrupting import pause, tell_of_wait
from astrometry_client.session.slot_limiter import OnWait, SlotLimiter
from astrometry_client.session.slots import Window
from astrometry_client.session.slots_memory import process_slots

logger = logging.getLogger(__name__)

WHAT_IT_LACKS: Final[dict[type[AbstractBucket], str]] = {
    InMemoryBucket: "counts within this process alone; another process gets the whole allowance again",
    SQLiteBucket: "lets several processes exceed the limit (1.1 to 1.5 times); FileLockSQLiteBucket does not",
    MultiprocessBucket: "is shared only with forked children, and blocks for ever after one was killed",
}
"""What each bucket does not hold, as measured on pyrate-limiter 4.5.1."""


class BucketLimiter(Limiter):
    """A stock bucket with what the session needs beside it: `penalize` and `on_wait`.

    The bucket's own limits stay (see `WHAT_IT_LACKS`, logged once when it is built). `penalize` holds up
    this process alone. A database that fails is replaced by slots in memory, with one warning.

    Parameters
    ----------
    windows
        What must hold, all at once.
    bucket_class, bucket_kwargs
        The bucket and what it needs; for the SQLite ones `path`.
    on_wait
        Called with the seconds a wait is going to take, when it begins.
    clock, sleep
        Replace `time.monotonic` and the interruptible sleep in tests.
    """

    def __init__(
        self,
        windows: tuple[Window, ...],
        bucket_class: type[AbstractBucket],
        bucket_kwargs: dict[str, Any],
        *,
        on_wait: OnWait | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        super().__init__(_StockBuckets(stock_rates(windows), bucket_class, bucket_kwargs))
        self.windows = windows
        self.on_wait = on_wait
        self._clock = clock
        self._sleep = sleep
        self._blocked_until: dict[str, float] = {}
        self._instead: SlotLimiter | None = None
        if bucket_class in WHAT_IT_LACKS:
            logger.warning("%s %s.", bucket_class.__name__, WHAT_IT_LACKS[bucket_class])

    def try_acquire(
        self, name: str = "pyrate", weight: int = 1, blocking: bool = True, timeout: float = -1
    ) -> bool:
        """Wait for the bucket to have room; see `SlotLimiter.try_acquire`."""
        if self._instead is None:
            try:
                return self._acquire(
                    name, weight, 0.0 if not blocking else math.inf if timeout == -1 else timeout
                )
            except (sqlite3.Error, OSError) as error:
                logger.warning("Rates are kept in memory, for this process alone: %s.", error)
                self._instead = SlotLimiter(
                    self.windows, process_slots(), on_wait=self.on_wait, sleep=self._sleep
                )
        return self._instead.try_acquire(name, weight, blocking, timeout)

    def penalize(self, name: str, seconds: float) -> None:
        """Let nobody in this process send to `name` for so many seconds from now."""
        logger.info("No request to %s for %.1f s", name, seconds)
        self._blocked_until[name] = max(self._blocked_until.get(name, -math.inf), self._clock() + seconds)
        if self._instead is not None:
            self._instead.penalize(name, seconds)

    def _acquire(self, name: str, weight: int, max_wait_s: float) -> bool:
        latest = self._clock() + max_wait_s
        while True:
            while (pause_s := self._pause_s(name)) > 0:
                if self._clock() + pause_s > latest:
                    return False
                self._announce(name, pause_s)
                self._sleep(pause_s)
            if not self._take(name, weight, latest):
                return False
            if self._pause_s(name) <= 0:
                return True

    def _take(self, name: str, weight: int, latest: float) -> bool:
        if super().try_acquire(name, weight, blocking=False):
            return True
        left_s = latest - self._clock()
        if left_s <= 0:
            return False
        self._announce(name, self._expected_s(name, weight))
        return bool(super().try_acquire(name, weight, timeout=-1 if left_s == math.inf else left_s))

    def _pause_s(self, name: str) -> float:
        return self._blocked_until.get(name, -math.inf) - self._clock()

    def _expected_s(self, name: str, weight: int) -> float:
        buckets: Any = self.bucket_factory
        item = buckets.wrap_item(name, weight)
        return max(0.0, float(buckets.get(item).waiting(item)) / 1000)

    def _announce(self, name: str, wait_s: float) -> None:
        logger.info("Waiting %.2f s for room at %s", wait_s, name)
        if self.on_wait is not None:
            self.on_wait(wait_s)
        tell_of_wait(wait_s)


def stock_rates(windows: tuple[Window, ...]) -> list[Rate]:
    """Return the windows as pyrate-limiter accepts them: in whole milliseconds, each slower than the last.

    A longer window of a higher pace is left out, since the shorter one keeps it.
    """
    rates: list[Rate] = []
    for window in sorted(windows, key=lambda window: window.interval_s):
        rate = Rate(window.limit, max(1, math.ceil(window.interval_s * 1000)))
        if validate_rate_list([*rates, rate]):
            rates.append(rate)
    return rates


class _StockBuckets(HostBucketFactory):
    """One bucket per host, also of the classes requests-ratelimiter does not know how to build."""

    def _create_bucket(self, name: str) -> AbstractBucket:
        if issubclass(self.bucket_class, SQLiteBucket) and "path" in self.bucket_init_kwargs:
            _check_database(self.bucket_init_kwargs["path"])
        if self.bucket_class is FileLockSQLiteBucket:
            kwargs = prepare_sqlite_kwargs(self.bucket_init_kwargs, name)
            return FileLockSQLiteBucket.init_from_file(self.rates, **kwargs)
        if self.bucket_class is MultiprocessBucket and not self.bucket_init_kwargs:
            return cast("AbstractBucket", MultiprocessBucket.init(self.rates))
        return super()._create_bucket(name)


def _check_database(path: Any) -> None:
    """Raise `sqlite3.Error` if the file is no database: the bucket would leave its connection open then."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA schema_version")
