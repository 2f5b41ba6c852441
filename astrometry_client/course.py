"""Many flows, and what their drivers have in common: what is to be done next, and when to rest."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Generic, TypeVar

import attrs

from astrometry_client import flow
from astrometry_client.agenda import Agenda, Errand
from astrometry_client.circuit import Circuit
from astrometry_client.driver import pauses
from astrometry_client.errors import AstrometryError
from astrometry_client.lanes import Lanes
from astrometry_client.session import ClientSession

__all__ = ["LONGEST_REST_S", "Course", "Rest", "Result"]

Name = TypeVar("Name")
T = TypeVar("T")
R = TypeVar("R")


LONGEST_REST_S: Final = 3600.0
"""Clocks of threads do not count to any number."""


@attrs.frozen
class Rest:
    """Act: wait so many seconds at most, until something that was started has been done."""

    seconds: float


@attrs.frozen
class Result(Generic[R]):
    """Act: hand this out. Nothing is begun as long as the caller keeps it."""

    value: R


def _nothing() -> None:
    pass


@attrs.frozen(kw_only=True, eq=False)
class Course(Generic[Name, T, R]):
    """Flows to be carried out, several at once, and what is made of their ends.

    Parameters
    ----------
    flows
        Each with a name. One is taken when there is room for it.
    results
        Returns what is handed out when a flow ends, given its name and what it returned, or its error.
    at_end
        Called when all have ended.
    server
        The address of the server they ask.
    most
        Flows in work at once.
    deadline_s
        Seconds after which nothing more is begun, and all in work end with `SolveTimeout`.
    on_step
        Called with the name of a flow before each request and each wait.
    scope
        Entered as long as anything is in work.
    """

    flows: Iterable[tuple[Name, flow.Steps[T]]]
    results: Callable[[Name, T | AstrometryError], Iterable[R]]
    server: str
    most: int
    at_end: Callable[[], None] = _nothing
    deadline_s: float | None = None
    on_step: Callable[[Name, flow.Step], None] | None = None
    scope: AbstractContextManager[object] = attrs.field(factory=nullcontext)

    def agenda(self, client_session: ClientSession) -> Agenda[Name, T]:
        """Return an empty agenda for it."""
        return Agenda(Circuit(self.server), pause_s=pauses(client_session), on_step=self.on_step)

    def acts(
        self, agenda: Agenda[Name, T], lanes: Lanes, clock: Callable[[], float]
    ) -> Iterator[Errand | Rest | Result[R]]:
        """Yield what is to be done next: start an errand, rest, or hand out a result."""
        ends_s = None if self.deadline_s is None else clock() + self.deadline_s
        waiting: Iterator[tuple[Name, flow.Steps[T]]] | None = iter(self.flows)
        while waiting is not None or len(agenda) or agenda.ended:
            lanes.check()
            if ends_s is not None and clock() >= ends_s:
                waiting, ends_s = None, None
                lanes.end_reads()
                agenda.give_up(clock())
            begun = False
            if waiting is not None and len(agenda) < self.most and not (agenda.ended or lanes.any_done):
                more = next(waiting, None)
                if more is None:
                    waiting = None
                else:
                    agenda.begin(*more, clock())
                    begun = True
            yield from agenda.startable(lanes.free, clock())
            if agenda.ended:
                yield from self._handed_out(agenda)
            elif not begun and len(agenda):
                left_s = None if ends_s is None else max(0.0, ends_s - clock())
                yield Rest(_shorter(agenda.wait_s(clock()), left_s, LONGEST_REST_S))
        self.at_end()

    def _handed_out(self, agenda: Agenda[Name, T]) -> Generator[Result[R], None, None]:
        while agenda.ended:
            for result in self.results(*agenda.ended.popleft()):
                yield Result(result)


def _shorter(*waits_s: float | None) -> float:
    return min(wait_s for wait_s in waits_s if wait_s is not None)
