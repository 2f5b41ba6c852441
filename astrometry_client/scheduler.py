"""The driver of many flows at once."""

from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeVar

from astrometry_client.agenda import Agenda, Errand
from astrometry_client.course import LONGEST_REST_S, Course, Rest
from astrometry_client.lanes import ROOM, Lanes
from astrometry_client.session import ClientSession, get_local_session

__all__ = ["drive_many"]

R = TypeVar("R")


def drive_many(
    course: Course[Any, Any, R], client_session: ClientSession | None = None, lanes: Lanes | None = None
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
    lanes
        Threads to be used; by default some of its own.

    Yields
    ------
    result
        What the course makes of the end of a flow.

    Raises
    ------
    Interrupted
        The lanes were given up.
    """
    session = client_session or get_local_session()
    agenda, lanes = course.agenda(session), lanes or Lanes(client_session)
    with course.scope, closing(agenda), closing(lanes):
        try:
            for act in course.acts(agenda, lanes, session.retrying.clock):
                if isinstance(act, Errand):
                    lanes.start(act)
                elif isinstance(act, Rest):
                    _rest(act.seconds, agenda, lanes, session)
                else:
                    yield act.value
        finally:
            if lanes.are_there:
                _wind_up(agenda, lanes, session)


def _rest(seconds: float, agenda: Agenda[Any, Any], lanes: Lanes, session: ClientSession) -> None:
    """Wait until something was answered, or something else can be started."""
    if lanes.under_way:
        for errand, answer in lanes.answers(seconds):
            agenda.answered(errand, answer, session.retrying.clock())
    else:
        session.retrying.sleep(seconds)


def _wind_up(agenda: Agenda[Any, Any], lanes: Lanes, session: ClientSession) -> None:
    """End all flows where they stand, and let them take their last steps on this machine."""
    clock = session.retrying.clock
    try:
        lanes.end_reads()
        agenda.give_up(clock())
        while True:
            for errand in agenda.startable({**dict.fromkeys(ROOM, 0), "local": lanes.free["local"]}, clock()):
                lanes.start(errand)
            if not lanes.under_way:
                break
            _rest(LONGEST_REST_S, agenda, lanes, session)
    except BaseException:
        lanes.end_uploads()
        raise
