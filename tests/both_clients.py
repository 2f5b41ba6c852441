"""The async client and its drivers, used from tests that know only the sync ones: one body serves both."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import pytest

from astrometry_client import (
    AsyncClient,
    AsyncJob,
    AsyncSubmission,
    Client,
    ClientSession,
    driver,
    flow,
    scheduler,
)
from astrometry_client.aio import driver as aio_driver
from astrometry_client.aio.operations import Operations
from astrometry_client.course import Course
from astrometry_client.session.interrupting import pause

T = TypeVar("T")
NewClient = Callable[..., Client]


class Blocking:
    """An async client whose calls wait for their end, in an event loop that runs only then."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.__dict__["runner"] = asyncio.Runner()
        self.__dict__["client"] = AsyncClient(*arguments, **options)
        take_time_of(self.client._operations, self.client._client_session)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        return self._blocking(found) if inspect.ismethod(found) else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.client, name, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self.runner as runner:
            runner.run(self.client.close())

    def _blocking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            found = method(*arguments, **named)
            if inspect.iscoroutine(found):
                found = self.runner.run(found)
            return self._each(found) if isinstance(found, AsyncGenerator) else plain(found)

        return called

    def _each(self, stream: AsyncGenerator[Any, None]) -> Generator[Any, None, None]:
        for found in each(stream, self.runner):
            yield plain(found)


def each(stream: AsyncGenerator[T, None], runner: asyncio.Runner) -> Generator[T, None, None]:
    """Yield what a stream yields."""
    try:
        while True:
            try:
                yield runner.run(cast(Any, stream.__anext__()))
            except StopAsyncIteration:
                return
    finally:
        runner.run(cast(Any, stream.aclose()))


def take_time_of(operations: Operations, client_session: ClientSession) -> None:
    """Let waits take the time a session was given."""
    own = client_session.retrying.sleep

    async def sleep(seconds: float) -> None:
        own(seconds)

    if own is not pause:
        operations.sleep = sleep


def plain(found: Any) -> Any:
    """Return the sync form of a job or a submission, which tests compare."""
    if isinstance(found, AsyncJob | AsyncSubmission):
        return found._inner
    return tuple(map(plain, found)) if isinstance(found, tuple) else found


class SyncDrivers:
    """The sync drivers."""

    drive = staticmethod(driver.drive)
    drive_many = staticmethod(scheduler.drive_many)


class AsyncDrivers:
    """The async drivers, called like the sync ones."""

    @staticmethod
    def drive(steps: flow.Steps[T], session: ClientSession, **options: Any) -> T:
        """Carry out a flow."""

        async def carried_out() -> T:
            operations = Operations(None)
            take_time_of(operations, session)
            try:
                with operations.new() as operation:
                    return await aio_driver.drive(steps, operation, session, **options)
            finally:
                await operations.close()

        return asyncio.run(carried_out())

    @staticmethod
    def drive_many(course: Course[Any, Any, T], session: ClientSession) -> Generator[T, None, None]:
        """Carry out many flows."""
        operations = Operations(None)
        take_time_of(operations, session)
        stream = partial(aio_driver.drive_many, lambda: course, operations=operations, session=session)
        with asyncio.Runner() as runner:
            try:
                yield from each(operations.stream(stream), runner)
            finally:
                runner.run(operations.close())


@pytest.fixture(params=[SyncDrivers, AsyncDrivers], ids=["sync", "async"])
def drivers(request: pytest.FixtureRequest) -> type[SyncDrivers]:
    """Give the drivers of both kinds, in turn."""
    return cast(type[SyncDrivers], request.param)


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def new_client(request: pytest.FixtureRequest) -> NewClient:
    """Make clients of both kinds, in turn."""
    return cast(NewClient, request.param)
