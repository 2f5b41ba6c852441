from pathlib import Path

import pytest
from pyrate_limiter import Rate, RateItem

from astrometry_client.session.file_lock_bucket import FileLockSQLiteBucket


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.db"


def put(bucket: FileLockSQLiteBucket) -> bool:
    return bool(bucket.put(RateItem("nova", bucket.now())))


def test_a_lock_file_guards_the_database(path):
    with FileLockSQLiteBucket.init_from_file([Rate(1, 60_000)], db_path=str(path)) as bucket:
        assert bucket.limiter_lock() is not None
        assert put(bucket)
    assert path.with_name("r.db.lock").exists()


def test_two_buckets_on_one_file_share_the_limit(path):
    with (
        FileLockSQLiteBucket.init_from_file([Rate(1, 60_000)], db_path=str(path)) as first,
        FileLockSQLiteBucket.init_from_file([Rate(1, 60_000)], db_path=str(path)) as second,
    ):
        assert [put(first), put(second)] == [True, False]
