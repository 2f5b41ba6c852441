"""The drivers that carry out flows in an event loop: requests in threads, waits as timers."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeVar

from astrometry_client import flow
from astrometry_client.agenda import Agenda, Errand, Lane, lane_of
from astrometry_client.aio.operations import Operation, Operations
from astrometry_client.course import Course, Rest
from astrometry_client.driver import Progress, pause_s
from astrometry_client.errors import AstrometryError
from astrometry_client.lanes import ROOM
from astrometry_client.session import ClientSession

__all__ = ["drive", "drive_many", "pieces"]

T = TypeVar("T")

_END: Final = object()


async def drive(
    steps: flow.Steps[T], operation: Operation, session: ClientSession, *, on_step: Progress | None = None
) -> T:
    """Carry out the effects of a flow, as the sync driver does, and return what it ends with.

    Once the operation is given up, the flow meets `Interrupted` wherever it asks or waits.
    """
    clock = session.retrying.clock
    started_s = clock()
    try:
        effect = next(steps)
        while True:
            if on_step and not isinstance(effect, flow.Local):
                on_step(effect)
            answer: Any
            try:
                if isinstance(effect, flow.Wait):
                    await operation.pause(pause_s(effect, session))
                    answer = clock() - started_s
                else:
                    make = effect.make if isinstance(effect, flow.Local) else effect.request.make
                    answer = await operation.run(lane_of(effect), make, session)
            except AstrometryError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value


async def drive_many(
    opened: AbstractContextManager[Course[Any, Any, T]],
    operation: Operation,
    *,
    operations: Operations,
    session: ClientSession,
) -> AsyncGenerator[T, None]:
    """Carry out many flows, and yield what they come to, as they end.

    Nothing is begun while the caller keeps a result. Who stops listening breaks off what is on its way.
    """
    clock = session.retrying.clock
    hands = _Hands(operation, session)
    agenda: Agenda[Any, Any] | None = None
    entering = operation.start("local", opened.__enter__)

    async def last_steps() -> None:
        if agenda is not None:
            await hands.wind_up(agenda)
        if not (entering.future.cancelled() or entering.future.exception()):
            await operation.run("local", opened.__exit__, None, None, None)

    try:
        course = await operation.answer(entering)
        agenda = course.agenda(session)
        for act in course.acts(agenda, hands, clock):
            if isinstance(act, Errand):
                hands.start(act)
            elif isinstance(act, Rest):
                await hands.rest(act.seconds, agenda)
            else:
                yield act.value
            operation.check()
        operation.complete = True
    finally:
        await operations.end_stream(operation, last_steps)


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

    def __init__(self, operation: Operation, session: ClientSession) -> None:
        self._operation = operation
        self._session = session
        self._under_way: dict[asyncio.Task[Any], Errand] = {}

    @property
    def free(self) -> Mapping[Lane, int]:
        used = [errand.lane for errand in self._under_way.values()]
        return {lane: room - used.count(lane) for lane, room in ROOM.items()}

    @property
    def any_done(self) -> bool:
        return any(task.done() for task in self._under_way)

    def start(self, errand: Errand) -> None:
        working = self._operation.start(errand.lane, errand.carry_out, self._session)
        self._under_way[asyncio.create_task(working.ended())] = errand

    async def rest(self, seconds: float | None, agenda: Agenda[Any, Any]) -> None:
        """Wait until something was answered, or something else can be started."""
        if self._under_way:
            done, _ = await asyncio.wait(
                self._under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                agenda.answered(self._under_way.pop(task), task.result(), self._session.retrying.clock())
        elif seconds is not None:
            await self._operation.pause(seconds)

    async def wind_up(self, agenda: Agenda[Any, Any]) -> None:
        """End all flows where they stand, and let them take their last steps on this machine."""
        clock = self._session.retrying.clock
        agenda.give_up(clock())
        while True:
            for errand in agenda.startable({**dict.fromkeys(ROOM, 0), "local": self.free["local"]}, clock()):
                self.start(errand)
            if not self._under_way:
                break
            await self.rest(None, agenda)
        agenda.close()
