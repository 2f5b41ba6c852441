"""A `pyrate_limiter.Limiter` that lets requests leave one by one, each in its own slot."""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from pyrate_limiter import AbstractBucket, Limiter, Rate, RateItem
from requests_ratelimiter.buckets import HostBucketFactory

from astrometry_client.errors import InputError
from astrometry_client.session.interrupting import pause, tell_of_wait
from astrometry_client.session.slots import Slot, SlotStore, StoreUnusable, Window
from astrometry_client.session.slots_memory import process_slots

logger = logging.getLogger(__name__)

NAP_S: Final = 60.0
"""Longest sleep in one piece: a clock that was set, or a file that was replaced, is noticed after it."""

POLL_MS: Final = 10
"""Milliseconds between two looks of `as_decorator`, which knows buckets only."""

Result = TypeVar("Result")
OnWait = Callable[[float], None]


class SlotLimiter(Limiter):
    """Let requests leave one by one, each in its own slot, under every window at once.

    Taking a slot is one step in the store, followed by one sleep until the slot. Slots are handed out in
    order, so nobody starves. There are no helper threads. Safe to share between threads, and to keep
    across a fork.

    Parameters
    ----------
    windows
        What must hold, all at once.
    store
        Where the slots are kept. If it fails, one warning is logged and the same windows are kept in memory.
    on_wait
        Called with the seconds a wait is going to take, when it begins or is prolonged.
    sleep
        Replaces the interruptible sleep in tests.
    """

    def __init__(
        self,
        windows: tuple[Window, ...],
        store: SlotStore,
        *,
        on_wait: OnWait | None = None,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        super().__init__(_SlotBuckets(self), buffer_ms=0)
        self.windows = windows
        self.on_wait = on_wait
        self._store = store
        self._sleep = sleep

    def try_acquire(
        self, name: str = "pyrate", weight: int = 1, blocking: bool = True, timeout: float = -1
    ) -> bool:
        """Wait for a slot and return True; return False, and take none, if it is too far away.

        Parameters
        ----------
        name
            Whose budget: the server's host and port.
        weight
            Requests that leave together. More than the smallest window allows is never possible: False.
        blocking
            False: take a slot only if one is free now.
        timeout
            Longest wait in seconds; -1 waits as long as it takes.
        """
        if timeout < 0 and timeout != -1:
            raise InputError(f"timeout={timeout} is no time to wait. Give seconds from 0, or -1 for any.")
        if weight == 0:
            return True
        if weight > min(window.limit for window in self.windows):
            return False
        max_wait_s = 0.0 if not blocking else math.inf if timeout == -1 else timeout
        return self._wait(name, lambda store: store.reserve(name, self.windows, weight, max_wait_s))

    async def try_acquire_async(
        self, name: str = "pyrate", weight: int = 1, blocking: bool = True, timeout: float = -1
    ) -> bool:
        """Do as `try_acquire` without holding up the event loop."""
        return await asyncio.to_thread(self.try_acquire, name, weight, blocking, timeout)

    def penalize(self, name: str, seconds: float) -> None:
        """Let nobody send to `name` for so many seconds from now, those already waiting included."""
        if not seconds > 0:
            return
        logger.info("No request to %s for %.1f s", name, seconds)
        self._on_store(lambda store: store.penalize(name, seconds))

    def close(self) -> None:
        """Give the store's files back. Whoever still uses this limiter opens them again."""
        self._store.close()

    def _wait(self, name: str, reserve: Callable[[SlotStore], Slot | None]) -> bool:
        store, slot = self._on_store(reserve)
        announced = -math.inf
        try:
            while slot is not None and slot.wait_s > 0:
                if slot.at > announced:
                    announced = slot.at
                    self._announce(name, slot.wait_s)
                self._sleep(min(slot.wait_s, NAP_S))
                store, slot = self._on_store(partial(self._look_again, name, store, slot))
        except BaseException:
            if slot is not None:
                with suppress(StoreUnusable):
                    store.give_back(name, slot)
            raise
        return slot is not None

    def _look_again(self, name: str, taken_from: SlotStore, slot: Slot, store: SlotStore) -> Slot | None:
        if store is taken_from:
            return store.confirm(name, self.windows, slot)
        return store.reserve(name, self.windows, slot.weight, slot.latest - slot.now)

    def _announce(self, name: str, wait_s: float) -> None:
        logger.info("Waiting %.2f s for a free slot at %s", wait_s, name)
        if self.on_wait is not None:
            self.on_wait(wait_s)
        tell_of_wait(wait_s)

    def _on_store(self, step: Callable[[SlotStore], Result]) -> tuple[SlotStore, Result]:
        store = self._store
        try:
            return store, step(store)
        except StoreUnusable as error:
            if self._store is store:
                self._store = process_slots()
                logger.warning(
                    "Rates are kept in memory, for this process alone: %s. Remove or repair it, or give "
                    "another ratelimit_path.",
                    error,
                )
        return self._store, step(self._store)


class _SlotBuckets(HostBucketFactory):
    """What `LimiterMixin` and the rest of `Limiter` need to find beside the limiter: one bucket per host."""

    def __init__(self, limiter: SlotLimiter) -> None:
        super().__init__(rates=[])
        self._limiter = limiter

    def get(self, item: RateItem) -> AbstractBucket:
        """Return the bucket of a host, with no leaking thread behind it."""
        if item.name not in self.buckets:
            self.buckets[item.name] = _SlotBucket(self._limiter, item.name)
        return self.buckets[item.name]


class _SlotBucket(AbstractBucket):
    """The slots of one host as a bucket: an item fits if a slot is free now."""

    is_async = False

    def __init__(self, limiter: SlotLimiter, name: str) -> None:
        self._limiter = limiter
        self._name = name
        self._rates = [
            Rate(window.limit, max(1, round(window.interval_s * 1000))) for window in limiter.windows
        ]
        self.failing_rate = self._rates[0]

    @property
    def rates(self) -> list[Rate]:
        return self._rates

    @rates.setter
    def rates(self, value: list[Rate]) -> None:
        self._rates = value

    def put(self, item: RateItem) -> bool:
        return self._limiter.try_acquire(self._name, item.weight, blocking=False)

    def waiting(self, item: RateItem) -> int:
        return POLL_MS if item.weight <= min(rate.limit for rate in self.rates) else -1

    def leak(self, current_timestamp: int | None = None) -> int:  # noqa: ARG002 - the store forgets by itself
        return 0

    def flush(self) -> None:
        raise NotImplementedError

    def count(self) -> int:
        raise NotImplementedError

    def peek(self, index: int) -> RateItem | None:
        raise NotImplementedError
