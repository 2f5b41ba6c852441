import itertools

import pytest
from arrivals import ManualTime, run_threads
from hypothesis import HealthCheck, given, settings
from pyrate_limiter import RedisBucket
from redis import Redis
from slot_steps import STEPS, WINDOWS, play

from astrometry_client.session.limiting import make_limiter
from astrometry_client.session.slots import StoreUnusable, Window
from astrometry_client.session.slots_memory import MemorySlots
from astrometry_client.session.slots_redis import RedisSlots

PREFIXES = (f"test-{number}:" for number in itertools.count())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_step_does_as_in_memory(redis_client, steps):
    times = ManualTime(), ManualTime()
    in_redis = RedisSlots(redis_client, prefix=next(PREFIXES), clock=times[0].clock)
    assert play(in_redis, steps, times[0]) == play(MemorySlots(clock=times[1].clock), steps, times[1])


def test_two_clients_share_one_budget(redis_client, redis_port):
    with Redis(port=redis_port) as other:
        first = RedisSlots(redis_client).reserve("nova", (Window(1, 60.0),), 1, 0)
        assert first is not None
        assert RedisSlots(other).reserve("nova", (Window(1, 60.0),), 1, 0) is None


def test_threads_never_get_the_same_slot(redis_client):
    store = RedisSlots(redis_client)
    numbers = []
    run_threads(
        lambda: numbers.extend(store.reserve("nova", WINDOWS, 1, 1e9).number for _ in range(50)), count=8
    )
    assert sorted(numbers) == list(range(1, 401))


def test_a_budget_leaves_redis_when_nothing_can_depend_on_it(redis_client):
    RedisSlots(redis_client, prefix="").reserve("nova", (Window(1, 60.0),), 1, 0)
    assert 60 < redis_client.ttl("nova") <= 62


def test_a_server_that_is_not_there_is_told():
    store = RedisSlots(Redis(port=1, socket_timeout=0.2))
    with pytest.raises(StoreUnusable, match="Redis"):
        store.reserve("nova", WINDOWS, 1, 0)


def test_a_key_of_another_kind_is_told(redis_client):
    redis_client.set("nova", "text")
    with pytest.raises(StoreUnusable, match="Redis"):
        RedisSlots(redis_client, prefix="").reserve("nova", WINDOWS, 1, 0)


def test_the_client_is_left_open_for_its_owner(redis_client):
    store = RedisSlots(redis_client)
    store.reserve("nova", WINDOWS, 1, 0)
    connections = redis_client.info("clients")["connected_clients"]
    store.close()
    assert redis_client.info("clients")["connected_clients"] == connections


@pytest.mark.parametrize("bucket_class", [RedisBucket, RedisSlots])
def test_redis_stores_hold_the_limit(bucket_class, redis_client, redis_port):
    # A client of its own, left open: the thread of a stock bucket uses it for a while after the end.
    own = Redis(port=redis_port, socket_timeout=5)
    limiter = make_limiter(per_minute=5, bucket_class=bucket_class, bucket_kwargs={"redis": own})
    assert [limiter.try_acquire("nova", blocking=False) for _ in range(6)] == [True] * 5 + [False]
    limiter.close()
