"""What is in work for the callers of an async client, in threads of its own; any of it may be given up.

It stands on asyncio alone. anyio would bring trio, but its worker threads belong to the event loop and not to
a client, which could then neither bound nor join them; and it is no dependency of a plain installation.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Self, TypeVar

import attrs

from astrometry_client.agenda import Lane
from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.lanes import ROOM
from astrometry_client.session.interrupting import Interrupt, Interrupted, check_interrupt, interruptible

__all__ = ["Operation", "Operations"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
OnWait = Callable[[float], object]

_GIVEN_UP: Final = "It was given up, or the client was closed: the next call goes on with it."


@attrs.frozen(eq=False)
class _Working:
    """Something in a thread."""

    lane: Lane
    future: "Future[Any]"
    interrupt: Interrupt

    def give_up(self) -> None:
        """Break it off. A step on this machine is soon taken, and would leave things half done."""
        if self.lane != "local":
            self.interrupt.end()
            self.future.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody listens
                loop.call_soon_threadsafe(_set, arrived)

        self.future.add_done_callback(tell)
        await arrived


class Operation:
    """Something in work for a caller, for as long as it is used as a context manager.

    There are thousands of them at once, so that each costs no more than a timer while it waits.
    """

    __slots__ = ("_operations", "_timer", "_waiting", "_working", "complete", "given_up", "piece_kept")

    def __init__(self, operations: "Operations") -> None:
        self.given_up = False
        self.piece_kept = False
        """Whether the caller of a stream has a piece in hand, and nobody waits for the next."""
        self.complete = False
        """Whether a stream has given all it had."""
        self._operations = operations
        self._working: list[_Working] = []
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._operations.in_work.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()
        if self._working:
            self.keep(self.settle())
        self._operations.ended(self)

    def keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have work done whoever is cancelled; the client waits for it before it closes."""
        return self._operations.keep(self, work)

    async def run(self, lane: Lane, work: Callable[..., T], *arguments: Any) -> T:
        """Have something done in a thread, and return what came of it, or raise its error.

        Raises
        ------
        Interrupted
            It was given up; a step on this machine is taken all the same.
        """
        # Who stands in line costs less than what lies before a thread.
        async with self._operations.rooms[lane]:
            if lane != "local":
                self.check()
            interrupt = Interrupt(self._operations.telling())
            future = self._operations.pools[lane].submit(_carry_out, interrupt, work, arguments)
            self._working.append(_Working(lane, future, interrupt))
            found: T = await self.result(self._working[-1])
            return found

    async def result(self, working: _Working) -> Any:
        """Return what came of something in a thread, or raise its error."""
        try:
            await working.ended()
        except asyncio.CancelledError:
            working.give_up()
            raise
        self._working.remove(working)
        if working.future.cancelled():
            raise Interrupted(_GIVEN_UP)
        return working.future.result()

    def going_on(self) -> Coroutine[Any, Any, Any] | None:
        """Return what is still in a thread, to be awaited; `None` if nothing is."""
        return self.result(self._working[0]) if self._working else None

    def check(self) -> None:
        """Raise `Interrupted` if it was given up."""
        if self.given_up:
            raise Interrupted(_GIVEN_UP)

    def pause(self, seconds: float) -> Awaitable[None]:
        """Return what is to be awaited for so long; it raises `Interrupted` once it is given up."""
        if self._operations.sleep is not None and seconds > 0:
            return self._slept(self._operations.sleep(seconds))
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        if self.given_up:
            _set_given_up(self._waiting)
        elif seconds > 0:
            self._timer = loop.call_later(seconds, _set, self._waiting)
        else:
            self._waiting.set_result(None)
        return self._waiting

    async def _slept(self, sleep: Awaitable[None]) -> None:
        await sleep
        self.check()

    def give_up(self) -> None:
        """Let nothing wait or leave any more, and break off what is on its way."""
        self.given_up = True
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting is not None:
            _set_given_up(self._waiting)
        for working in self._working:
            working.give_up()

    async def settle(self) -> None:
        """Wait until no thread works on it."""
        for working in tuple(self._working):
            await working.ended()


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
        self.pools = {lane: ThreadPoolExecutor(room, f"async-{lane}") for lane, room in ROOM.items()}
        self.rooms = {lane: asyncio.Semaphore(room) for lane, room in ROOM.items()}
        self._on_wait = on_wait
        self._tasks: dict[asyncio.Task[Any], Operation] = {}
        self._streams: dict[Operation, AsyncGenerator[Any, None]] = {}
        self._something_ended = asyncio.Event()

    def new(self) -> Operation:
        """Return an operation that begins.

        Raises
        ------
        InputError
            The client is closed.
        """
        if self.closed:
            raise InputError("The client is closed: make a new one.")
        return Operation(self)

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

    async def end_stream(self, operation: Operation, last_steps: Callable[[], Awaitable[object]]) -> None:
        """Give up what is still in work, and take the last steps; who is cancelled does not wait for that."""

        async def end() -> None:
            await operation.settle()
            await last_steps()

        operation.give_up()
        await self._unless_cancelled(self.keep(operation, end()))

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
        """Give up all that is in work, and end the threads."""
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


def _set(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _set_given_up(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_exception(Interrupted(_GIVEN_UP))


def _carry_out(interrupt: Interrupt, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    with interruptible(interrupt):
        check_interrupt()
        return work(*arguments)
