"""All that is in work for the callers of an async client, in threads of its own; any of it may be given up.

It stands on asyncio alone. anyio would bring trio, but its worker threads belong to the event loop and not to
a client, which could then neither bound nor join them; and it is no dependency of a plain installation.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from astrometry_client.aio.operation import Operation
from astrometry_client.aio.room import Room
from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.lanes import ROOM, new_pools

__all__ = ["Operations"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
OnWait = Callable[[float], object]


class Operations:
    """All that is in work, and the threads for it: as many as `ROOM` says.

    Parameters
    ----------
    on_wait
        Called in the event loop with the seconds a request waits for a free slot.
    """

    def __init__(self, on_wait: OnWait | None) -> None:
        self.closed = False
        self.sleep: Callable[[float], Awaitable[None]] | None = None
        """Replaces the timers of the event loop in tests."""
        self.in_work: set[Operation] = set()
        """What its callers wait for."""
        self.pools = new_pools("async-")
        self._on_wait = on_wait
        self._tasks: dict[asyncio.Task[Any], Operation] = {}
        self._streams: dict[Operation, AsyncGenerator[Any, None]] = {}
        self._beginning = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def new(self) -> Operation:
        """Return an operation that begins.

        Raises
        ------
        InputError
            The client is closed, or has something in work in another event loop.
        """
        if self.closed:
            raise InputError("The client is closed: make a new one.")
        with self._beginning:
            self._come_in()
            operation = Operation(self)
            self.in_work.add(operation)
        return operation

    def _come_in(self) -> None:
        """Begin anew in an event loop, and go on there with what one that is closed has left undone."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        known = {*self.in_work, *self._tasks.values(), *self._streams}
        if any(one.loop.is_running() for one in known if one.loop is not loop):
            raise InputError(
                "The client is in use in another event loop: make one for each, since they share cache, "
                "budget and ledger."
            )
        self._loop = loop
        self.rooms = {lane: Room(room) for lane, room in ROOM.items()}
        self._something_ended = asyncio.Event()
        left = {one for one in known if one.loop.is_closed()}
        for task in [task for task, one in self._tasks.items() if one in left]:
            del self._tasks[task]
            # Or asyncio would tell of it as lost.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        for operation in left:
            self.in_work.discard(operation)
            self._streams.pop(operation, None)
            operation.take_over()

    def ended(self, operation: Operation) -> None:
        """Take note that the caller of an operation has left."""
        self.in_work.discard(operation)
        self._something_ended.set()

    def telling(self) -> Callable[[float], None] | None:
        """Return what tells of a wait from another thread."""
        loop, on_wait = asyncio.get_running_loop(), self._on_wait
        if on_wait is None:
            return None

        def tell(seconds: float) -> None:
            loop.call_soon_threadsafe(on_wait, seconds)

        return tell

    async def stream(self, pieces: Callable[[Operation], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Yield what comes of an operation piece by piece; `end_stream` must be called at its end."""
        operation = self.new()
        stream = self._streams[operation] = pieces(operation)
        self.in_work.discard(operation)
        try:
            async for piece in stream:
                operation.piece_kept = True
                yield piece
                operation.piece_kept = False
        finally:
            if operation in self._streams:
                await self._unless_cancelled(self._close_stream(operation))
        # A stream that was closed while the caller kept a piece must not look like one that ended.
        if not operation.complete:
            operation.check()

    async def end_stream(self, operation: Operation) -> None:
        """Give up what is still in work, and take the last steps; who is cancelled does not wait for that."""
        operation.give_up()
        await self._unless_cancelled(self.keep(operation, operation.settle()))

    def keep(self, operation: Operation, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have work on an operation done whoever is cancelled; `close` waits for it."""
        task = asyncio.create_task(work)
        self._tasks[task] = operation
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        self._something_ended.set()
        # Asked for here, since nobody else may be left to ask.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AstrometryError):
            logger.error("Something in work broke down.", exc_info=error)

    async def close(self) -> None:
        """Give up all that is in work, and end the threads.

        Raises
        ------
        InputError
            Something is in work in another event loop.
        """
        with self._beginning:
            self._come_in()
            self.closed = True
        for operation in (*self.in_work, *self._tasks.values(), *self._streams):
            operation.give_up()
        for operation in tuple(self._streams):
            # Where somebody waits for the next piece, it ends by itself.
            if operation.piece_kept:
                self._close_stream(operation)
        while self.in_work or self._tasks or self._streams:
            self._something_ended.clear()
            await self._something_ended.wait()
        await asyncio.sleep(0)  # who waited for the last of them leaves first
        for pool in self.pools.values():
            pool.shutdown()

    def _close_stream(self, operation: Operation) -> asyncio.Task[None]:
        self._something_ended.set()
        return self.keep(operation, self._streams.pop(operation).aclose())

    async def _unless_cancelled(self, task: asyncio.Task[Any]) -> None:
        """Wait for a task, unless whoever waits is being cancelled."""
        waiting = asyncio.current_task()
        if not (waiting and waiting.cancelling()):
            await asyncio.shield(task)
