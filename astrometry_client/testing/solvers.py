"""The solvers of a server under test: what they do is worked out whenever somebody asks."""

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any, Protocol

import attrs

from astrometry_client.server.database import Database
from astrometry_client.server.queue import Queue
from astrometry_client.server.tasks import Found, MakeTask, ReadTask, Solved, SolveTask
from astrometry_client.server.workers import understand

from .clock import Clock
from .records import JobRecord
from .table_engine import plain_name

__all__ = ["Solver", "Solvers"]


class Solver(Protocol):
    """Answers the tasks of a worker process, in its words."""

    def read(self, task: ReadTask) -> dict[str, Any]:
        """Return the images found in a submission, or why there are none."""
        ...

    def solve(self, task: SolveTask) -> dict[str, Any]:
        """Return the solution of an image, or why there is none."""
        ...

    def make(self, task: MakeTask) -> dict[str, Any]:
        """Return the path of a result file, or why it cannot be made."""
        ...


class Solvers:
    """A number of solvers on a clock. Nothing runs: `catch_up` does all that should have been done by now."""

    def __init__(
        self,
        queue: Queue,
        database: Database,
        solver: Solver,
        *,
        clock: Clock,
        count: int,
        solve_time_s: Callable[[str], float],
        queue_delay_s: float,
    ) -> None:
        self._queue, self._database, self._solver, self._clock = queue, database, solver, clock
        self._free, self._solve_time_s, self._queue_delay_s = count, solve_time_s, queue_delay_s
        self._ready = 0
        self._waiting: set[int] = set()
        self._events: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._solving: dict[int, tuple[int, dict[str, Any]]] = {}  # by the number of the event that ends it
        self._lock = threading.RLock()
        self.jobs: dict[int, JobRecord] = {}

    def catch_up(self) -> None:
        """Do all that should have been done by now."""
        with self._lock:
            now_s = self._clock.monotonic()
            self._read()
            while self._events and self._events[0][0] <= now_s:
                time_s, number = heapq.heappop(self._events)
                if number in self._solving:
                    self._end(*self._solving.pop(number), time_s)
                elif number in self._waiting:
                    self._waiting.discard(number)
                    self._ready += 1
                self._begin(time_s)

    def vanish(self, job_id: int) -> None:
        """Forget a job; its image gets another one, with a new id."""
        with self._lock, self._database.transaction() as connection:
            row = connection.execute("SELECT image_id FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None:
                return
            connection.execute("DELETE FROM calibrations WHERE job_id = ?", (job_id,))
            connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
            again = "INSERT INTO jobs (image_id, status) VALUES (?, 'processing') RETURNING id"
            new_id = connection.execute(again, (row["image_id"],)).fetchone()["id"]
            for number in [number for number, (solved, _) in self._solving.items() if solved == job_id]:
                del self._solving[number]
                self._free += 1
            gone = self.jobs.get(job_id)
            if gone:
                self.jobs[job_id] = attrs.evolve(gone, state="vanished")
                self.jobs[new_id] = JobRecord(new_id, gone.name, None, None, "processing")
            self._wait(0.0)

    def restart(self) -> None:
        """Begin anew what is being solved, as a server that was stopped does."""
        with self._lock:
            self.catch_up()
            self._queue.recover()
            for _ in self._solving:
                self._wait(0.0)
            self._free += len(self._solving)
            self._solving.clear()

    def _at(self, time_s: float) -> int:
        """Note that something happens then, and return its number."""
        number = next(self._numbers)
        heapq.heappush(self._events, (time_s, number))
        return number

    def _wait(self, seconds: float) -> None:
        """Note that one more image may be solved then."""
        self._waiting.add(self._at(self._clock.monotonic() + seconds))

    def _read(self) -> None:
        while task := self._queue.take_submission():
            found = understand(self._solver.read(task))
            if not isinstance(found, Found):
                self._queue.reject(task.submission_id, str(found))
                continue
            self._queue.finish_reading(task.submission_id, **attrs.asdict(found, recurse=False))
            for _ in found.images:
                self._wait(self._queue_delay_s)

    def _begin(self, time_s: float) -> None:
        while self._ready and self._free and (task := self._queue.take_job()):
            self._ready, self._free = self._ready - 1, self._free - 1
            row = self._database.row(
                "SELECT filename FROM images JOIN jobs ON image_id = images.id WHERE jobs.id = ?", task.job_id
            )
            name = plain_name(row["filename"] if row else "")
            self.jobs[task.job_id] = JobRecord(task.job_id, name, time_s, None, "solving")
            number = self._at(time_s + self._solve_time_s(name))
            self._solving[number] = task.job_id, self._solver.solve(task)

    def _end(self, job_id: int, reply: dict[str, Any], time_s: float) -> None:
        result = understand(reply)
        self._free += 1
        if isinstance(result, Solved):
            self._queue.solved(job_id, result)
        else:
            self._queue.failed(job_id, str(result))
        state = "success" if isinstance(result, Solved) else "failure"
        self.jobs[job_id] = attrs.evolve(self.jobs[job_id], ended_s=time_s, state=state)
