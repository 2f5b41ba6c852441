"""The driver that carries out a flow in an event loop: requests in threads, waits as timers.

Many flows at once are carried out by the sync driver: their steps are too small to have each change threads.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from astrometry_client import flow, scheduler
from astrometry_client.agenda import lane_of
from astrometry_client.aio.operation import Operation
from astrometry_client.aio.operations import Operations
from astrometry_client.course import Course
from astrometry_client.driver import Progress, pauses
from astrometry_client.errors import AstrometryError
from astrometry_client.lanes import Lanes
from astrometry_client.session import ClientSession
from astrometry_client.session.interrupting import Interrupted

__all__ = ["drive", "drive_many", "pieces"]

T = TypeVar("T")

_END: Final = object()

_LOOP_GONE_S: Final = 1.0
"""Time within which it is noticed that nobody will answer."""


def drive(
    steps: flow.Steps[T],
    operation: Operation,
    session: ClientSession,
    *,
    on_step: Progress | None = None,
    asked: flow.Effect | None = None,
) -> Coroutine[Any, Any, T]:
    """Carry out the effects of a flow, as the sync driver does, and return what it ends with.

    Once the operation is given up, the flow meets `Interrupted` wherever it asks or waits. Who is cancelled
    leaves at once: the last steps of the flow on this machine are taken by another task.

    Parameters
    ----------
    asked
        What the flow has asked for before.
    """
    driving = operation.driving = _drive(steps, operation, session, on_step, asked)
    return driving


async def _drive(
    steps: flow.Steps[T],
    operation: Operation,
    session: ClientSession,
    on_step: Progress | None,
    asked: flow.Effect | None,
) -> T:
    started_s = session.retrying.clock()
    try:
        effect = asked or next(steps)
        going_on = operation.going_on()
        while True:
            if on_step and not isinstance(effect, flow.Local):
                on_step(effect)
            answer: Any
            try:
                answer = await (going_on or _answer(effect, operation, session))
            except AstrometryError as error:
                effect = steps.throw(error)
            else:
                if isinstance(effect, flow.Wait):
                    answer = session.retrying.clock() - started_s
                # What it was told is not kept while it waits.
                effect, answer = steps.send(answer), None
            going_on = None
    except StopIteration as end:
        value: T = end.value
        return value
    except asyncio.CancelledError:
        operation.give_up()
        operation.keep(drive(steps, operation, session, asked=effect))
        raise
    except BaseException:
        steps.close()
        raise


def _answer(effect: flow.Effect, operation: Operation, session: ClientSession) -> Awaitable[Any]:
    if isinstance(effect, flow.Wait):
        return operation.pause(pauses(session)(effect))
    make = effect.make if isinstance(effect, flow.Local) else effect.request.make
    return operation.run(lane_of(effect), make, session)


def drive_many(
    plan: Callable[[], Course[Any, Any, T]],
    operation: Operation,
    *,
    operations: Operations,
    session: ClientSession,
) -> AsyncGenerator[T, None]:
    """Have the sync driver carry out many flows, from a thread of their own.

    Who stops listening breaks off what is on its way.

    Parameters
    ----------
    plan
        Returns the flows; it may take a moment.
    """
    lanes = operation.lanes = Lanes(session, operations.pools, operations.telling())
    loop = asyncio.get_running_loop()

    def ends() -> Generator[T, None, None]:
        course = plan()
        on_step = course.on_step and partial(_call_in, loop, course.on_step)
        yield from scheduler.drive_many(attrs.evolve(course, on_step=on_step), session, lanes)

    pool = ThreadPoolExecutor(1, "async-many")

    async def close() -> None:
        await operation.run_in(pool, each.close, to_the_end=True)
        pool.shutdown()

    each = ends()
    operation.last_steps = close
    return _taken(each, partial(operation.run_in, pool), operation, operations)


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[..., T], *arguments: Any) -> T:
    """Return what comes of a call in an event loop, from another thread."""

    async def made() -> T:
        return call(*arguments)

    called = asyncio.run_coroutine_threadsafe(made(), loop)
    while not wait([called], timeout=_LOOP_GONE_S).done:
        if not loop.is_running():
            raise Interrupted("The event loop has stopped.")
    return called.result()


def pieces(
    each: Generator[T, None, None], operation: Operation, *, operations: Operations
) -> AsyncGenerator[T, None]:
    """Yield what a generator yields that asks the server."""
    operation.last_steps = partial(operation.run, "local", each.close)
    return _taken(each, partial(operation.run, "reads"), operation, operations)


async def _taken(
    each: Generator[T, None, None],
    run: Callable[..., Awaitable[Any]],
    operation: Operation,
    operations: Operations,
) -> AsyncGenerator[T, None]:
    """Yield what a generator yields in a thread."""
    try:
        while (piece := await run(next, each, _END)) is not _END:
            yield piece
        operation.complete = True
    finally:
        await operations.end_stream(operation)
