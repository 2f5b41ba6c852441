"""The parts of one server, put together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, Protocol

import filelock

from astrometry_client.errors import InputError

from .accounts import Accounts
from .database import Database
from .files import FileStore
from .making import Maker
from .pool import Pool
from .queue import Queue
from .quota import QuotaStore, is_wanted
from .records import Records
from .settings import ServerSettings
from .tasks import FetchTask, MakeTask
from .workers import Worker, WorkerDied


class Desk(Protocol):
    """What the application asks of a server: who may ask, what is known, and where new work goes."""

    settings: ServerSettings
    accounts: Accounts
    files: FileStore
    records: Records

    def submit(self, user_id: int, *, sha1: str | None, filename: str, options: dict[str, Any]) -> int:
        """Add a submission and return its id."""
        ...

    async def make(self, task: MakeTask) -> BinaryIO:
        """Return a new result file, open to be read; raises `NotMade` if there is none to be had."""
        ...


class Service:
    """A server's queue, files and accounts; one at a time has a data folder.

    Raises
    ------
    InputError
        The data folder cannot be written, or another server uses it.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._lock = _lock(settings)
        self._database = Database(settings.database_file)
        self.accounts = Accounts(self._database, session_s=settings.session_s, anyone=settings.allow_anyone)
        self.files = _files(settings, self._database)
        self.records = Records(self._database)
        self._queue = Queue(self._database, stored=self.files.holds)
        self._solvers = [Worker(settings) for _ in range(settings.workers)]
        self._solving = Pool(self._queue, self._solvers, eager=True, take=self._queue.take, done=self._tidy)
        fetchers = [Worker(settings, "fetch") for _ in range(settings.fetches)]
        self._fetching = Pool(self._queue, fetchers, eager=False, take=self._take_fetch, done=self._tidy)
        self._maker = Maker(settings)
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, user_id: int, *, sha1: str | None, filename: str, options: dict[str, Any]) -> int:
        """Add a submission and set the workers to it; its id returns when it is safely on the disk."""
        submission_id = self._queue.submit(user_id, sha1=sha1, filename=filename, options=options)
        if self._loop:
            self._loop.call_soon_threadsafe(self._wake)
        return submission_id

    async def make(self, task: MakeTask) -> BinaryIO:
        """Return a new result file, as `Maker.make`."""
        return await self._maker.make(task)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Keep the workers at work during the block, beginning with what the last server left."""
        await self._begin()
        async with self._solving.working(), self._fetching.working(), self._maker.working():
            yield

    async def _begin(self) -> None:
        self.files.sweep(lambda sha1: is_wanted(self._database, sha1))
        self._queue.recover()
        self._loop = asyncio.get_running_loop()
        try:
            await self._solvers[0].start()
        except WorkerDied as error:
            raise InputError(f"the solver does not start: {error}") from error

    def _wake(self) -> None:
        self._solving.wake()
        self._fetching.wake()

    def _take_fetch(self) -> FetchTask | None:
        return None if self.files.is_full() else self._queue.take_fetch()

    async def _tidy(self) -> None:
        await asyncio.to_thread(self.files.tidy)
        self._wake()

    def close(self) -> None:
        """Close the database and let go of the data folder."""
        self._database.close()
        self._lock.release()


def _files(settings: ServerSettings, database: Database) -> FileStore:
    if settings.quota_bytes is None:
        return FileStore(settings.files_dir)
    return QuotaStore(settings.files_dir, database, limit_bytes=settings.quota_bytes)


def _lock(settings: ServerSettings) -> filelock.FileLock:
    lock = filelock.FileLock(settings.data_dir / "lock", timeout=0)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(
            f"another server uses {settings.data_dir}; stop it, or choose another folder"
        ) from error
    except OSError as error:
        raise InputError(
            f"{settings.data_dir} cannot be used ({error.strerror}); choose another folder"
        ) from error
    return lock
