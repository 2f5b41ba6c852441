"""Workers kept busy as long as there is work."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import attrs

from .queue import Queue
from .tasks import Fetched, FetchTask, Found, ReadTask, Solved, SolveTask, Work
from .workers import PAUSE_S, Result, Worker, WorkerDied

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Pool:
    """A fixed number of workers, kept busy as long as there is work.

    Parameters
    ----------
    take
        Returns the next task, or None if there is none now.
    eager
        Whether workers are started before there is work.
    done
        Called after each piece of work, when its outcome is noted.
    """

    def __init__(
        self,
        queue: Queue,
        workers: list[Worker],
        *,
        eager: bool,
        take: Callable[[], Work | None],
        done: Callable[[], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._workers = workers
        self._eager = eager
        self._take, self._done = take, done
        self._news = asyncio.Event()
        self._looking = asyncio.Lock()

    def wake(self) -> None:
        """Tell the workers that there is work; call it in the thread of the event loop."""
        self._news.set()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work during the block."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work(worker)) for worker in self._workers]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _work(self, worker: Worker) -> None:
        try:
            if self._eager:
                await worker.start_surely()
            while True:
                task = await self._next()
                await worker.start_surely()
                try:
                    await self._do(worker, task)
                except Exception:  # noqa: BLE001  a defect met by one image must not end the server
                    _log.exception("work cannot be noted")
                    await _persist(self._queue.fail, task, "this server cannot deal with it")
                await self._done()
        finally:
            await worker.stop()

    async def _next(self) -> Work:
        """Return the next task. One worker looks for all that wait: the others would find no more."""
        async with self._looking:
            while True:
                self._news.clear()
                task = await _persist(self._take)
                if task is not None:
                    return task
                await self._news.wait()

    async def _do(self, worker: Worker, task: Work) -> None:
        try:
            result = await worker.do(task)
        except TimeoutError:
            await _persist(self._queue.fail, task, f"stopped after {worker.limit_s(task):g} s")
        except WorkerDied as error:
            _log.warning("%s", error)
            await _persist(self._queue.crashed, task, str(error))
        else:
            await _persist(self._note, task, result)

    def _note(self, task: Work, result: Result) -> None:
        if isinstance(result, str):
            self._queue.fail(task, result)
        elif isinstance(task, FetchTask) and isinstance(result, Fetched):
            self._queue.fetched(task.submission_id, result.sha1)
        elif isinstance(task, ReadTask) and isinstance(result, Found):
            self._queue.finish_reading(task.submission_id, **attrs.asdict(result, recurse=False))
        elif isinstance(task, SolveTask) and isinstance(result, Solved):
            self._queue.solved(task.job_id, result)


async def _persist(call: Callable[..., _T], *arguments: object) -> _T:
    """Do something with the database, again and again while its disk is full or away."""
    while True:
        try:
            return await asyncio.to_thread(call, *arguments)
        except sqlite3.OperationalError:
            _log.exception("the database cannot be used; trying again")
            await asyncio.sleep(PAUSE_S)
