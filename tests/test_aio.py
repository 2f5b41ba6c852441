"""The async client: what is cancelled ends at once, what is closed leaves nothing behind."""

import ast
import asyncio
import contextlib
import inspect
import io
import random
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import live_server
import pytest
from faulty_server import Answer, Arrival, Fault, answer_json
from pyrate_limiter import Rate
from small_nova import SmallNova, ra_of

from astrometry_client import (
    AsyncClient,
    AsyncJob,
    AsyncSubmission,
    Client,
    ClientSession,
    Job,
    Ledger,
    Settings,
    Submission,
    flow,
)
from astrometry_client.aio.room import Room
from astrometry_client.errors import AstrometryError, InputError, StatusFailedException, UnreadableFileError
from astrometry_client.lanes import ROOM
from astrometry_client.ledger import Key, LedgerReader

PNG = b"\x89PNG\r\n\x1a\n"
DEADLINE_S = 20.0
QUEUED = answer_json(
    {"processing_started": "None", "processing_finished": "None", "jobs": [], "job_calibrations": []}
)


@pytest.fixture
def server() -> Iterator[SmallNova]:
    with SmallNova() as running:
        yield running


def images(folder: Path, *contents: bytes) -> list[Path]:
    paths = [folder / f"field{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(PNG + content)
    return paths


def looped(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


async def until(reached: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not reached():
            await asyncio.sleep(0.002)


async def cancelled(work: Awaitable[Any], when: Callable[[], object]) -> float:
    """Cancel a task when something is so, and return how long it took to leave."""
    task = asyncio.ensure_future(work)
    await until(when)
    begun_s = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - begun_s


def own_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(("async-", "ledger-"))]


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    own = list(inspect.signature(method).parameters.values())[1:]
    return [(one.name, one.kind, one.default) for one in own]


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("own", "other", "more"),
    [
        (Client, AsyncClient, {"authenticate", "session", "settings", "ledger"}),
        (Job, AsyncJob, {"id", "submission"}),
        (Submission, AsyncSubmission, {"id"}),
    ],
)
def test_surfaces_are_the_same(own: type, other: type, more: set[str]) -> None:
    assert public(other) == public(own) | more
    for name in public(own):
        sync, twin = (inspect.getattr_static(kind, name) for kind in (own, other))
        if isinstance(sync, property):
            assert isinstance(twin, property) or parameters(twin) == []
        else:
            assert parameters(twin) == parameters(sync), name
            assert inspect.getdoc(twin), name


def test_arguments_of_the_client_are_those_of_the_sync_one_and_a_few_more() -> None:
    own = dict(inspect.signature(Client).parameters)
    other = dict(inspect.signature(AsyncClient).parameters)
    del own["session"]
    assert set(other) == set(own) | {"additional_rate_limit", "cache_path", "on_wait"}
    assert all(other[name] == own[name] for name in own)


def test_nothing_async_is_imported_without_need() -> None:
    code = (
        "import sys; from astrometry_client import Client; Client('key', base_url='http://127.0.0.1:9');"
        "print([name for name in sys.modules if name.startswith('astrometry_client.aio')])"
    )
    assert ast.literal_eval(subprocess.check_output([sys.executable, "-c", code], text=True)) == []


@looped
async def test_solution_comes_under_the_name_of_its_file(server: SmallNova, tmp_path: Path) -> None:
    paths = images(tmp_path, *(b"%d" % number for number in range(10)))
    async with AsyncClient("key", base_url=server.url) as client:
        await client.authenticate()
        solutions = await asyncio.gather(*(client.solve(path) for path in paths))
    assert [solution.name for solution in solutions] == [path.name for path in paths]
    assert [solution.calibration.ra_deg for solution in solutions] == [
        ra_of(path.read_bytes()) for path in paths
    ]
    assert server.asked("/api/login") == 1


def test_client_serves_one_event_loop_after_the_other(server: SmallNova, tmp_path: Path) -> None:
    client = AsyncClient("key", base_url=server.url, ledger=Ledger(tmp_path / "ledger.sqlite"))

    async def solve(paths: list[Path]) -> list[str]:
        return [solution.name for solution in await asyncio.gather(*map(client.solve, paths))]

    for turn in (b"first", b"second"):
        paths = images(tmp_path, *(turn + b"%d" % number for number in range(8)))
        assert asyncio.run(solve(paths)) == [path.name for path in paths]
    asyncio.run(client.close())


def run_until_cancelled(first: Coroutine[Any, Any, None]) -> None:
    asyncio.run(first)


def run_and_forget(first: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(first)
    loop.close()


async def solved(client: AsyncClient, path: Path) -> None:
    await client.solve(path)


async def solved_in_batch(client: AsyncClient, path: Path) -> None:
    async for _ in client.solve_many([path]):
        pass


@pytest.mark.parametrize("run", [run_until_cancelled, run_and_forget])
@pytest.mark.parametrize("begin", [solved, solved_in_batch])
@pytest.mark.parametrize("reached", ["/api/upload", "/api/submissions/1"])
@pytest.mark.parametrize("goes_on", [False, True])
def test_what_a_closed_event_loop_left_undone_is_wound_up_in_the_next(
    server: SmallNova,
    tmp_path: Path,
    run: Callable[[Coroutine[Any, Any, None]], None],
    begin: Callable[[AsyncClient, Path], Coroutine[Any, Any, None]],
    reached: str,
    goes_on: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger, (path, other) = Ledger(tmp_path / "ledger.sqlite"), images(tmp_path, b"a", b"b")
    client = AsyncClient("key", base_url=server.url, ledger=ledger)
    server.responder = lambda arrival: (
        Answer(fault=Fault.HANG) if arrival.path == reached else server.answer(arrival)
    )

    async def first() -> None:
        task = asyncio.create_task(begin(client, path))
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # forgotten on purpose
        await until(lambda: server.asked(reached))

    async def then() -> None:
        async with asyncio.timeout(DEADLINE_S):
            if goes_on:
                await client.solve(other)
            await client.close()

    run(first())
    server.responder = server.answer
    asyncio.run(then())
    assert own_threads() == []
    assert LedgerReader(tmp_path / "ledger.sqlite").in_hand() == ()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("begin", [solved, solved_in_batch])
def test_client_in_use_in_one_event_loop_is_refused_in_another_until_that_has_ended(
    server: SmallNova,
    tmp_path: Path,
    begin: Callable[[AsyncClient, Path], Coroutine[Any, Any, None]],
) -> None:
    path, other = images(tmp_path, b"a", b"b")
    client = AsyncClient("key", base_url=server.url, ledger=Ledger(tmp_path / "ledger.sqlite"))
    server.responder = lambda arrival: (
        QUEUED if arrival.path.startswith("/api/submissions/") else server.answer(arrival)
    )

    async def refused() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await until(lambda: server.asked("/api/submissions/1"))
            with pytest.raises(InputError, match="for each"):
                await client.solve(other)
            with pytest.raises(InputError, match="for each"):
                await anext(client.solve_many([other]))
            with pytest.raises(InputError, match="for each"):
                await client.close()
            server.responder = server.answer

    async def then() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await client.solve(other)
            await client.close()

    thread = threading.Thread(target=asyncio.run, args=(begin(client, path),), daemon=True)
    thread.start()
    asyncio.run(refused())
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    asyncio.run(then())
    assert len(server.uploads) == 2
    assert own_threads() == []


@looped
async def test_those_in_line_have_their_turn_though_some_leave() -> None:
    line, came = Room(1), list[int]()

    async def come(number: int) -> None:
        async with line:
            came.append(number)
            await asyncio.sleep(0)

    async with line:
        tasks = [asyncio.create_task(come(number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[2].cancel()
    tasks[0].cancel()  # whose turn has just come
    await asyncio.gather(*tasks, return_exceptions=True)
    await come(4)
    assert came == [1, 3, 4]


@looped
async def test_job_and_submission_are_awaited(server: SmallNova, tmp_path: Path) -> None:
    (path, dark) = images(tmp_path, b"a", b"dark")
    async with AsyncClient("key", base_url=server.url) as client:
        job = await client.upload_file(path)
        assert isinstance(job, AsyncJob)
        assert (job.id, await job.success(), await job.status()) == (1, True, "success")
        assert await job.until_done(timeout=5) == "success"
        assert (await job.calibration()).ra_deg == ra_of(path.read_bytes())
        assert await job.tags() == ("M 1",)
        assert (await job.info()).original_filename == path.name
        assert (await job.wcs_file())["CRVAL1"] == ra_of(path.read_bytes())
        assert (await job.download("corr_file", tmp_path / "corr.fits")).exists()
        assert job.submission is not None
        assert job.submission.id == 1
        submission = client.submission(1)
        assert (await submission.until_done()).jobs == (1,)
        assert [found.id async for found in submission] == [1]
        assert [found.id for found in await submission.jobs()] == [1]
        assert not await (await client.upload_file(dark)).success()
        with pytest.raises(StatusFailedException):
            await client.job(2).calibration()
        found = {name: end async for end, name in client.upload_files_gen([path, dark])}
        assert [await found[path].success(), await found[dark].success()] == [True, False]


@looped
async def test_any_endpoint_is_asked(server: SmallNova) -> None:
    async with AsyncClient("key", base_url=server.url) as client:
        assert (await client.generic_request("myjobs"))["jobs"] == []
        lines = [line async for line in await client.generic_request("myjobs", iter_lines=True)]
        assert lines == ['{"jobs": [], "status": "success"}']
        server.default, server.responder = Answer(body=b"x" * 250_000), None
        chunks = [
            chunk async for chunk in await client.generic_request("joblog", job_id=1, iter_content=True)
        ]
        assert [len(chunk) for chunk in chunks] == [102_400, 102_400, 45_200]
        assert await client.get_predicates("upload") is await client.get_predicates("upload")
        with pytest.raises(InputError, match="jobz"):
            await client.generic_request("jobz")


@looped
async def test_bad_input_is_told_before_a_request(server: SmallNova) -> None:
    async with AsyncClient("key", base_url=server.url) as client:
        with pytest.raises(UnreadableFileError):
            await client.solve("nowhere.fits")
        with pytest.raises(InputError, match="max_unfinished"):
            await anext(client.solve_many([], max_unfinished=0))
    assert server.arrivals == []


def test_session_brought_along_takes_the_options_itself() -> None:
    with ClientSession() as session, pytest.raises(InputError, match="cache_path"):
        AsyncClient(client_session=session, cache_path="cache.sqlite")


@looped
async def test_replies_are_kept_where_the_caller_wants(server: SmallNova, tmp_path: Path) -> None:
    for _ in range(2):
        async with AsyncClient("key", base_url=server.url, cache_path=tmp_path / "cache.sqlite") as client:
            if not server.uploads:
                await client.solve(PNG)
            await client.generic_request("info", job_id=1)
    assert server.asked("/api/jobs/1/info") == 1


@looped
async def test_wait_for_the_rate_limit_is_told_in_the_loop(server: SmallNova) -> None:
    told: list[tuple[float, int]] = []

    def note(seconds: float) -> None:
        told.append((seconds, threading.get_ident()))

    with ClientSession(per_second=20, burst=1) as session:
        async with AsyncClient("key", base_url=server.url, client_session=session, on_wait=note) as client:
            await asyncio.gather(*(client.jobs_by_tag("a") for _ in range(3)))
    assert {thread for _, thread in told} == {threading.get_ident()}
    assert max(seconds for seconds, _ in told) <= 0.2


@looped
async def test_nothing_is_begun_while_a_result_is_kept(server: SmallNova, tmp_path: Path) -> None:
    paths = images(tmp_path, *(b"%d" % number for number in range(12)))
    async with AsyncClient("key", base_url=server.url) as client:
        results = client.solve_many(paths, max_unfinished=2)
        await anext(results)
        await until(lambda: not [one for one in threading.enumerate() if one.name == "busy"])
        begun = len(server.uploads)
        await asyncio.sleep(0.1)
        assert len(server.uploads) <= begun + 2
        assert len([result async for result in results]) == 11
    assert len(server.uploads) == 12


@looped
async def test_who_cancels_a_wait_for_a_slot_leaves_at_once(server: SmallNova) -> None:
    waits: list[float] = []
    async with AsyncClient(
        "key", base_url=server.url, additional_rate_limit=Rate(31, 3_600_000), on_wait=waits.append
    ) as client:
        asking = asyncio.gather(*(client.jobs_by_tag("a") for _ in range(3)))
        assert await cancelled(asking, lambda: waits) < 20
    assert len(server.arrivals) <= 1


@looped
async def test_who_cancels_a_wait_before_a_repeat_leaves_at_once(server: SmallNova) -> None:
    server.default, server.responder = Answer(status=503, headers={"Retry-After": "200"}), None
    async with AsyncClient("key", base_url=server.url) as client:
        asking = client.generic_request("job", job_id=1)
        assert await cancelled(asking, lambda: server.arrivals) < 20
    assert own_threads() == []


@looped
async def test_time_out_ends_a_request_to_a_silent_server(server: SmallNova) -> None:
    server.default, server.responder = Answer(fault=Fault.HANG), None
    begun_s = time.monotonic()
    async with AsyncClient("key", base_url=server.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.my_jobs()
    assert time.monotonic() - begun_s < 10
    assert own_threads() == []


class Gate(io.BytesIO):
    """A large image that stops being readable in its middle, once it is uploaded."""

    name = "field0.png"

    def __init__(self) -> None:
        super().__init__(PNG + bytes(8_000_000))
        self.closing = False
        self.reached, self.passed = threading.Event(), threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if self.closing and self.tell() > 4_000_000:
            self.reached.set()
            self.passed.wait(DEADLINE_S)
        return super().read(size)

    def shut(self, step: flow.Step) -> None:
        self.closing = step.stage == "uploading"


@looped
async def test_upload_is_broken_off_between_two_blocks_and_sent_once_later(
    server: SmallNova, tmp_path: Path
) -> None:
    ledger, image = Ledger(tmp_path / "ledger.sqlite"), Gate()
    async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
        assert await cancelled(client.solve(image, on_step=image.shut), image.reached.is_set) < 20
        image.passed.set()
    ((entry, _),) = ledger.entries()
    assert (entry.state, server.uploads) == ("waiting", [])
    async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
        await client.solve(image.getvalue())
    assert (len(server.uploads), server.asked("/api/myjobs")) == (1, 0)


@looped
async def test_large_file_that_is_read_holds_up_nobody_and_may_be_given_up(
    server: SmallNova, tmp_path: Path
) -> None:
    (path,), large = images(tmp_path, b"a"), Gate()
    large.closing = True
    server.responder = lambda arrival: (
        QUEUED if arrival.path.startswith("/api/submissions/") else server.answer(arrival)
    )
    async with AsyncClient("key", base_url=server.url, ledger=Ledger(tmp_path / "ledger.sqlite")) as client:
        solving = asyncio.ensure_future(client.solve(path))
        await until(lambda: server.uploads)
        reading = asyncio.ensure_future(client.solve(large))
        await until(large.reached.is_set)
        server.responder = server.answer
        assert (await solving).calibration.ra_deg == ra_of(path.read_bytes())
        assert await cancelled(reading, lambda: True) < 20
        large.passed.set()
    assert large.tell() < len(large.getvalue())
    assert len(server.uploads) == 1


@looped
async def test_upload_that_may_have_arrived_is_looked_up_and_not_sent_again(
    server: SmallNova, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, b"a")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    answered = threading.Event()

    def answer(arrival: Arrival) -> Answer:
        given = server.answer(arrival)
        if arrival.path == "/api/upload":
            answered.wait(DEADLINE_S)
        return given

    server.responder = answer
    async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
        await cancelled(client.solve(path), lambda: server.uploads)
    entry = ledger.entry(Key.of_file(path, Settings(), server=server.url))
    assert entry is not None
    assert entry.state == "sending"
    answered.set()
    async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
        assert (await client.solve(path)).calibration.ra_deg == ra_of(path.read_bytes())
    assert len(server.uploads) == 1


@looped
async def test_cancelled_batch_lets_go_of_its_images(server: SmallNova, tmp_path: Path) -> None:
    paths = images(tmp_path, *(b"%d" % number for number in range(8)))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    server.responder = lambda arrival: (
        answer_json(
            {"processing_started": "None", "processing_finished": "None", "jobs": [], "job_calibrations": []}
        )
        if arrival.path.startswith("/api/submissions/")
        else server.answer(arrival)
    )

    async def all_of(client: AsyncClient) -> list[Any]:
        return [result async for result in client.solve_many(paths)]

    async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
        assert await cancelled(all_of(client), lambda: len(server.uploads) == 8) < 20
        server.responder = server.answer
        assert all(result.solved for result in await all_of(client))
    assert len(server.uploads) == 8


@looped
async def test_steps_of_a_batch_are_told_in_the_event_loop(server: SmallNova, tmp_path: Path) -> None:
    told: list[tuple[Any, int]] = []
    paths = images(tmp_path, b"a", b"b")
    async with AsyncClient("key", base_url=server.url) as client:
        results = client.solve_many(paths, on_step=lambda path, _: told.append((path, threading.get_ident())))
        assert [result.solved async for result in results] == [True, True]
    assert {path for path, _ in told} == {*paths}
    assert {thread for _, thread in told} == {threading.get_ident()}


@looped
async def test_error_of_who_is_told_ends_the_batch(server: SmallNova, tmp_path: Path) -> None:
    def fail(path: Any, step: flow.Step) -> None:
        raise RuntimeError("the display is gone")

    async with AsyncClient("key", base_url=server.url) as client:
        with pytest.raises(RuntimeError, match="display"):
            await anext(client.solve_many(images(tmp_path, b"a", b"b"), on_step=fail))
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert own_threads() == []


@looped
async def test_nothing_goes_on_after_closing(server: SmallNova, tmp_path: Path) -> None:
    server.responder = lambda arrival: (
        Answer(fault=Fault.HANG) if arrival.path == "/api/upload" else server.answer(arrival)
    )
    paths = images(tmp_path, *(b"%d" % number for number in range(8)))
    client = AsyncClient("key", base_url=server.url, ledger=Ledger(tmp_path / "ledger.sqlite"))
    solving = asyncio.gather(*(client.solve(path) for path in paths), return_exceptions=True)
    results = client.solve_many(images(tmp_path, b"other"))
    waiting = asyncio.ensure_future(anext(results))
    await until(lambda: server.asked("/api/upload") == 4)
    await client.close()
    assert own_threads() == []
    assert all(isinstance(end, AstrometryError) for end in await solving)
    with pytest.raises(AstrometryError):
        await waiting
    with pytest.raises(InputError, match="closed"):
        await client.my_jobs()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await client.close()


@looped
async def test_batch_cut_short_by_closing_does_not_look_complete(server: SmallNova, tmp_path: Path) -> None:
    paths = images(tmp_path, b"a", b"b", b"c", b"d")
    async with AsyncClient("key", base_url=server.url) as client:
        results = client.solve_many(paths, max_unfinished=1)
        await anext(results)
    with pytest.raises(AstrometryError):
        await anext(results)


@looped
async def test_forgotten_client_is_told_of(server: SmallNova) -> None:
    clients = [AsyncClient("key", base_url=server.url)]
    await clients[0].my_jobs()
    with pytest.warns(ResourceWarning, match="never closed"):
        clients.clear()
    await until(lambda: own_threads() == [])


@looped
async def test_thousands_of_waiting_solves_take_few_threads(server: SmallNova) -> None:
    server.responder = lambda arrival: (
        QUEUED if arrival.path.startswith("/api/submissions/") else server.answer(arrival)
    )
    async with AsyncClient("key", base_url=server.url) as client:
        solving = [
            asyncio.ensure_future(client.solve_url(f"https://example.org/{number}.png"))
            for number in range(200)
        ]
        await until(lambda: len(server.uploads) == 200)
        assert len(own_threads()) <= sum(ROOM.values()) + 1 <= 11
        for task in solving:
            task.cancel()
        await asyncio.gather(*solving, return_exceptions=True)
    assert own_threads() == []


class SlowNova(SmallNova):
    """Takes its time, so that there are moments to cancel at."""

    def answer(self, arrival: Arrival) -> Answer:
        answer = super().answer(arrival)
        time.sleep(0.01)
        return answer


def opened() -> set[str]:
    """Return what this process has open, but for what comes and goes by itself."""
    links = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.add(str(entry.readlink()))
    return {link for link in links if not link.startswith(("/proc", "anon_inode"))}


async def work(client: AsyncClient, paths: list[Path], folder: Path) -> None:
    """Do a bit of everything."""

    async def batch() -> None:
        async for result in client.solve_many(paths, max_unfinished=6):
            if result.solution:
                await client.job(result.solution.job_id).download("corr_file", folder / f"{result.name}.fits")

    async def chunks() -> None:
        async for _ in await client.generic_request("jobs_by_tag", tag="a", iter_content=True):
            pass

    solves = (client.solve(path) for path in paths[:4])
    await asyncio.gather(batch(), chunks(), *solves, return_exceptions=True)


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_cancelled_at_any_moment_nothing_is_left_behind_and_nothing_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rounds: int
) -> None:
    chance = random.Random(rounds)
    paths = images(tmp_path, *(b"dark" * (number % 9 == 0) + b"%d" % number for number in range(24)))
    folders = [tmp_path / "results", tmp_path / "temporary"]
    for folder in folders:
        folder.mkdir()
    ledger = Ledger(tmp_path / "ledger.sqlite")

    async def in_part(wanted: int, delay_s: float) -> None:
        async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
            task = asyncio.ensure_future(work(client, paths, folders[0]))
            await until(lambda: task.done() or len(server.arrivals) >= wanted)
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert own_threads() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert list(folders[1].iterdir()) == []

    async def to_the_end() -> None:
        async with AsyncClient("key", base_url=server.url, ledger=ledger) as client:
            found = {Path(result.path): result async for result in client.solve_many(paths)}
        ledger.close()
        for path in paths:
            solution = found[path].solution
            ra_deg = solution and solution.calibration.ra_deg
            assert ra_deg == (None if b"dark" in path.read_bytes() else ra_of(path.read_bytes()))

    with SlowNova() as server:
        monkeypatch.setattr("tempfile.tempdir", str(folders[1]))
        before = opened()
        for _ in range(rounds):
            asyncio.run(in_part(len(server.arrivals) + chance.randint(0, 12), chance.random() * 0.03))
            ledger.close()
            # The server's ends of the connections close a moment later.
            live_server.until(opened, before.issuperset)
        asyncio.run(to_the_end())
    assert len(server.uploads) == len({upload.sha256 for upload in server.uploads}) == len(paths)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert {path.suffix for path in folders[0].iterdir()} <= {".fits"}
    assert {path.stat().st_size for path in folders[0].iterdir()} <= {8640}
