"""One thing in work for the caller of an async client: threads that do it, and a timer while it waits."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from astrometry_client.agenda import Lane
from astrometry_client.lanes import GIVEN_UP, Lanes
from astrometry_client.session.interrupting import Interrupt, Interrupted, check_interrupt, interruptible

if TYPE_CHECKING:
    from astrometry_client.aio.operations import Operations

__all__ = ["Operation"]

T = TypeVar("T")


@attrs.frozen(eq=False)
class _Working:
    """Something in a thread."""

    to_the_end: bool
    """A step on this machine is soon taken, and would leave things half done."""
    future: "Future[Any]"
    interrupt: Interrupt

    def give_up(self) -> None:
        """Break it off."""
        if not self.to_the_end:
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

    __slots__ = (
        "_operations",
        "_timer",
        "_waiting",
        "_working",
        "complete",
        "driving",
        "given_up",
        "lanes",
        "last_steps",
        "loop",
        "piece_kept",
    )

    def __init__(self, operations: "Operations") -> None:
        self.given_up = False
        self.piece_kept = False
        """Whether the caller of a stream has a piece in hand, and nobody waits for the next."""
        self.complete = False
        """Whether a stream has given all it had."""
        self.lanes: Lanes | None = None
        """Where a stream has many flows carried out."""
        self.loop = asyncio.get_running_loop()
        """Where it goes on."""
        self.driving: Coroutine[Any, Any, Any] | None = None
        """What drives a flow; when it is cancelled, another task takes the last steps."""
        self.last_steps: Callable[[], Awaitable[object]] | None = None
        """What remains to be done for a stream once no thread works on it."""
        self._operations = operations
        self._working: list[_Working] = []
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()
        # Who never came to an end, since the loop was closed, is collected later, where there may be none.
        if self._working and self in self._operations.in_work and not self.loop.is_closed():
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
            return await self.run_in(
                self._operations.pools[lane], work, *arguments, to_the_end=lane == "local"
            )

    async def run_in(
        self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any, to_the_end: bool = False
    ) -> T:
        """Do the same in any thread, without standing in line.

        Parameters
        ----------
        to_the_end
            Whether it goes on though it is given up.
        """
        interrupt = Interrupt(self._operations.telling())
        future = pool.submit(_carry_out, interrupt, work, arguments)
        self._working.append(_Working(to_the_end, future, interrupt))
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
            raise Interrupted(GIVEN_UP)
        return working.future.result()

    def going_on(self) -> Coroutine[Any, Any, Any] | None:
        """Return what is still in a thread, to be awaited; `None` if nothing is."""
        return self.result(self._working[0]) if self._working else None

    def check(self) -> None:
        """Raise `Interrupted` if it was given up."""
        if self.given_up:
            raise Interrupted(GIVEN_UP)

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
        if self.lanes is not None:
            self.lanes.give_up()
        for working in self._working:
            working.give_up()

    async def settle(self) -> None:
        """Wait until no thread works on it, and take its last steps."""
        for working in tuple(self._working):
            await working.ended()
        if self.last_steps is not None:
            await self.last_steps()
            self.last_steps = None

    def take_over(self) -> None:
        """Give it up in this event loop, since the one where it went on is closed."""
        self.loop = asyncio.get_running_loop()
        self.give_up()
        self.keep(self.settle())
        if self.driving is not None and inspect.getcoroutinestate(self.driving) != inspect.CORO_CLOSED:
            with suppress(asyncio.CancelledError):
                self.driving.throw(asyncio.CancelledError())


def _set(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _set_given_up(waiting: "asyncio.Future[None]") -> None:
    if not (waiting.done() or waiting.get_loop().is_closed()):
        waiting.set_exception(Interrupted(GIVEN_UP))


def _carry_out(interrupt: Interrupt, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    with interruptible(interrupt):
        check_interrupt()
        return work(*arguments)
