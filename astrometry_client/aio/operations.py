"""What is in work for the callers of an async client, in threads of its own; any of it may be given up.

It stands on asyncio alone. anyio would bring trio, but its worker threads belong to the event loop and not to
a client, which could then neither bound nor join them; and it is no dependency of a plain installation.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import attrs

from astrometry_client.agenda import Lane
from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.lanes import ROOM
from astrometry_client.session.interrupting import Interrupt, Interrupted, check_interrupt, interruptible

__all__ = ["Operation", "Operations", "Working"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
OnWait = Callable[[float], object]

_GIVEN_UP: Final = "It was given up, or the client was closed: the next call goes on with it."


@attrs.frozen(eq=False)
class Working(Generic[T]):
    """Something in a thread."""

    lane: Lane
    future: "Future[T]"
    interrupt: Interrupt

    def give_up(self) -> None:
        """Break it off. A step on this machine is soon taken, and would leave things half done."""
        if self.lane != "local":
            self.interrupt.end()
            self.future.cancel()

    async def ended(self) -> T | AstrometryError:
        """Return what came of it, a value or an error of ours, when it has ended."""
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody listens
                loop.call_soon_threadsafe(_set, arrived)

        self.future.add_done_callback(tell)
        try:
            await arrived
        except asyncio.CancelledError:
            self.give_up()
            raise
        if self.future.cancelled():
            return Interrupted(_GIVEN_UP)
        error = self.future.exception()
        return error if isinstance(error, AstrometryError) else self.future.result()


class Operation:
    """Something in work for a caller.

    Parameters
    ----------
    pools
        The threads.
    on_wait
        Called in the event loop with the seconds a request waits for a free slot.
    sleep
        Replaces the timers of the event loop in tests.
    """

    def __init__(
        self,
        pools: dict[Lane, ThreadPoolExecutor],
        on_wait: OnWait | None,
        sleep: Callable[[float], Awaitable[None]] | None,
    ) -> None:
        self.given_up = False
        self.piece_kept = False
        """Whether the caller of a stream has a piece in hand, and nobody waits for the next."""
        self.complete = False
        """Whether a stream has given all it had."""
        self._pools = pools
        self._on_wait = on_wait
        self._sleep = sleep
        self._working: dict[Future[Any], Working[Any]] = {}
        self._waiting: asyncio.Future[None] | None = None

    def start(self, lane: Lane, work: Callable[..., T], *arguments: Any) -> Working[T]:
        """Have something done in a thread."""
        interrupt = Interrupt(self._telling())
        if self.given_up and lane != "local":
            interrupt.end()
        future = self._pools[lane].submit(_carry_out, interrupt, work, arguments)
        working = self._working[future] = Working(lane, future, interrupt)
        # Nothing that leads back to the future: it would live on until garbage is collected.
        future.add_done_callback(self._working.pop)
        return working

    def _telling(self) -> Callable[[float], None] | None:
        """Return what tells of a wait from another thread."""
        loop, on_wait = asyncio.get_running_loop(), self._on_wait
        if on_wait is None:
            return None

        def tell(seconds: float) -> None:
            loop.call_soon_threadsafe(on_wait, seconds)

        return tell

    async def run(self, lane: Lane, work: Callable[..., T], *arguments: Any) -> T:
        """Have something done in a thread, and return what came of it, or raise its error."""
        return await self.answer(self.start(lane, work, *arguments))

    async def answer(self, working: Working[T]) -> T:
        """Return what comes of something in a thread, or raise its error."""
        answer = await working.ended()
        if isinstance(answer, AstrometryError):
            raise answer
        return answer

    def check(self) -> None:
        """Raise `Interrupted` if it was given up."""
        if self.given_up:
            raise Interrupted(_GIVEN_UP)

    async def pause(self, seconds: float) -> None:
        """Wait.

        Raises
        ------
        Interrupted
            It was given up.
        """
        if self._sleep is not None and seconds > 0:
            await self._sleep(seconds)
        elif seconds > 0 and not self.given_up:
            loop = asyncio.get_running_loop()
            waiting = self._waiting = loop.create_future()
            timer = loop.call_later(seconds, _set, waiting)
            try:
                await waiting
            finally:
                timer.cancel()
                self._waiting = None
        self.check()

    def give_up(self) -> None:
        """Let nothing wait or leave any more, and break off what is on its way."""
        self.given_up = True
        if self._waiting is not None:
            _set(self._waiting)
        for working in tuple(self._working.values()):
            working.give_up()

    async def settle(self) -> None:
        """Wait until no thread works on it."""
        while self._working:
            ends = (working.ended() for working in tuple(self._working.values()))
            await asyncio.gather(*ends, return_exceptions=True)


class Operations:
    """All that is in work, and the threads for it: as many as `ROOM` says."""

    def __init__(self, on_wait: OnWait | None) -> None:
        self.closed = False
        self.sleep: Callable[[float], Awaitable[None]] | None = None
        self._on_wait = on_wait
        self._pools = {lane: ThreadPoolExecutor(room, f"async-{lane}") for lane, room in ROOM.items()}
        self._tasks: dict[asyncio.Task[Any], Operation] = {}
        self._streams: dict[Operation, AsyncGenerator[Any, None]] = {}
        self._stream_closed = asyncio.Event()

    def new(self) -> Operation:
        """Return an operation that begins.

        Raises
        ------
        InputError
            The client is closed.
        """
        if self.closed:
            raise InputError("The client is closed: make a new one.")
        return Operation(self._pools, self._on_wait, self.sleep)

    async def carry_out(self, work: Callable[[Operation], Coroutine[Any, Any, T]]) -> T:
        """Return what comes of an operation; who is cancelled leaves at once and gives it up."""
        operation = self.new()
        task = self.keep(operation, work(operation))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            operation.give_up()
            raise

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
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        # Asked for here, since nobody else may be left to ask.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AstrometryError):
            logger.error("Something in work broke down.", exc_info=error)

    async def close(self) -> None:
        """Give up all that is in work, and end the threads."""
        self.closed = True
        for operation in (*self._tasks.values(), *self._streams):
            operation.give_up()
        for operation in tuple(self._streams):
            # Where somebody waits for the next piece, it ends by itself.
            if operation.piece_kept:
                self._close_stream(operation)
        while self._tasks or self._streams:
            self._stream_closed.clear()
            await (asyncio.wait(self._tasks) if self._tasks else self._stream_closed.wait())
        for pool in self._pools.values():
            pool.shutdown()

    def _close_stream(self, operation: Operation) -> asyncio.Task[None]:
        self._stream_closed.set()
        return self.keep(operation, self._streams.pop(operation).aclose())

    async def _unless_cancelled(self, task: asyncio.Task[Any]) -> None:
        """Wait for a task, unless whoever waits is being cancelled."""
        waiting = asyncio.current_task()
        if not (waiting and waiting.cancelling()):
            await asyncio.shield(task)


def _set(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)


def _carry_out(interrupt: Interrupt, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    with interruptible(interrupt):
        check_interrupt()
        return work(*arguments)
