"""The driver of many flows at once: all in the calling thread, but for uploads, which must hold up nobody."""

import heapq
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

import attrs

from astrometry_client import flow
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import AstrometryError
from astrometry_client.request import Request
from astrometry_client.session import ClientSession, get_local_session, is_dry_run_enabled

__all__ = ["drive_many"]

Name = TypeVar("Name")
T = TypeVar("T")


def drive_many(
    flows: Iterable[tuple[Name, flow.Steps[T]]],
    client_session: ClientSession | None = None,
    *,
    most: int,
    on_step: Callable[[Name, flow.Effect], None] | None = None,
) -> Generator[tuple[Name, T | AstrometryError], None, None]:
    """Carry out flows, several at once, and yield what each ends with, as they end.

    Nothing moves on while the caller keeps a result, except uploads. Who stops listening waits for the
    uploads that are on their way; those that have not begun are dropped.

    Parameters
    ----------
    flows
        Each with what its end is yielded with. One is taken when there is room for it.
    client_session
        Makes the requests and keeps the time; by default each thread's own.
    most
        Flows in work at once.
    on_step
        Called before each effect.

    Yields
    ------
    name
        What came with the flow.
    end
        What it returned, or the error it ended with.
    """
    scheduler: _Scheduler[Name, T] = _Scheduler(client_session, on_step)
    waiting = iter(flows)
    try:
        while True:
            # What uploads ended with may be a reason to begin no more.
            if len(scheduler) >= most or scheduler.answered:
                yield from scheduler.go_on()
            elif (more := next(waiting, None)) is not None:
                yield from scheduler.begin(*more)
            elif len(scheduler):
                yield from scheduler.go_on()
            else:
                return
    finally:
        scheduler.close()


@attrs.define(eq=False)
class _Task(Generic[Name, T]):
    """A flow in work."""

    name: Name
    steps: flow.Steps[T]
    started_s: float


class _Scheduler(Generic[Name, T]):
    """Flows in work: those that wait, by the time they are due, and those that upload."""

    def __init__(
        self,
        client_session: ClientSession | None,
        on_step: Callable[[Name, flow.Effect], None] | None,
    ) -> None:
        self._given = client_session
        self._session = client_session or get_local_session()
        self._clock = self._session.retrying.clock
        self._on_step = on_step
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, _Task[Name, T]]] = []
        self._uploading: dict[Future[Any], _Task[Name, T]] = {}
        self._pool = ThreadPoolExecutor(DEFAULTS.upload_threads, thread_name_prefix="upload")

    def __len__(self) -> int:
        return len(self._waiting) + len(self._uploading)

    @property
    def answered(self) -> bool:
        """Whether an upload has ended."""
        return any(future.done() for future in self._uploading)

    def begin(self, name: Name, steps: flow.Steps[T]) -> Iterator[tuple[Name, T | AstrometryError]]:
        """Take a flow up, and yield its end if it has nothing to wait for."""
        return self._advance(_Task(name, steps, self._clock()), None)

    def go_on(self) -> Iterator[tuple[Name, T | AstrometryError]]:
        """Wait until one of the flows can go on, let it, and yield its end if that was it."""
        while True:
            done = next((future for future in self._uploading if future.done()), None)
            if done is not None:
                return self._advance(self._uploading.pop(done), _answer(done.result))
            wait_s = self._waiting[0][0] - self._clock() if self._waiting else None
            if wait_s is not None and wait_s <= 0:
                _, _, task = heapq.heappop(self._waiting)
                return self._advance(task, self._clock() - task.started_s)
            if self._uploading:
                wait(self._uploading, timeout=wait_s, return_when=FIRST_COMPLETED)
            elif wait_s is not None:
                self._session.retrying.sleep(wait_s)

    def close(self) -> None:
        """Wait for the uploads on their way, and drop all else."""
        self._pool.shutdown(cancel_futures=True)
        for task in (*self._uploading.values(), *(task for _, _, task in self._waiting)):
            task.steps.close()

    def _advance(self, task: _Task[Name, T], answer: Any) -> Iterator[tuple[Name, T | AstrometryError]]:
        """Carry out a flow until it waits, uploads or ends."""
        try:
            while True:
                throws = isinstance(answer, AstrometryError)
                effect = task.steps.throw(answer) if throws else task.steps.send(answer)
                if self._on_step:
                    self._on_step(task.name, effect)
                if isinstance(effect, flow.Wait):
                    self._put_off(task, effect.seconds)
                    return
                if effect.stage == "uploading":
                    self._uploading[self._pool.submit(effect.request.make, self._given)] = task
                    return
                answer = self._made(effect.request)
        except StopIteration as end:
            yield task.name, end.value
        except AstrometryError as error:
            yield task.name, error

    def _put_off(self, task: _Task[Name, T], seconds: float) -> None:
        # What a dry run has uploaded is solved at once.
        wait_s = 0.0 if is_dry_run_enabled("POST", self._session) else seconds
        heapq.heappush(self._waiting, (self._clock() + wait_s, next(self._order), task))

    def _made(self, request: Request[Any]) -> Any:
        return _answer(lambda: request.make(self._session))


def _answer(ask: Callable[[], Any]) -> Any:
    """Return what is sent back to a flow: a value, or the error to throw in."""
    try:
        return ask()
    except AstrometryError as error:
        return error
