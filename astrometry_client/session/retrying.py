"""When a failed request is made again: the decisions, and the one loop that carries them out."""

import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from astrometry_client.config import DEFAULTS
from astrometry_client.errors import (
    InputError,
    NoUsableReply,
    OutcomeUnknown,
    Overloaded,
    RateLimitExceeded,
    ServerRefused,
    Unreachable,
)
from astrometry_client.session.interrupting import pause
from astrometry_client.session.replies import is_transient

__all__ = ["RetryPolicy", "Retrying", "may_repeat", "next_wait_s", "settled"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
Failure = NoUsableReply | ServerRefused

_NEVER_LEFT = (Unreachable, RateLimitExceeded)

_GATEWAY_STATUSES = frozenset({500, 502, 504, 520, 521, 522, 523, 524})
"""What a broken server or a proxy says without knowing whether the request was carried out."""


def _not_negative(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not value >= 0:
        raise InputError(f"{attribute.name}={value!r} is not allowed: give 0 or more.")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how long a failed read is made again.

    Parameters
    ----------
    max_retries
        Repeats after the first attempt, 0 or more.
    backoff_factor
        Seconds; the n-th repeat waits up to `backoff_factor * 2**n`.
    overload_factor
        The same after the server asked to be left alone without saying for how long.
    backoff_max_s
        Longest wait, unless the server names a longer one.
    retry_time_s
        No repeat starts later than this after the first failure.
    """

    max_retries: int = attrs.field(default=DEFAULTS.max_retries, validator=_not_negative)
    backoff_factor: float = attrs.field(default=DEFAULTS.backoff_factor, validator=_not_negative)
    overload_factor: float = attrs.field(default=DEFAULTS.overload_factor, validator=_not_negative)
    backoff_max_s: float = attrs.field(default=DEFAULTS.backoff_max_s, validator=_not_negative)
    retry_time_s: float = attrs.field(default=DEFAULTS.retry_time_s, validator=_not_negative)


def may_repeat(error: Failure, *, is_read: bool) -> bool:
    """Return whether a request may be made again after this failure.

    A read may if the failure can pass. A write may only if the connection never opened.
    """
    return is_transient(error) if is_read else isinstance(error, Unreachable)


def backoff_s(repeat: int, *, error: Failure, policy: RetryPolicy, jitter: float) -> float:
    """Return the seconds to stay away before the `repeat`-th repeat (the first is 1).

    Parameters
    ----------
    jitter
        A random number from 0 to 1. An ordinary failure waits that share of the back-off; after an
        overload at least half of it is waited, and never less than the server asked for.
    """
    # The exponent is bounded because 2.0**1100 overflows.
    doubled = 2.0 ** min(repeat, 60)
    if not isinstance(error, Overloaded):
        return jitter * min(policy.backoff_max_s, policy.backoff_factor * doubled)
    ceiling_s = min(policy.backoff_max_s, policy.overload_factor * doubled)
    if error.retry_after_s is None:
        return ceiling_s * (1 + jitter) / 2
    return error.retry_after_s + jitter * min(policy.backoff_max_s, policy.backoff_factor)


def next_wait_s(
    repeat: int, *, elapsed_s: float, error: Failure, policy: RetryPolicy, jitter: float
) -> float | None:
    """Return the seconds to wait before the `repeat`-th repeat, `None` if there must be none.

    Parameters
    ----------
    elapsed_s
        Seconds since the first failure; the wait for a first free slot does not count.
    """
    if repeat > policy.max_retries:
        return None
    wait_s = backoff_s(repeat, error=error, policy=policy, jitter=jitter)
    return wait_s if elapsed_s + wait_s <= policy.retry_time_s else None


def settled(error: Failure, *, is_read: bool) -> Failure:
    """Return the error to raise at last: a write whose answer got lost has an unknown outcome."""
    lost = isinstance(error, NoUsableReply) or error.status in _GATEWAY_STATUSES
    if is_read or not lost or isinstance(error, _NEVER_LEFT):
        return error
    unknown = OutcomeUnknown(
        f"The request to {error.url} left, but no usable answer came back: look whether it was carried out "
        "before sending it again.",
        url=error.url,
        status=error.status,
        server_message=error.server_message,
        waited_s=error.waited_s,
        request=error.request,
        response=error.response,
    )
    unknown.__cause__ = error
    return unknown


def _nobody(_seconds: float) -> None:
    """Stand in where no budget is shared."""


@attrs.frozen(kw_only=True)
class Retrying:
    """The loop: attempt, decide, wait, attempt again. Clock, sleep and chance can be replaced.

    Parameters
    ----------
    policy
        The bounds.
    sleep, clock, chance
        Wait for seconds; seconds on a clock that never steps back; a number from 0 to 1.
    """

    policy: RetryPolicy = attrs.field(factory=RetryPolicy)
    sleep: Callable[[float], object] = pause
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def __call__(
        self,
        attempt: Callable[[], T],
        *,
        is_read: bool,
        back_off: Callable[[float], object] = _nobody,
    ) -> T:
        """Return what `attempt` returns, repeating it within bounds.

        Parameters
        ----------
        attempt
            Makes the request once; raises `NoUsableReply` or `ServerRefused` when it failed.
        is_read
            Whether repeating it changes nothing at the server.
        back_off
            Called with seconds when the server asked to be left alone, so that everybody waits.
        """
        started_s = self.clock()
        failed_s = None
        for repeat in itertools.count(1):
            try:
                return attempt()
            except (NoUsableReply, ServerRefused) as error:
                now_s = self.clock()
                failed_s = now_s if failed_s is None else failed_s
                error.waited_s = now_s - started_s
                wait_s = self._wait_s(error, repeat, now_s - failed_s, is_read, back_off)
                if wait_s is None:
                    last = settled(error, is_read=is_read)
                    if last is error:
                        raise
                    raise last from error
                logger.info("Repeat %d in %.1f s: %s", repeat, wait_s, error)
            self.sleep(wait_s)
        raise AssertionError("unreachable")

    def _wait_s(
        self,
        error: Failure,
        repeat: int,
        elapsed_s: float,
        is_read: bool,
        back_off: Callable[[float], object],
    ) -> float | None:
        jitter = self.chance()
        if isinstance(error, Overloaded):
            back_off(backoff_s(repeat, error=error, policy=self.policy, jitter=jitter))
        if not may_repeat(error, is_read=is_read):
            return None
        return next_wait_s(repeat, elapsed_s=elapsed_s, error=error, policy=self.policy, jitter=jitter)
