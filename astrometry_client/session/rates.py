"""Rate limits as they are given, checked, and turned into sliding windows."""

import math
from collections.abc import Iterable
from numbers import Real

import attrs
from pyrate_limiter import Rate

from astrometry_client.errors import InputError
from astrometry_client.session.slots import Window


@attrs.frozen
class _Limit:
    """One limit as it was given, with its windows; the first one says what it is meant to allow."""

    given: str
    windows: tuple[Window, ...]


def windows_of(
    *,
    per_second: float | None = None,
    per_minute: float | None = None,
    per_day: float | None = None,
    burst: int | None = None,
    additional_rate_limit: Rate | Iterable[Rate] | None = None,
) -> tuple[Window, ...]:
    """Return the windows that hold every limit at once; none at all if no limit was given.

    Parameters
    ----------
    per_second, per_minute, per_day
        Most requests in any second, minute or day (sliding, not by the clock). A whole number may be used
        at once. Below 1 it is one request per so many seconds: 0.2 is one in any 5 s. Another fraction is
        kept on average and rounded up within its own window: 2.5 a second is never more than 3 in a second.
        None or 0 is no such limit; all zero is refused.
    burst
        Most requests at once, with `per_second` as their average: `burst` in any `burst / per_second`
        seconds. The default is `per_second` itself, or 1 if that is a fraction. 1 spaces them evenly. More
        than `per_second` lets a single second hold `burst`, after a pause.
    additional_rate_limit
        More windows, as `pyrate_limiter.Rate(limit, interval in milliseconds)`.

    Raises
    ------
    InputError
        A limit is not a number, or makes another one meaningless: a window that allows no more than a
        shorter one does hides the shorter one.
    """
    numbers = {"per_second": per_second, "per_minute": per_minute, "per_day": per_day}
    for name, value in numbers.items():
        _check_number(name, value)
    if burst is not None:
        _check_burst(burst, per_second)
    limits = [
        _limit(name, value, interval_s)
        for (name, value), interval_s in zip(numbers.items(), (1, 60, 86400), strict=True)
        if value
    ]
    if burst is not None and per_second:
        spread = Window(burst, burst / per_second)
        limits[0] = _Limit(f"burst={burst} with per_second={per_second}", (spread,))
    limits += _additional(additional_rate_limit)
    if not limits and any(value is not None for value in numbers.values()):
        raise InputError(_all_zero(numbers))
    _check_hidden(limits)
    return tuple(window for limit in limits for window in limit.windows)


def _limit(name: str, value: float, interval_s: float) -> _Limit:
    whole = math.floor(value)
    windows: tuple[Window, ...]
    if whole == value:
        windows = (Window(whole, interval_s),)
    elif whole == 0:
        windows = (Window(1, interval_s / value),)
    else:
        windows = (Window(whole, interval_s * whole / value), Window(whole + 1, interval_s))
    return _Limit(f"{name}={value}", windows)


def rates_of(given: Rate | Iterable[Rate] | None) -> list[Rate]:
    """Return one rate, or several, as a list."""
    return [given] if isinstance(given, Rate) else list(given or ())


def _additional(rates: Rate | Iterable[Rate] | None) -> list[_Limit]:
    return [
        _Limit(f"additional_rate_limit={rate!r}", (Window(rate.limit, rate.interval / 1000),))
        for rate in rates_of(rates)
    ]


def _check_number(name: str, value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise InputError(f"{name}={value!r} is no rate. Give a number above 0, or None for no such limit.")


def _check_burst(burst: int, per_second: float | None) -> None:
    if isinstance(burst, bool) or not isinstance(burst, int) or burst < 1:
        raise InputError(f"burst={burst!r} is no number of requests. Give a whole number from 1.")
    if not per_second:
        raise InputError(f"burst={burst} has nothing to spread. Give per_second too, or leave burst out.")


def _check_hidden(limits: list[_Limit]) -> None:
    """Refuse a limit that another one makes meaningless."""
    ordered = sorted(limits, key=lambda limit: (limit.windows[0].interval_s, -limit.windows[0].limit))
    for index, shorter in enumerate(ordered):
        for longer in ordered[index + 1 :]:
            if longer.windows[0].limit <= shorter.windows[0].limit:
                raise InputError(
                    f"{shorter.given} never matters beside {longer.given}: the longer window allows no more "
                    f"than the shorter one. Raise the longer one above {shorter.windows[0].limit}, or leave "
                    "one of them out (None)."
                )


def _all_zero(numbers: dict[str, float | None]) -> str:
    given = ", ".join(f"{name}={value}" for name, value in numbers.items() if value is not None)
    return f"{given} would allow no request at all. Give a number above 0, or None for no limit."
