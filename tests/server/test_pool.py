"""Workers go on, whatever one image does."""

import asyncio
from pathlib import Path

from live_server import OpenDatabase

from astrometry_client.server.accounts import Accounts
from astrometry_client.server.pool import Pool
from astrometry_client.server.queue import Queue
from astrometry_client.server.records import Records
from astrometry_client.server.settings import ServerSettings
from astrometry_client.server.tasks import Found, FoundImage, MakeTask, ReadTask, Work
from astrometry_client.server.workers import Result, Worker

UNKEEPABLE = "\ud800"


class Reader(Worker):
    """Finds one image in every submission; the name of the first one cannot be kept."""

    async def start(self) -> None:
        pass

    async def do(self, task: Work | MakeTask) -> Result:
        assert isinstance(task, ReadTask)
        name = UNKEEPABLE if task.submission_id == 1 else task.filename
        return Found([FoundImage("abc", name, "field")])


def test_work_that_cannot_be_noted_fails_alone(open_database: OpenDatabase, tmp_path: Path) -> None:
    database = open_database()
    Accounts(database, session_s=1.0).new_key("someone")
    queue, records = Queue(database), Records(database)
    odd, good = (queue.submit(1, sha1="abc", filename="a", options={}) for _ in range(2))

    def seen(submission_id: int) -> dict[str, object]:
        return records.submission(submission_id) or {}

    async def work() -> None:
        all_done = asyncio.Event()

        async def done() -> None:
            if "None" not in [seen(number)["processing_finished"] for number in (odd, good)]:
                all_done.set()

        reader = Reader(ServerSettings(data_dir=tmp_path))
        async with Pool(queue, [reader], eager=False, take=queue.take_submission, done=done).working():
            await asyncio.wait_for(all_done.wait(), timeout=20.0)

    asyncio.run(work())
    assert seen(odd)["error_message"] == "this server cannot deal with it"
    assert "error_message" not in seen(good)
    assert seen(good)["images"] == [1]
