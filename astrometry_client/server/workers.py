"""The worker processes: started, given work, stopped when they take too long, replaced when they die."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs

from astrometry_client.errors import InputError

from .queue import FoundImage, MakeTask, Queue, ReadTask, Solved, SolveTask
from .settings import ServerSettings

_T = TypeVar("_T")
Result = list[FoundImage] | Solved | Path | str

KINDS = {ReadTask: "read", SolveTask: "solve", MakeTask: "make"}
"""What a task is called on its way to a worker."""

_log = logging.getLogger(__name__)

REPLY_BYTES = 64 << 20
"""Longest reply of a worker: a crowded field has some thousand annotations of 200 bytes."""

PAUSE_S = 1.0
"""Wait after trouble with the disk or the memory, before the next try."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A worker keeps one core busy; numerical libraries would take all of them."""


class WorkerDied(Exception):
    """The process ended while it worked."""


class Worker:
    """One worker process at a time."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Make sure that there is a process ready for work.

        Raises
        ------
        InputError
            With these settings no work can be done.
        WorkerDied
            It ended while it started.
        """
        if self._process and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "astrometry_client.server.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=REPLY_BYTES,
            env={**os.environ, **ONE_THREAD},
        )
        hello = await self._ask(attrs.asdict(self._settings))
        if "refused" in hello:
            await self.stop()
            raise InputError(hello["refused"])

    async def do(self, task: ReadTask | SolveTask | MakeTask) -> Result:
        """Return what the process found out, or in words why nothing.

        Raises
        ------
        WorkerDied
            It ended instead of answering, or its answer makes no sense.
        TimeoutError
            It took longer than its limit, and was stopped.
        """
        async with asyncio.timeout(self.limit_s(task)):
            return understand(await self._ask({KINDS[type(task)]: attrs.asdict(task)}))

    def limit_s(self, task: ReadTask | SolveTask | MakeTask) -> float:
        """Return how long this task may take."""
        limit: float = getattr(self._settings, f"{KINDS[type(task)]}_timeout_s")
        return limit

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and return the answer; without one the process is stopped."""
        process = cast(asyncio.subprocess.Process, self._process)
        try:
            return await _exchange(process, message)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the process and everything it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _exchange(process: asyncio.subprocess.Process, message: dict[str, Any]) -> dict[str, Any]:
    said = cast(asyncio.StreamWriter, process.stdin)
    heard = cast(asyncio.StreamReader, process.stdout)
    try:
        said.write(json.dumps(message, default=str).encode() + b"\n")
        await said.drain()
        line = await heard.readline()
        reply: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    except (ConnectionError, ValueError) as error:
        raise WorkerDied(f"the worker cannot be understood ({error})") from error
    if not reply:
        raise WorkerDied(f"the worker ended (status {await process.wait()})")
    return reply


def understand(reply: dict[str, Any]) -> Result:
    """Return what a worker says in its reply; raises `WorkerDied` if that makes no sense."""
    try:
        if "images" in reply:
            return [FoundImage(**image) for image in reply["images"]]
        if "wcs" in reply:
            wcs = base64.b64decode(reply["wcs"])
            return Solved(reply["calibration"], reply["annotations"], wcs, reply["stars"])
        if "made" in reply:
            return Path(reply["made"])
        return str(reply["reason"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerDied(f"the worker cannot be understood ({error!r})") from error


class Pool:
    """A fixed number of workers, kept busy as long as there is work."""

    def __init__(self, queue: Queue, settings: ServerSettings) -> None:
        self._queue = queue
        self._settings = settings
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Tell the workers that there is work; call it in the thread of the event loop."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work during the block.

        Raises
        ------
        InputError
            With these settings no work can be done.
        """
        workers = [Worker(self._settings) for _ in range(self._settings.workers)]
        try:
            await workers[0].start()
        except WorkerDied as error:
            raise InputError(f"the solver does not start: {error}") from error
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work(worker)) for worker in workers]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _work(self, worker: Worker) -> None:
        try:
            while True:
                news = self._news
                await _ready(worker)
                task = await _persist(self._queue.take)
                if task is None:
                    await news.wait()
                else:
                    await self._do(worker, task)
        finally:
            await worker.stop()

    async def _do(self, worker: Worker, task: ReadTask | SolveTask) -> None:
        try:
            result = await worker.do(task)
        except TimeoutError:
            await _persist(self._queue.fail, task, f"stopped after {worker.limit_s(task):g} s")
        except WorkerDied as error:
            _log.warning("%s", error)
            await _persist(self._queue.crashed, task, str(error))
        else:
            await _persist(self._note, task, result)
        self.wake()

    def _note(self, task: ReadTask | SolveTask, result: Result) -> None:
        if isinstance(result, str):
            self._queue.fail(task, result)
        elif isinstance(task, ReadTask) and isinstance(result, list):
            self._queue.finish_reading(task.submission_id, result)
        elif isinstance(task, SolveTask) and isinstance(result, Solved):
            self._queue.solved(task.job_id, result)


async def _ready(worker: Worker) -> None:
    """Start a worker, again and again while the machine has no room for it."""
    while True:
        try:
            return await worker.start()
        except (WorkerDied, InputError, OSError) as error:
            _log.error("a worker does not start (%s); trying again", error)
            await asyncio.sleep(PAUSE_S)


async def _persist(call: Callable[..., _T], *arguments: object) -> _T:
    """Do something with the database, again and again while its disk is full or away."""
    while True:
        try:
            return await asyncio.to_thread(call, *arguments)
        except sqlite3.OperationalError:
            _log.exception("the database cannot be used; trying again")
            await asyncio.sleep(PAUSE_S)
