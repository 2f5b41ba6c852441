"""When a failed request is made again, as a table and with a clock that stands still."""

from typing import Any

import attrs
import pytest
from arrivals import ManualTime

from astrometry_client.errors import (
    InputError,
    LoginFailedException,
    MalformedReply,
    NotAvailable,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RateLimitExceeded,
    ReplyTimeout,
    ServerRefused,
    StaleSession,
    Unreachable,
)
from astrometry_client.session.retrying import (
    Retrying,
    RetryPolicy,
    backoff_s,
    may_repeat,
    next_wait_s,
    settled,
)

POLICY = RetryPolicy(max_retries=3, backoff_factor=1, overload_factor=5, backoff_max_s=60, retry_time_s=100)


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (Unreachable(), True, True),
        (MalformedReply(), True, False),
        (ReplyTimeout(), True, False),
        (Overloaded(status=429), True, False),
        (ServerRefused(status=502), True, False),
        (ServerRefused(status=400), False, False),
        (NotFound(status=404), False, False),
        (NotAvailable(status=500), False, False),
        (StaleSession(), False, False),
        (LoginFailedException(), False, False),
        (RateLimitExceeded(), False, False),
    ],
    ids=lambda value: value if isinstance(value, bool) else f"{type(value).__name__}-{value.status}",
)
def test_only_what_can_pass_is_repeated(error: Any, read: bool, write: bool) -> None:
    assert may_repeat(error, is_read=True) is read
    assert may_repeat(error, is_read=False) is write


@pytest.mark.parametrize(
    ("repeat", "jitter", "error", "expected_s"),
    [
        (1, 1.0, MalformedReply(), 2),
        (2, 1.0, MalformedReply(), 4),
        (3, 0.5, MalformedReply(), 4),
        (3, 0.0, MalformedReply(), 0),
        (9, 1.0, MalformedReply(), 60),
        (5000, 1.0, MalformedReply(), 60),
        (1, 0.0, Overloaded(), 5),
        (1, 1.0, Overloaded(), 10),
        (9, 0.0, Overloaded(), 30),
        (1, 0.0, Overloaded(retry_after_s=7.0), 7),
        (1, 1.0, Overloaded(retry_after_s=7.0), 8),
        (1, 0.0, Overloaded(retry_after_s=0.0), 0),
        (1, 0.0, Overloaded(retry_after_s=900.0), 900),
    ],
)
def test_back_off_grows_is_bounded_and_obeys_the_server(
    repeat: int, jitter: float, error: Any, expected_s: float
) -> None:
    assert backoff_s(repeat, error=error, policy=POLICY, jitter=jitter) == expected_s


@pytest.mark.parametrize(
    ("repeat", "elapsed_s", "error", "expected_s"),
    [
        (3, 0, MalformedReply(), 8),
        (4, 0, MalformedReply(), None),
        (1, 98, MalformedReply(), 2),
        (1, 99, MalformedReply(), None),
        (1, 0, Overloaded(retry_after_s=99.0), 100),
        (1, 0, Overloaded(retry_after_s=100.0), None),
    ],
)
def test_repeats_are_bounded_in_number_and_time(
    repeat: int, elapsed_s: float, error: Any, expected_s: float | None
) -> None:
    assert next_wait_s(repeat, elapsed_s=elapsed_s, error=error, policy=POLICY, jitter=1.0) == expected_s


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (MalformedReply(), True),
        (ReplyTimeout(), True),
        (ServerRefused(status=500), True),
        (ServerRefused(status=504), True),
        (Unreachable(), False),
        (RateLimitExceeded(), False),
        (Overloaded(status=503), False),
        (ServerRefused(status=400), False),
        (StaleSession(status=200), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else f"{type(value).__name__}-{value.status}",
)
def test_write_without_a_usable_answer_has_an_unknown_outcome(error: Any, unknown: bool) -> None:
    assert settled(error, is_read=True) is error
    final = settled(error, is_read=False)
    assert isinstance(final, OutcomeUnknown) is unknown
    assert final.__cause__ is error if unknown else final is error


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(RetryPolicy)])
def test_negative_bounds_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        RetryPolicy(**{name: -1})


def _loop(time: ManualTime) -> Retrying:
    return Retrying(policy=POLICY, sleep=time.sleep, clock=time.clock, chance=lambda: 1.0)


def _failing(*errors: Exception) -> Any:
    waiting = list(errors)

    def attempt() -> str:
        if waiting:
            raise waiting.pop(0)
        return "done"

    return attempt


def test_loop_returns_the_first_success() -> None:
    time = ManualTime()
    assert _loop(time)(_failing(MalformedReply(), ReplyTimeout()), is_read=True) == "done"
    assert time.slept == [2, 4]


def test_loop_raises_the_last_error_with_the_time_spent() -> None:
    time = ManualTime()
    errors = [MalformedReply(str(number)) for number in range(4)]
    with pytest.raises(MalformedReply, match="3") as raised:
        _loop(time)(_failing(*errors), is_read=True)
    assert raised.value.waited_s == 2 + 4 + 8


def test_overload_makes_everybody_wait_even_after_the_last_attempt() -> None:
    time, waits = ManualTime(), list[float]()
    errors = [Overloaded(retry_after_s=3.0), Overloaded(retry_after_s=500.0)]
    with pytest.raises(Overloaded) as raised:
        _loop(time)(_failing(*errors), is_read=True, back_off=waits.append)
    assert raised.value.retry_after_s == 500
    assert waits == [4, 501]


def test_overloaded_write_is_not_repeated_but_makes_everybody_wait() -> None:
    time, waits = ManualTime(), list[float]()
    with pytest.raises(Overloaded):
        _loop(time)(_failing(Overloaded()), is_read=False, back_off=waits.append)
    assert (waits, time.slept) == ([10], [])


def test_wait_for_the_first_slot_does_not_use_up_the_time() -> None:
    time = ManualTime()
    failing = _failing(MalformedReply())

    def attempt() -> object:
        time.now += 1000 if not time.slept else 0
        return failing()

    assert _loop(time)(attempt, is_read=True) == "done"


def test_interrupt_passes_at_once() -> None:
    time = ManualTime()
    with pytest.raises(KeyboardInterrupt):
        _loop(time)(_failing(KeyboardInterrupt()), is_read=True)  # type: ignore[arg-type]
    assert time.slept == []
