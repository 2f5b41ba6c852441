import logging

import pytest
from arrivals import ManualTime
from pyrate_limiter import InMemoryBucket, SQLiteBucket

from astrometry_client.session.slots import Window
from astrometry_client.session.stock_limiter import BucketLimiter, stock_rates

FIVE_A_MINUTE = (Window(5, 60.0),)


def limiter_on(bucket_class=InMemoryBucket, kwargs=None, windows=FIVE_A_MINUTE, **given) -> BucketLimiter:
    return BucketLimiter(windows, bucket_class, kwargs or {}, **given)


@pytest.mark.parametrize(
    ("windows", "rates"),
    [
        ([(5, 1.0)], [(5, 1000)]),
        ([(60, 60.0), (1, 1.0)], [(1, 1000), (60, 60_000)]),
        ([(1, 1.0), (120, 60.0)], [(1, 1000)]),
        ([(1, 1 / 3)], [(1, 334)]),
        ([(1, 0.0001)], [(1, 1)]),
    ],
)
def test_windows_become_rates_the_buckets_accept(windows, rates):
    made = stock_rates(tuple(Window(*window) for window in windows))
    assert [(rate.limit, rate.interval) for rate in made] == rates


def test_a_pause_holds_up_everybody_in_the_process():
    time = ManualTime()
    waits = []
    limiter = limiter_on(clock=time.clock, sleep=time.sleep, on_wait=waits.append)
    limiter.penalize("nova", 30)
    assert limiter.try_acquire("nova", blocking=False) is False
    assert limiter.try_acquire("nova", timeout=29) is False
    assert limiter.try_acquire("other")
    assert time.slept == []
    assert limiter.try_acquire("nova", timeout=31)
    assert time.slept == waits == [30]
    limiter.close()


def test_a_wait_for_room_is_announced(caplog):
    caplog.set_level(logging.INFO)
    waits = []
    limiter = limiter_on(windows=(Window(1, 0.1),), on_wait=waits.append)
    limiter.try_acquire("nova")
    assert limiter.try_acquire("nova", timeout=5)
    assert waits == [pytest.approx(0.1, abs=0.01)]
    assert "for room at nova" in caplog.text
    limiter.close()


def test_a_bucket_without_room_is_not_waited_for_longer_than_allowed():
    limiter = limiter_on()
    assert [limiter.try_acquire("nova", blocking=False) for _ in range(6)] == [True] * 5 + [False]
    assert limiter.try_acquire("nova", timeout=0.01) is False
    limiter.close()


def test_a_database_that_fails_is_replaced_by_memory_with_one_warning(tmp_path, caplog):
    path = tmp_path / "r.db"
    path.write_text("text\n" * 1000)
    limiter = limiter_on(SQLiteBucket, {"path": path})
    caplog.clear()
    assert [limiter.try_acquire("nova", blocking=False) for _ in range(6)] == [True] * 5 + [False]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert path.read_text().startswith("text")
    limiter.penalize("nova", 60)
    assert limiter.try_acquire("nova", timeout=59) is False
    limiter.close()
