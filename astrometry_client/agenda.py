"""Flows in work: what may be done for them now, who waits for how long, what has ended."""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import attrs

from astrometry_client import flow
from astrometry_client.circuit import WEATHER, Circuit
from astrometry_client.errors import AstrometryError, NoUsableReply, SolveTimeout
from astrometry_client.session import ClientSession
from astrometry_client.session.interrupting import Interrupted

__all__ = ["Agenda", "Errand", "Lane", "lane_of"]

Name = TypeVar("Name")
T = TypeVar("T")

Lane = Literal["uploads", "reads", "files", "local"]
"""Where it is done: requests, reading whole files, and steps of the ledger do not hold up each other."""

_ASKING: Final = ("uploads", "reads")

_MOST_TRIES: Final = 10
"""A request is made so often at most while the server refuses: for more than an hour at the public rests."""


@attrs.define(eq=False)
class _Task(Generic[Name, T]):
    """A flow in work."""

    name: Name
    steps: flow.Steps[T]
    begun_s: float


@attrs.frozen(eq=False)
class Errand:
    """Something to be done for a flow, in some thread."""

    task: _Task[Any, Any]
    lane: Lane
    work: Callable[[ClientSession | None], Any]
    rank: int
    tries: int = 1

    def carry_out(self, client_session: ClientSession | None) -> Any:
        """Return what came of it: a value, or the error to throw into the flow."""
        try:
            return self.work(client_session)
        except AstrometryError as error:
            return error


class Agenda(Generic[Name, T]):
    """What is to be done for many flows, results first. It decides, and does nothing itself.

    Times are seconds of one clock that never steps back; while the circuit is open, it stands still for the
    flows.

    Parameters
    ----------
    circuit
        Tells whether the server may be asked.
    pause_s
        Returns how long a wait lasts.
    on_step
        Called with the name of a flow before each request and each wait.
    """

    def __init__(
        self,
        circuit: Circuit,
        *,
        pause_s: Callable[[flow.Wait], float],
        on_step: Callable[[Name, flow.Step], None] | None = None,
    ) -> None:
        self.ended: deque[tuple[Name, T | AstrometryError]] = deque()
        """The flows that have ended and were not yet taken away from here."""
        self._circuit = circuit
        self._pause_s = pause_s
        self._on_step = on_step
        self._order = itertools.count()
        self._waiting: dict[int, _Task[Name, T]] = {}
        self._listening: dict[int, Callable[[], bool]] = {}
        """Those of them whose wait others may end."""
        self._dues: list[tuple[float, int]] = []
        """When whose wait is over; some may have ended before."""
        self._ready: dict[Lane, list[tuple[int, int, Errand]]] = {lane: [] for lane in get_args(Lane)}
        self._under_way: set[Errand] = set()
        self._given_up = False
        self._has_news = False
        """Whether a flow may have brought about what others wait for."""

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._ready.values())) + len(self._under_way)

    def begin(self, name: Name, steps: flow.Steps[T], now_s: float) -> None:
        """Take a flow up."""
        self._advance(_Task(name, steps, now_s - self._circuit.held_s(now_s)), None, now_s)

    def startable(self, free: Mapping[Lane, int], now_s: float) -> list[Errand]:
        """Return what is to be started now, and count it as under way.

        Parameters
        ----------
        free
            As much as each lane has room for.
        """
        self._wake(now_s)
        started: list[Errand] = []
        for lane, ready in self._ready.items():
            for _ in range(min(free[lane], len(ready))):
                if lane in _ASKING and not self._may_ask(now_s):
                    break
                errand = heapq.heappop(ready)[2]
                started.append(errand)
                self._under_way.add(errand)
        return started

    def answered(self, errand: Errand, answer: Any, now_s: float) -> None:
        """Let the flow go on with what came of its errand."""
        self._under_way.remove(errand)
        if errand.lane in _ASKING:
            self._tell_circuit(answer, now_s)
            if isinstance(answer, WEATHER) and not self._given_up and self._is_put_back(errand):
                self._put_ready(attrs.evolve(errand, tries=errand.tries + 1))
                return
        broken_off = self._given_up and isinstance(answer, Interrupted) and errand.lane != "uploads"
        self._advance(errand.task, _given_up() if broken_off else answer, now_s)
        self._has_news = True

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until something may be started that cannot be now; `None` if nothing will."""
        while self._dues and self._dues[0][1] not in self._waiting:
            heapq.heappop(self._dues)
        times = [self._dues[0][0] - now_s] if self._dues else []
        if self._circuit.is_open and not self._asking and any(self._ready[lane] for lane in _ASKING):
            times.append(self._circuit.rest_s(now_s))
        wait_s = min(times, default=math.inf)
        return max(0.0, wait_s) if wait_s < math.inf else None

    def give_up(self, now_s: float) -> None:
        """End all flows where they stand; their own last steps on this machine are still to be done."""
        self._given_up = True
        tasks = [*self._waiting.values()]
        for lane, ready in self._ready.items():
            if lane != "local":
                tasks += [errand.task for _, _, errand in ready]
                ready.clear()
        self._waiting.clear()
        self._listening.clear()
        for task in tasks:
            self._advance(task, _given_up(), now_s)

    def close(self) -> None:
        """Drop all flows."""
        errands = [*self._under_way, *(one for ready in self._ready.values() for _, _, one in ready)]
        for task in (*self._waiting.values(), *(errand.task for errand in errands)):
            task.steps.close()

    @property
    def _asking(self) -> bool:
        return any(errand.lane in _ASKING for errand in self._under_way)

    def _may_ask(self, now_s: float) -> bool:
        """Return whether a request may leave: any, or the one that tries whether the server is back."""
        if not self._circuit.is_open:
            return True
        return self._circuit.rest_s(now_s) <= 0 and not self._asking

    def _is_put_back(self, errand: Errand) -> bool:
        return self._circuit.server_known and errand.tries < _MOST_TRIES

    def _tell_circuit(self, answer: Any, now_s: float) -> None:
        if isinstance(answer, WEATHER):
            self._circuit.failed(answer, now_s)
        elif not isinstance(answer, NoUsableReply):
            self._circuit.answered(now_s)

    def _wake(self, now_s: float) -> None:
        over = []
        while self._dues and self._dues[0][0] <= now_s:
            over.append(heapq.heappop(self._dues)[1])
        if self._has_news:
            over += [number for number, is_over in self._listening.items() if is_over()]
            self._has_news = False
        # What they wait for next has its turn next time, though it take no time.
        for number in over:
            self._end_wait(number, now_s)

    def _end_wait(self, number: int, now_s: float) -> None:
        """Let a flow go on, unless it has."""
        task = self._waiting.pop(number, None)
        self._listening.pop(number, None)
        if task is not None:
            self._advance(task, now_s - self._circuit.held_s(now_s) - task.begun_s, now_s)

    def _advance(self, task: _Task[Name, T], answer: Any, now_s: float) -> None:
        """Let a flow decide until it waits, has something done, or ends."""
        try:
            effect = self._next_effect(task, answer)
            if effect is not None:
                self._take_up(task, effect, now_s)
        except BaseException:
            # Raised by who is told of steps, or Ctrl-C: the flow is on no list from which it would be closed.
            task.steps.close()
            raise

    def _next_effect(self, task: _Task[Name, T], answer: Any) -> flow.Effect | None:
        """Return what a flow asks for next, given up a step on this machine; `None` if it has ended."""
        try:
            while True:
                throws = isinstance(answer, AstrometryError)
                effect = task.steps.throw(answer) if throws else task.steps.send(answer)
                if isinstance(effect, flow.Local) or not self._given_up:
                    return effect
                answer = _given_up()
        except StopIteration as end:
            self.ended.append((task.name, end.value))
        except AstrometryError as error:
            self.ended.append((task.name, error))
        self._has_news = True
        return None

    def _take_up(self, task: _Task[Name, T], effect: flow.Effect, now_s: float) -> None:
        if isinstance(effect, flow.Local):
            self._put_ready(Errand(task, lane_of(effect), effect.make, 0))
            return
        if self._on_step:
            self._on_step(task.name, effect)
        if isinstance(effect, flow.Wait):
            number = next(self._order)
            self._waiting[number] = task
            if effect.until is not None:
                self._listening[number] = effect.until
            heapq.heappush(self._dues, (now_s + self._pause_s(effect), number))
        else:
            self._put_ready(Errand(task, lane_of(effect), effect.request.make, effect.stage != "fetching"))

    def _put_ready(self, errand: Errand) -> None:
        heapq.heappush(self._ready[errand.lane], (errand.rank, next(self._order), errand))


def lane_of(effect: flow.Make | flow.Local) -> Lane:
    """Return where an effect is carried out."""
    if isinstance(effect, flow.Local):
        return "files" if effect.reads_file else "local"
    return "uploads" if effect.stage == "uploading" else "reads"


def _given_up() -> SolveTimeout:
    return SolveTimeout("Not finished when the time for all of them was over: the next run goes on with it.")
