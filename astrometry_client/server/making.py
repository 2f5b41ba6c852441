"""Result files, made on demand in a worker process of its own: a solve does not hold them up."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from astrometry_client.errors import InputError

from .settings import ServerSettings
from .tasks import MakeTask
from .workers import Worker, WorkerDied


class NotMade(Exception):
    """The file cannot be made; the message says why, in one line."""


class Maker:
    """Makes one file at a time, so that many wishes need no more memory than one."""

    def __init__(self, settings: ServerSettings) -> None:
        self._worker = Worker(settings)
        self._folder = settings.made_dir
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Be ready during the block; the process is started when it is first needed."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        try:
            yield
        finally:
            await self._worker.stop()

    async def make(self, task: MakeTask) -> BinaryIO:
        """Return a new file, open to be read; it has no name any more, and is gone when it is closed.

        Raises
        ------
        NotMade
            There is nothing to make it of, or it takes too long.
        """
        async with self._turn:
            try:
                made = await self._made(task)
                return made.open("rb")
            finally:
                for path in self._folder.iterdir():  # that of a process that was stopped, too
                    path.unlink()

    async def _made(self, task: MakeTask) -> Path:
        try:
            await self._worker.start()
            made = await self._worker.do(task)
        except TimeoutError as error:
            raise NotMade(f"stopped after {self._worker.limit_s(task):g} s") from error
        except (WorkerDied, InputError, OSError) as error:
            raise NotMade(str(error)) from error
        if not isinstance(made, Path):
            raise NotMade(str(made))
        return made
