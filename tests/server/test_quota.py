"""The oldest results make room for new uploads; nothing unfinished goes."""

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import Api, OpenDatabase
from toy_engines import ENDLESS, SOLVED

from astrometry_client.server.accounts import Accounts
from astrometry_client.server.database import Database
from astrometry_client.server.files import FileStore, NoRoom
from astrometry_client.server.queue import Queue
from astrometry_client.server.quota import QuotaStore, is_wanted
from astrometry_client.server.records import Records
from astrometry_client.server.run import LocalServer
from astrometry_client.server.tasks import FoundImage, Solved

LIMIT_BYTES = 10_000
SOLVED_ALREADY = Solved({"ra": 1.0}, [], b"wcs")


@pytest.fixture
def database(open_database: OpenDatabase) -> Database:
    database = open_database()
    Accounts(database, session_s=1.0).new_key("someone")
    return database


@pytest.fixture
def store(database: Database, tmp_path: Path) -> QuotaStore:
    return QuotaStore(tmp_path / "files", database, limit_bytes=LIMIT_BYTES)


@pytest.fixture
def queue(database: Database, store: QuotaStore) -> Queue:
    return Queue(database, stored=store.holds)


Upload = Callable[..., int]


@pytest.fixture
def upload(queue: Queue, store: QuotaStore) -> Upload:
    def upload(content: bytes, *, ended: bool = True, field: bytes = b"") -> int:
        async def once() -> int:
            async with store.room(len(content)):
                with store.begin() as incoming:
                    incoming.write(content)
                    sha1 = incoming.keep().sha1
                    submission_id = queue.submit(1, sha1=sha1, filename="a", options={})
            if ended:
                task = queue.take_submission()
                assert task
                assert task.sha1
                queue.finish_reading(submission_id, [FoundImage(task.sha1, "a", store.store(field).sha1)])
                job = queue.take_job()
                assert job
                queue.solved(job.job_id, SOLVED_ALREADY)
            return submission_id

        return asyncio.run(once())

    return upload


def used_bytes(store: FileStore) -> int:
    return sum(path.stat().st_size for path in store.files())


def test_oldest_results_go_with_all_that_came_of_them(
    upload: Upload, store: QuotaStore, database: Database
) -> None:
    first, second, third = (upload(bytes([number]) * 4000, field=bytes([number])) for number in range(3))
    records = Records(database)
    assert records.submission(first) is None
    assert records.status(1) is None
    assert records.calibration(1) is None
    assert records.submission(second) is not None
    assert records.submission(third) is not None
    assert used_bytes(store) == 8002
    assert records.jobs_of(1) == [2, 3]


def test_ids_are_not_used_again(upload: Upload) -> None:
    ids = [upload(bytes([number]) * 6000) for number in range(4)]
    assert ids == [1, 2, 3, 4]


def test_unfinished_work_never_goes(upload: Upload, database: Database) -> None:
    unfinished = [upload(bytes([number]) * 4000, ended=False) for number in range(2)]
    with pytest.raises(NoRoom, match="there is no room for 4000 bytes"):
        upload(b"x" * 4000)
    assert all(Records(database).submission(submission_id) for submission_id in unfinished)
    upload(b"small")


def test_upload_larger_than_all_is_refused_and_removes_nothing(upload: Upload, store: QuotaStore) -> None:
    upload(b"x" * 4000)
    with pytest.raises(NoRoom):
        upload(b"y" * (LIMIT_BYTES + 1))
    assert used_bytes(store) == 4000


def test_file_that_others_refer_to_stays(upload: Upload, store: QuotaStore, database: Database) -> None:
    first, _ = upload(b"same" * 1000), upload(b"same" * 1000, ended=False)
    with pytest.raises(NoRoom):
        upload(b"x" * 6500)
    assert Records(database).submission(first) is None
    assert used_bytes(store) == 4000


def test_file_just_brought_anew_stays(upload: Upload, store: QuotaStore) -> None:
    upload(b"same" * 1000)
    with store.begin() as incoming:
        incoming.write(b"same" * 1000)
        sha1 = incoming.keep().sha1
        with pytest.raises(NoRoom):
            upload(b"x" * 9000)
        assert store.holds(sha1)


def test_room_promised_is_not_given_twice(store: QuotaStore) -> None:
    async def both() -> None:
        async with store.room(6000):
            with pytest.raises(NoRoom):
                async with store.room(6000):
                    pass
        async with store.room(6000):
            pass

    asyncio.run(both())


def test_start_removes_what_nothing_refers_to(upload: Upload, store: QuotaStore, database: Database) -> None:
    upload(b"kept", field=b"its field")
    left = store.store(b"left by a killed server").sha1
    with store.begin() as cut:
        cut.write(b"cut")
        FileStore.sweep(store, lambda sha1: is_wanted(database, sha1))
    assert not store.holds(left)
    assert used_bytes(store) == len(b"kept" + b"its field")


def test_server_that_is_full_says_so_and_goes_on(toy_dir: object) -> None:
    listed = "".join(f"{number} {number}\n" for number in range(1, SOLVED + 1))
    endless = "".join(f"{number} {number}\n" for number in range(1, ENDLESS + 1))
    with LocalServer(engine="toy_engines:toy", workers=2, quota_bytes=100_000) as server:
        api = Api.login(server.url, server.api_key)
        endless_id = api.upload(endless.encode())
        done = []
        for number in range(6):
            done.append(api.upload((listed + "# " + str(number) * 20_000).encode()))
            assert api.ended(done[-1]) == ["success"]
        files = sum(path.stat().st_size for path in (server.data_dir / "files").rglob("*") if path.is_file())
        assert files < 110_000
        assert api.get(f"api/submissions/{done[0]}").status_code == 404
        assert api.submission(endless_id)["processing_finished"] is not None
        refused = api.call("upload", {"session": api.session_key}, files={"file": ("a", b"x" * 200_000)})
        assert (refused.status_code, refused.json()["status"]) == (503, "error")
        assert "there is no room" in refused.json()["errormessage"]


@contextlib.contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Let processes started now write no larger files: what they see is a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_told_and_survived(toy_dir: object) -> None:
    with contextlib.ExitStack() as stack:
        with file_size_limit(2_000_000):
            server = stack.enter_context(LocalServer(engine="toy_engines:toy", workers=1))
        api = Api.login(server.url, server.api_key)
        refused = api.call("upload", {"session": api.session_key}, files={"file": ("a", b"x" * 3_000_000)})
        assert (refused.status_code, refused.json()["status"]) == (503, "error")
        assert "cannot be kept" in refused.json()["errormessage"]
        assert list((server.data_dir / "files" / "incoming").iterdir()) == []
        assert api.ended(api.upload_sources(SOLVED)) == ["success"]
        assert "Traceback" not in server.messages
