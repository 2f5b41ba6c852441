"""The rate limits of a session: made from plain numbers, shared by everybody who names the same ones."""

import atexit
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pyrate_limiter import AbstractBucket, InMemoryBucket, PostgresBucket, Rate, RedisBucket, SQLiteBucket

from astrometry_client import config
from astrometry_client.errors import InputError
from astrometry_client.own_database import private_file
from astrometry_client.session.file_lock_bucket import FileLockSQLiteBucket
from astrometry_client.session.rates import windows_of
from astrometry_client.session.slot_limiter import OnWait, SlotLimiter
from astrometry_client.session.slots import Window
from astrometry_client.session.slots_memory import MemorySlots, process_slots
from astrometry_client.session.slots_redis import RedisSlots
from astrometry_client.session.slots_sqlite import SQLiteSlots
from astrometry_client.session.stock_limiter import WHAT_IT_LACKS, BucketLimiter

__all__ = [
    "BucketLimiter",
    "FileLockSQLiteBucket",
    "MemorySlots",
    "RedisSlots",
    "SQLiteSlots",
    "SlotLimiter",
    "close_limiters",
    "make_limiter",
]

logger = logging.getLogger(__name__)

RateLimiter = SlotLimiter | BucketLimiter

_STORES = (SQLiteSlots, MemorySlots, RedisSlots)

_NEEDED: Final = {RedisSlots: "redis", RedisBucket: "redis", PostgresBucket: "pool"}

_LIMITERS: dict[tuple[Any, ...], RateLimiter] = {}


def make_limiter(
    *,
    per_second: float | None = None,
    per_minute: float | None = None,
    per_day: float | None = None,
    burst: int | None = None,
    additional_rate_limit: Rate | Iterable[Rate] | None = None,
    bucket_class: type[SQLiteSlots | MemorySlots | RedisSlots | AbstractBucket] = SQLiteSlots,
    bucket_kwargs: Mapping[str, Any] | None = None,
    ratelimit_path: str | os.PathLike[str] | None = None,
    use_file_lock: bool = True,
    on_wait: OnWait | None = None,
) -> RateLimiter | None:
    """Return the limiter of this process for these limits, or None if there are none.

    The same arguments give the same object, so all sessions of a process share one budget.

    Parameters
    ----------
    per_second, per_minute, per_day, burst, additional_rate_limit
        What must hold, all at once; see `rates.windows_of`.
    bucket_class
        Where the budget is kept. `SQLiteSlots` (the default) is shared by all processes of a user,
        `RedisSlots` by all machines, `MemorySlots` by the threads of this process. A bucket of
        pyrate-limiter, or `FileLockSQLiteBucket`, is used as that library has it: see `BucketLimiter`
        for what each of them does not hold.
    bucket_kwargs
        What the store needs: `redis` (a client) for the Redis ones, `pool` for `PostgresBucket`.
    ratelimit_path
        The file of the SQLite stores; by default in the cache folder. Whoever names the same file shares
        the budget, also with other limits.
    use_file_lock
        Whether `SQLiteBucket` holds a lock file, as `FileLockSQLiteBucket` does. The slots need none.
    on_wait
        Called with the seconds a wait is going to take, when it begins.

    Raises
    ------
    InputError
        The limits cannot hold together, or the store is not one of these.
    """
    windows = windows_of(
        per_second=per_second,
        per_minute=per_minute,
        per_day=per_day,
        burst=burst,
        additional_rate_limit=additional_rate_limit,
    )
    if not windows:
        return None
    given = dict(bucket_kwargs or {})
    bucket_class = _checked_class(bucket_class, given, use_file_lock)
    path = _path_of(bucket_class, ratelimit_path)
    identities = tuple((name, id(value)) for name, value in sorted(given.items()))
    key = (os.getpid(), windows, bucket_class, path, on_wait, identities)
    limiter = _LIMITERS.get(key)
    if limiter is None:
        # setdefault is one step: of two threads that got here, both leave with the same limiter.
        limiter = _LIMITERS.setdefault(key, _build(windows, bucket_class, given, path, on_wait))
    return limiter


def _build(
    windows: tuple[Window, ...],
    bucket_class: type[Any],
    bucket_kwargs: dict[str, Any],
    path: Path | None,
    on_wait: OnWait | None,
) -> RateLimiter:
    if bucket_class is MemorySlots:
        logger.warning("MemorySlots %s.", WHAT_IT_LACKS[InMemoryBucket])
        return SlotLimiter(windows, process_slots(), on_wait=on_wait)
    if bucket_class is SQLiteSlots and path is not None:
        return SlotLimiter(windows, SQLiteSlots(path), on_wait=on_wait)
    if bucket_class is RedisSlots:
        return SlotLimiter(windows, RedisSlots(**bucket_kwargs), on_wait=on_wait)
    if path is not None:
        with suppress(OSError):  # what is wrong with the file shows, and is told, at its first use
            private_file(path)
        bucket_kwargs = {"path": path, **bucket_kwargs}
    return BucketLimiter(windows, bucket_class, bucket_kwargs, on_wait=on_wait)


def _checked_class(
    bucket_class: type[Any], bucket_kwargs: Mapping[str, Any], use_file_lock: bool
) -> type[Any]:
    """Return the class that will be used; refuse one that cannot be, or that lacks what it needs."""
    if not isinstance(bucket_class, type) or not issubclass(bucket_class, (AbstractBucket, *_STORES)):
        raise InputError(
            f"bucket_class={bucket_class!r} keeps no rates. Give SQLiteSlots, MemorySlots, RedisSlots, "
            "FileLockSQLiteBucket, or a bucket of pyrate-limiter."
        )
    needed = _NEEDED.get(bucket_class)
    if needed and needed not in bucket_kwargs:
        raise InputError(f"bucket_class={bucket_class.__name__} needs bucket_kwargs={{{needed!r}: ...}}.")
    return FileLockSQLiteBucket if bucket_class is SQLiteBucket and use_file_lock else bucket_class


def _path_of(bucket_class: type[Any], ratelimit_path: str | os.PathLike[str] | None) -> Path | None:
    """Return the file of a store that has one: the one given, else its own one in the cache folder."""
    if not issubclass(bucket_class, (SQLiteSlots, SQLiteBucket)):
        return None
    if ratelimit_path is not None:
        return Path(ratelimit_path).expanduser().absolute()
    return rates_path().with_stem("ratelimit" if bucket_class is SQLiteSlots else "ratelimit-buckets")


def rates_path() -> Path:
    """Return the file in which the processes of a user share their rates."""
    return config.cache_dir().absolute() / "ratelimit.db"


def close_limiters() -> None:
    """Give back every file the limiters of this process hold; those still in use open them again."""
    for limiter in list(_LIMITERS.values()):
        limiter.close()


atexit.register(close_limiters)
