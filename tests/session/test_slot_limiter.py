import asyncio
import logging
import math

import pytest
import requests
from arrivals import ManualTime
from requests_ratelimiter import HostBucketFactory, LimiterSession

from astrometry_client.errors import InputError
from astrometry_client.session.slot_limiter import NAP_S, SlotLimiter
from astrometry_client.session.slots import StoreUnusable, Window
from astrometry_client.session.slots_memory import MemorySlots, process_slots

ONE_IN_TEN_SECONDS = (Window(1, 10.0),)
WAIT = pytest.approx(10.03)


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def limiter(time, waits) -> SlotLimiter:
    store = MemorySlots(clock=time.clock)
    return SlotLimiter(ONE_IN_TEN_SECONDS, store, on_wait=waits.append, sleep=time.sleep)


def test_a_wait_is_one_sleep_until_the_slot(limiter, time):
    assert [limiter.try_acquire("nova") for _ in range(3)] == [True] * 3
    assert time.slept == [WAIT, WAIT]


def test_a_wait_is_announced_once_when_it_begins(limiter, waits, caplog):
    caplog.set_level(logging.INFO)
    limiter.try_acquire("nova")
    assert waits == []
    limiter.try_acquire("nova")
    assert waits == [WAIT]
    assert [record.getMessage() for record in caplog.records] == ["Waiting 10.03 s for a free slot at nova"]


def test_a_long_wait_is_slept_in_pieces_and_announced_once(limiter, time, waits):
    limiter.penalize("nova", 200)
    assert limiter.try_acquire("nova")
    assert max(time.slept) == NAP_S
    assert sum(time.slept) == pytest.approx(200)
    assert waits == [pytest.approx(200)]


def test_a_pause_during_the_sleep_prolongs_the_wait_and_is_announced(limiter, time, waits):
    limiter.try_acquire("nova")
    start = time.now
    time.during_sleep = lambda: limiter.penalize("nova", 30)
    assert limiter.try_acquire("nova")
    assert time.now - start == pytest.approx(30)
    assert waits == [WAIT, pytest.approx(30 - 10.03)]


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_a_pause_of_no_length_is_none(limiter, time, seconds):
    limiter.penalize("nova", seconds)
    limiter.try_acquire("nova")
    assert time.slept == []


def test_a_slot_too_far_away_is_not_taken(limiter, time):
    limiter.try_acquire("nova")
    assert limiter.try_acquire("nova", timeout=5) is False
    assert limiter.try_acquire("nova", blocking=False) is False
    assert limiter.try_acquire("nova", timeout=0) is False
    assert time.slept == []
    assert limiter.try_acquire("nova", timeout=10.1)
    assert time.slept == [WAIT]


def test_a_pause_past_the_timeout_ends_the_wait(limiter, time):
    limiter.try_acquire("nova")
    time.during_sleep = lambda: limiter.penalize("nova", 3600)
    assert limiter.try_acquire("nova", timeout=30) is False
    assert time.slept == [WAIT]


def test_an_interrupted_wait_gives_its_slot_back(limiter, time):
    limiter.try_acquire("nova")

    def interrupt() -> None:
        raise KeyboardInterrupt

    time.during_sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        limiter.try_acquire("nova")
    time.slept.clear()
    assert limiter.try_acquire("nova")
    assert time.slept == [WAIT]


def test_a_failing_callback_gives_its_slot_back(limiter, time):
    limiter.try_acquire("nova")
    limiter.on_wait = lambda seconds: 1 / 0
    with pytest.raises(ZeroDivisionError):
        limiter.try_acquire("nova")
    limiter.on_wait = None
    limiter.try_acquire("nova")
    assert time.slept == [WAIT]


def test_nothing_to_send_takes_no_slot(limiter, time):
    assert limiter.try_acquire("nova", weight=0)
    assert limiter.try_acquire("nova")
    assert time.slept == []


def test_more_at_once_than_a_window_holds_is_never_possible(limiter):
    assert limiter.try_acquire("nova", weight=2) is False


@pytest.mark.parametrize("timeout", [-0.5, -2])
def test_a_negative_timeout_is_refused(limiter, timeout):
    with pytest.raises(InputError, match="timeout="):
        limiter.try_acquire("nova", timeout=timeout)


def test_the_event_loop_is_not_held_up(time):
    limiter = SlotLimiter((Window(1, 0.2),), MemorySlots())

    async def both() -> list[str]:
        order = []

        async def ticking() -> None:
            order.append("tick")
            await asyncio.sleep(0)
            order.append("tick")

        async def waiting() -> None:
            await limiter.try_acquire_async("nova")
            await limiter.try_acquire_async("nova")
            order.append("left")

        await asyncio.gather(waiting(), ticking())
        return order

    assert asyncio.run(both()) == ["tick", "tick", "left"]


def test_a_decorated_function_waits_too():
    calls = []
    fast = SlotLimiter((Window(1, 0.05),), MemorySlots())
    decorated = fast.as_decorator(name="nova")(lambda: calls.append(1))
    decorated()
    decorated()
    assert calls == [1, 1]


class Failing(MemorySlots):
    """A store whose file fails after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def change(self, name, act):
        self.steps -= 1
        if self.steps < 0:
            raise StoreUnusable("r.db: disk I/O error")
        return super().change(name, act)


def test_a_store_that_fails_is_replaced_by_memory_with_one_warning(caplog):
    limiter = SlotLimiter(ONE_IN_TEN_SECONDS, Failing(0))
    assert [limiter.try_acquire("nova", blocking=False) for _ in range(3)] == [True, False, False]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "r.db: disk I/O error" in caplog.text


def test_a_store_that_fails_during_a_wait_makes_the_waiter_queue_in_memory(time):
    process_slots()._clock = time.clock
    failing = Failing(2)
    failing._clock = time.clock
    limiter = SlotLimiter(ONE_IN_TEN_SECONDS, failing, sleep=time.sleep)
    assert process_slots().reserve("nova", ONE_IN_TEN_SECONDS, 1, 0)
    time.now += 5
    assert limiter.try_acquire("nova")
    assert limiter.try_acquire("nova")
    assert sum(time.slept) == pytest.approx(10.03)


def test_no_thread_is_started(limiter):
    import threading

    before = threading.enumerate()
    limiter.try_acquire("nova")
    limiter.bucket_factory["nova"]
    assert threading.enumerate() == before


def test_a_limiter_session_takes_it_as_it_is(limiter, time, httpserver, caplog):
    httpserver.expect_request("/").respond_with_data("fine")
    with LimiterSession(limiter=limiter) as session:
        for _ in range(3):
            session.get(httpserver.url_for("/"))
    assert isinstance(limiter.bucket_factory, HostBucketFactory)
    assert time.slept == [WAIT, WAIT]
    assert "WARNING" not in caplog.text


def test_a_limiter_session_gives_up_after_max_delay(limiter, httpserver):
    httpserver.expect_request("/").respond_with_data("fine")
    with LimiterSession(limiter=limiter, max_delay=5) as session:
        session.get(httpserver.url_for("/"))
        with pytest.raises(requests.Timeout):
            session.get(httpserver.url_for("/"))
    assert len(httpserver.log) == 1


def test_a_429_uses_up_what_is_free_now(time, httpserver):
    limiter = SlotLimiter((Window(5, 10.0),), MemorySlots(clock=time.clock), sleep=time.sleep)
    httpserver.expect_request("/").respond_with_data("slow down", status=429)
    with LimiterSession(limiter=limiter) as session:
        session.get(httpserver.url_for("/"))
        session.get(httpserver.url_for("/"))
    assert time.slept == [WAIT]
