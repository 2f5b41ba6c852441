"""The driver of many flows at once."""

import concurrent.futures
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from astrometry_client import flow
from astrometry_client.agenda import Agenda
from astrometry_client.circuit import Circuit
from astrometry_client.driver import pause_s
from astrometry_client.errors import AstrometryError
from astrometry_client.lanes import Lanes
from astrometry_client.session import ClientSession, get_local_session

__all__ = ["drive_many"]

Name = TypeVar("Name")
T = TypeVar("T")


def drive_many(
    flows: Iterable[tuple[Name, flow.Steps[T]]],
    client_session: ClientSession | None = None,
    *,
    server: str,
    most: int,
    deadline_s: float | None = None,
    on_step: Callable[[Name, flow.Step], None] | None = None,
) -> Generator[tuple[Name, T | AstrometryError], None, None]:
    """Carry out flows, several at once, and yield what each ends with, as they end.

    Nothing is begun while the caller keeps a result. Who stops listening waits for the uploads that are on
    their way; those that have not begun are dropped.

    Parameters
    ----------
    flows
        Each with what its end is yielded with. One is taken when there is room for it.
    client_session
        Makes the requests and keeps the time; by default each thread's own.
    server
        The address of the server they ask.
    most
        Flows in work at once.
    deadline_s
        Seconds after which nothing more is begun, and all in work end with `SolveTimeout`.
    on_step
        Called before each request and each wait.

    Yields
    ------
    name
        What came with the flow.
    end
        What it returned, or the error it ended with.
    """
    session = client_session or get_local_session()
    clock = session.retrying.clock
    ends_s = None if deadline_s is None else clock() + deadline_s
    agenda: Agenda[Name, T] = Agenda(
        Circuit(server), pause_s=lambda wait: pause_s(wait, session), on_step=on_step
    )
    lanes = Lanes(client_session)
    waiting: Iterator[tuple[Name, flow.Steps[T]]] | None = iter(flows)
    try:
        while waiting is not None or len(agenda) or agenda.ended:
            if ends_s is not None and clock() >= ends_s:
                waiting, ends_s = None, None
                agenda.give_up(clock())
            begun = False
            # What was just answered may be a reason to begin no more.
            if waiting is not None and len(agenda) < most and not (agenda.ended or _any_done(lanes)):
                more = next(waiting, None)
                if more is None:
                    waiting = None
                else:
                    agenda.begin(*more, clock())
                    begun = True
            for errand in agenda.startable(lanes.free, clock()):
                lanes.start(errand)
            if agenda.ended:
                while agenda.ended:
                    yield agenda.ended.popleft()
            elif not begun and len(agenda):
                _wait(agenda, lanes, session, ends_s)
    finally:
        lanes.close()
        agenda.close()


def _any_done(lanes: Lanes) -> bool:
    """Return whether something was answered, which may be a reason to begin no more."""
    return any(future.done() for future in lanes.under_way)


def _wait(agenda: Agenda[Name, T], lanes: Lanes, session: ClientSession, ends_s: float | None) -> None:
    """Wait until something was answered, or something else can be started."""
    clock = session.retrying.clock
    waits_s = [agenda.wait_s(clock()), None if ends_s is None else max(0.0, ends_s - clock())]
    wait_s = min((wait_s for wait_s in waits_s if wait_s is not None), default=None)
    if lanes.under_way:
        done, _ = concurrent.futures.wait(
            lanes.under_way, timeout=wait_s, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            agenda.answered(lanes.take(future), future.result(), clock())
    elif wait_s is not None:
        session.retrying.sleep(wait_s)
