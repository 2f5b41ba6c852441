"""The driver of many flows at once."""

import concurrent.futures
from collections.abc import Generator
from typing import Any, TypeVar

from astrometry_client.agenda import Agenda, Errand
from astrometry_client.course import Course, Rest
from astrometry_client.lanes import Lanes
from astrometry_client.session import ClientSession, get_local_session

__all__ = ["drive_many"]

R = TypeVar("R")


def drive_many(
    course: Course[Any, Any, R], client_session: ClientSession | None = None
) -> Generator[R, None, None]:
    """Carry out many flows, and yield what they come to, as they end.

    Nothing is begun while the caller keeps a result. Who stops listening waits for the uploads that are on
    their way; those that have not begun are dropped.

    Parameters
    ----------
    course
        The flows.
    client_session
        Makes the requests and keeps the time; by default each thread's own.

    Yields
    ------
    result
        What the course makes of the end of a flow.
    """
    session = client_session or get_local_session()
    agenda = course.agenda(session)
    lanes = Lanes(client_session)
    with course.scope:
        try:
            for act in course.acts(agenda, lanes, session.retrying.clock):
                if isinstance(act, Errand):
                    lanes.start(act)
                elif isinstance(act, Rest):
                    _rest(act, agenda, lanes, session)
                else:
                    yield act.value
        finally:
            lanes.close()
            agenda.close()


def _rest(rest: Rest, agenda: Agenda[Any, Any], lanes: Lanes, session: ClientSession) -> None:
    """Wait until something was answered, or something else can be started."""
    if lanes.under_way:
        done, _ = concurrent.futures.wait(
            lanes.under_way, timeout=rest.seconds, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            agenda.answered(lanes.take(future), future.result(), session.retrying.clock())
    elif rest.seconds is not None:
        session.retrying.sleep(rest.seconds)
