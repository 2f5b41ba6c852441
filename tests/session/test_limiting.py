import logging
import os
from pathlib import Path

import pytest
from pyrate_limiter import InMemoryBucket, MultiprocessBucket, PostgresBucket, RedisBucket, SQLiteBucket

from astrometry_client.errors import InputError
from astrometry_client.session.limiting import (
    BucketLimiter,
    FileLockSQLiteBucket,
    MemorySlots,
    RedisSlots,
    SlotLimiter,
    close_limiters,
    make_limiter,
)


def granted(limiter, name="nova") -> int:
    return sum(limiter.try_acquire(name, blocking=False) for _ in range(10))


def test_no_limit_needs_no_limiter():
    assert make_limiter() is None


def test_limits_are_checked_before_anything_is_opened(tmp_path):
    with pytest.raises(InputError, match="per_second=5"):
        make_limiter(per_second=5, per_minute=5, ratelimit_path=tmp_path / "r.db")
    assert not list(tmp_path.iterdir())


def test_the_same_limits_give_the_same_limiter(tmp_path):
    first = make_limiter(per_minute=5, ratelimit_path=tmp_path / "r.db")
    assert make_limiter(per_minute=5, ratelimit_path=str(tmp_path / "r.db")) is first
    assert make_limiter(per_minute=6, ratelimit_path=tmp_path / "r.db") is not first
    assert make_limiter(per_minute=5, ratelimit_path=tmp_path / "s.db") is not first
    assert make_limiter(per_minute=5, ratelimit_path=tmp_path / "r.db", on_wait=print) is not first


@pytest.mark.parametrize("bucket_class", [None, MemorySlots])
def test_limiters_of_different_limits_share_one_budget(bucket_class):
    chosen = {"bucket_class": bucket_class} if bucket_class else {}
    assert granted(make_limiter(per_minute=5, **chosen)) == 5
    assert granted(make_limiter(per_minute=6, on_wait=print, **chosen)) == 1


def test_the_default_file_lies_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETRY_CACHE_DIR", str(tmp_path / "cache"))
    assert granted(make_limiter(per_minute=5)) == 5
    assert (tmp_path / "cache" / "ratelimit.db").exists()


def test_a_path_may_start_at_home():
    make_limiter(per_minute=5, ratelimit_path="~/r.db").try_acquire("nova")
    assert (Path.home() / "r.db").exists()


def test_closing_gives_the_files_back_and_use_opens_them_again(tmp_path):
    limiter = make_limiter(per_minute=5, ratelimit_path=tmp_path / "r.db")
    assert granted(limiter) == 5
    assert (tmp_path / "r.db-wal").exists()
    close_limiters()
    assert not (tmp_path / "r.db-wal").exists()
    assert granted(limiter) == 0


@pytest.mark.parametrize(
    "bucket_class",
    [InMemoryBucket, SQLiteBucket, FileLockSQLiteBucket, MultiprocessBucket, MemorySlots],
)
def test_every_store_holds_the_limit_in_one_process(bucket_class, tmp_path):
    path = {"ratelimit_path": tmp_path / "r.db"} if issubclass(bucket_class, SQLiteBucket) else {}
    limiter = make_limiter(per_minute=5, bucket_class=bucket_class, **path)
    assert granted(limiter) == 5
    assert granted(limiter, "other") == 5
    assert (tmp_path / "r.db").exists() == bool(path)


@pytest.mark.parametrize(
    ("bucket_class", "needed"), [(RedisBucket, "redis"), (RedisSlots, "redis"), (PostgresBucket, "pool")]
)
def test_what_a_store_needs_is_asked_for(bucket_class, needed):
    with pytest.raises(InputError, match=f"{bucket_class.__name__} needs bucket_kwargs=.*{needed}"):
        make_limiter(per_minute=5, bucket_class=bucket_class)


@pytest.mark.parametrize("bucket_class", ["sqlite", dict, None])
def test_what_is_no_store_is_refused(bucket_class):
    with pytest.raises(InputError, match="bucket_class="):
        make_limiter(per_minute=5, bucket_class=bucket_class)


@pytest.mark.parametrize(
    ("bucket_class", "said"),
    [
        (InMemoryBucket, "within this process alone"),
        (MemorySlots, "within this process alone"),
        (SQLiteBucket, "exceed the limit"),
        (MultiprocessBucket, "after one was killed"),
    ],
)
def test_a_store_that_cannot_be_shared_says_so(bucket_class, said, caplog):
    make_limiter(per_minute=5, bucket_class=bucket_class, use_file_lock=False)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert said in caplog.text


def test_a_stock_bucket_whose_file_cannot_be_made_counts_in_memory(tmp_path, caplog):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "r.db"
    limiter = make_limiter(per_minute=5, bucket_class=FileLockSQLiteBucket, ratelimit_path=path)
    assert granted(limiter) == 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_lock_file_turns_the_sqlite_bucket_into_the_locked_one(tmp_path, caplog):
    limiter = make_limiter(per_minute=5, bucket_class=SQLiteBucket, ratelimit_path=tmp_path / "r.db")
    limiter.try_acquire("nova")
    assert isinstance(limiter.bucket_factory["nova"], FileLockSQLiteBucket)
    assert (tmp_path / "r.db.lock").exists()
    assert not caplog.records


def test_the_stores_of_slots_are_quiet(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    assert isinstance(make_limiter(per_minute=5, ratelimit_path=tmp_path / "r.db"), SlotLimiter)
    assert isinstance(make_limiter(per_minute=5, bucket_class=FileLockSQLiteBucket), BucketLimiter)
    assert not caplog.records


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_its_own_limiter_on_the_same_budget(tmp_path):
    limiter = make_limiter(per_minute=5, ratelimit_path=tmp_path / "r.db")
    assert [limiter.try_acquire("nova", blocking=False) for _ in range(3)] == [True] * 3
    child = os.fork()
    if child == 0:
        own = make_limiter(per_minute=5, ratelimit_path=tmp_path / "r.db")
        os._exit(granted(own) + 10 * (own is limiter))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert granted(limiter) == 0
