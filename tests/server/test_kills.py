"""Whatever ends the server, nothing acknowledged is lost, and nothing is solved twice."""

import contextlib
import itertools
import random
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from live_server import Api, OpenDatabase, served, until
from toy_engines import SOLVED

from astrometry_client.server.accounts import Accounts
from astrometry_client.server.database import Database
from astrometry_client.server.queue import Queue
from astrometry_client.server.tasks import FoundImage, ReadTask, Solved, SolveTask

UPLOADS, KILLS, WORKERS = 100, 20, 2


def upload(api: Api, numbers: "itertools.count[int]", acknowledged: dict[int, int]) -> None:
    """Upload images, each with a number of its own, until the server is gone or has enough."""
    with contextlib.suppress(requests.ConnectionError):
        while len(acknowledged) < UPLOADS:
            number = next(numbers)
            listed = "".join(f"{x} {x}\n" for x in [*range(1, SOLVED), 1000 + number])
            acknowledged[api.upload(listed.encode())] = number


@pytest.mark.soak
def test_twenty_kills_lose_nothing_and_repeat_nothing(toy_dir: Path, tmp_path: Path) -> None:
    rng, numbers = random.Random(7), itertools.count()
    acknowledged: dict[int, int] = {}
    api_key = None
    options = {"engine": "toy_engines:slow", "workers": WORKERS}
    for _ in range(KILLS):
        with (
            served(tmp_path / "data", **options) as (process, url, new_key),
            ThreadPoolExecutor(4) as threads,
        ):
            api_key = api_key or new_key
            assert api_key
            api = Api.login(url, api_key)
            for _ in range(2):
                threads.submit(upload, api, numbers, acknowledged)
            threading.Event().wait(rng.uniform(0.0, 0.5))
            process.kill()
    with served(tmp_path / "data", **options) as (_, url, _no_key):
        assert api_key
        api = Api.login(url, api_key)
        upload(api, numbers, acknowledged)
        assert [api.ended(submission_id) for submission_id in acknowledged] == [["success"]] * len(
            acknowledged
        )
        jobs = api.call("myjobs", {"session": api.session_key}).json()["jobs"]
        until(lambda: {api.status(job) for job in jobs}, lambda states: states == {"success"})
    runs = [
        len((toy_dir / f"solved {1000 + number}").read_text().split()) for number in acknowledged.values()
    ]
    database = sqlite3.connect(tmp_path / "data" / "server.sqlite")
    results, images = (
        database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("calibrations", "images")
    )
    database.close()
    print(f"{len(acknowledged)} uploads, {images} images, {sum(runs) - len(runs)} solves cut and repeated")
    assert len(acknowledged) >= UPLOADS
    assert results == images == len(set(jobs)) >= len(acknowledged)
    assert sum(runs) - len(runs) <= KILLS * WORKERS


def work_on(database: Database) -> None:
    """Leave submissions and jobs in all states."""
    Accounts(database, session_s=1.0).new_key("someone")
    queue = Queue(database)
    for number in range(30):
        queue.submit(1, sha1="abc", filename=str(number), options={})
        task = queue.take() if number % 3 else None
        if isinstance(task, ReadTask):
            queue.finish_reading(task.submission_id, [FoundImage("abc", "a", "field")])
        elif isinstance(task, SolveTask):
            queue.solved(task.job_id, Solved({"ra": 1.0}, [], b"wcs"))


@pytest.mark.parametrize("garbage", [False, True], ids=["cut", "overwritten"])
def test_damaged_log_loses_its_end_and_nothing_else(
    open_database: OpenDatabase, tmp_path: Path, *, garbage: bool
) -> None:
    """A power cut may leave any beginning of the write-ahead log, and anything after it."""
    work_on(open_database())
    whole = (tmp_path / "server.sqlite-wal").read_bytes()
    rng, found = random.Random(3), []
    for cut in sorted([0, len(whole), *rng.sample(range(len(whole)), 30)]):
        place = tmp_path / f"cut at {cut}"
        place.mkdir()
        shutil.copy(tmp_path / "server.sqlite", place)
        rest = rng.randbytes(len(whole) - cut) if garbage else b""
        (place / "server.sqlite-wal").write_bytes(whole[:cut] + rest)
        database = Database(place / "server.sqlite")
        assert [row[0] for row in database.rows("PRAGMA integrity_check")] == ["ok"]
        ids = [row["id"] for row in database.rows("SELECT id FROM submissions ORDER BY id")]
        assert ids == list(range(1, len(ids) + 1))
        found.append(len(ids))
        queue = Queue(database)
        queue.recover()
        taken = list(iter(queue.take, None))
        assert len(set(taken_names(taken))) == len(taken)
        database.close()
    assert found == sorted(found)
    assert found[-1] == 30


def taken_names(tasks: list[ReadTask | SolveTask]) -> list[str]:
    return [
        f"submission {task.submission_id}" if isinstance(task, ReadTask) else f"job {task.job_id}"
        for task in tasks
    ]
