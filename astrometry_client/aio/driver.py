"""The drivers that carry out flows in an event loop: requests in threads, waits as timers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, TypeVar

from astrometry_client import flow
from astrometry_client.agenda import Agenda, Errand, Lane, lane_of
from astrometry_client.aio.operation import Operation
from astrometry_client.aio.operations import Operations
from astrometry_client.course import Course, Rest
from astrometry_client.driver import Progress, pauses
from astrometry_client.errors import AstrometryError
from astrometry_client.lanes import ROOM
from astrometry_client.session import ClientSession
from astrometry_client.session.interrupting import Interrupted

__all__ = ["drive", "drive_many", "pieces"]

T = TypeVar("T")

_END: Final = object()


async def drive(
    steps: flow.Steps[T],
    operation: Operation,
    session: ClientSession,
    *,
    on_step: Progress | None = None,
    asked: flow.Effect | None = None,
) -> T:
    """Carry out the effects of a flow, as the sync driver does, and return what it ends with.

    Once the operation is given up, the flow meets `Interrupted` wherever it asks or waits. Who is cancelled
    leaves at once: the last steps of the flow on this machine are taken by another task.

    Parameters
    ----------
    asked
        What the flow has asked for before.
    """
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


async def drive_many(
    plan: Callable[[], Course[Any, Any, T]],
    operation: Operation,
    *,
    operations: Operations,
    session: ClientSession,
) -> AsyncGenerator[T, None]:
    """Carry out many flows, and yield what they come to, as they end.

    Nothing is begun while the caller keeps a result. Who stops listening breaks off what is on its way.

    Parameters
    ----------
    plan
        Returns the flows; it may take a moment.
    """
    ending = AsyncExitStack()
    try:
        course = await operation.run("local", plan)
        ending.enter_context(course.scope)
        agenda = course.agenda(session)
        hands = _Hands(agenda, operation, session)
        ending.push_async_callback(hands.wind_up)
        for act in course.acts(agenda, hands, session.retrying.clock):
            if isinstance(act, Errand):
                hands.start(act)
            elif isinstance(act, Rest):
                await hands.rest(act.seconds)
            else:
                yield act.value
            operation.check()
        operation.complete = True
    finally:
        await operations.end_stream(operation, ending.aclose)


async def pieces(
    each: Generator[T, None, None], operation: Operation, *, operations: Operations
) -> AsyncGenerator[T, None]:
    """Yield what a generator yields that asks the server."""
    try:
        while (piece := await operation.run("reads", next, each, _END)) is not _END:
            yield piece
        operation.complete = True
    finally:
        await operations.end_stream(operation, partial(operation.run, "local", each.close))


class _Hands:
    """Carries out the errands of a course in threads."""

    def __init__(self, agenda: Agenda[Any, Any], operation: Operation, session: ClientSession) -> None:
        self._agenda = agenda
        self._operation = operation
        self._session = session
        self._now_s = session.retrying.clock
        self._under_way: dict[asyncio.Task[Any], Errand] = {}

    @property
    def free(self) -> Mapping[Lane, int]:
        used = [errand.lane for errand in self._under_way.values()]
        return {lane: room - used.count(lane) for lane, room in ROOM.items()}

    @property
    def any_done(self) -> bool:
        return any(task.done() for task in self._under_way)

    def start(self, errand: Errand) -> None:
        self._under_way[asyncio.create_task(self._answer(errand))] = errand

    async def _answer(self, errand: Errand) -> Any:
        try:
            return await self._operation.run(errand.lane, errand.carry_out, self._session)
        except Interrupted as given_up:
            return given_up

    async def rest(self, seconds: float | None) -> None:
        """Wait until something was answered, or something else can be started."""
        if self._under_way:
            done, _ = await asyncio.wait(
                self._under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                self._agenda.answered(self._under_way.pop(task), task.result(), self._now_s())
        elif seconds is not None:
            await self._operation.pause(seconds)

    async def wind_up(self) -> None:
        """End all flows where they stand, and let them take their last steps on this machine."""
        self._agenda.give_up(self._now_s())
        while True:
            free = {**dict.fromkeys(ROOM, 0), "local": self.free["local"]}
            for errand in self._agenda.startable(free, self._now_s()):
                self.start(errand)
            if not self._under_way:
                break
            await self.rest(None)
        self._agenda.close()
