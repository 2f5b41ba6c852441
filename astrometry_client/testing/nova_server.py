"""A server in this process that behaves, or misbehaves, like nova."""

import asyncio
import contextlib
import importlib.util
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

from astrometry_client.errors import InputError

from .clock import Clock
from .faults import ExpireSessions, Fault, Plan, Planned, Restart, VanishJob
from .records import JobRecord, RequestRecord, UploadRecord
from .table_engine import TableEngine

if TYPE_CHECKING:
    from astrometry_client.session import ClientSession

    from .front import Head

__all__ = ["NovaServer"]

NEEDED = ("starlette", "python_multipart")

USER = "tester@example.com"


class NovaServer:
    """A server on a free loopback port for the length of a `with` block, in a thread of this process.

    It answers with the embedded server's own application. Nothing is solved: by default a table says where
    each image lies, and the time that takes is that of a clock which can be turned. What a function given
    here raises is raised again at the end of the block.

    Parameters
    ----------
    solvers
        Jobs solved at a time, 1 or more.
    solve_time_s
        Seconds a solve takes, or a function from file name to seconds.
    latency_s
        Seconds from a request to its answer. A clock that stands still is moved on by as much.
    queue_delay_s
        Seconds from an upload to the earliest begin of its solve.
    engine
        What becomes of images; or a plate solver, one of `astrometry_client.server.engine.engines()`. While
        that works, requests wait.
    faults
        What goes wrong: see `Fault.at` and `Fault.rate`.
    seed
        Of chance: same seed, same faults.
    session_uses
        Requests a login is good for; None for any number.
    session_lifetime_s
        Seconds it is good for; None for two weeks.
    strict_nova
        Whether to keep those habits of nova, too, that help nobody.
    clock
        The server's time; by default its own, in step with the real one.

    Attributes
    ----------
    url, api_key
        What a client needs; known inside the block.
    clock
        Its time: `clock.turn(3600)` lets an hour pass.
    requests : list of RequestRecord
        All requests.

    Examples
    --------
    >>> import requests
    >>> from astrometry_client.testing import NovaServer, Status
    >>> with NovaServer(faults=[Status(503, retry_after_s=7).at("job", 1)]) as server:
    ...     reply = requests.get(server.url + "/api/jobs/1", timeout=10)
    >>> reply.status_code, reply.headers["Retry-After"]
    (503, '7')
    """

    def __init__(
        self,
        *,
        solvers: int = 1,
        solve_time_s: float | Callable[[str], float] = 0.0,
        latency_s: float = 0.0,
        queue_delay_s: float = 0.0,
        engine: Any = None,
        faults: Iterable[Planned] = (),
        seed: int = 0,
        session_uses: int | None = None,
        session_lifetime_s: float | None = None,
        strict_nova: bool = True,
        clock: Clock | None = None,
    ) -> None:
        _check_extra()
        self.clock = clock or Clock()
        self.requests: list[RequestRecord] = []
        self.url = self.api_key = ""
        self._plan = Plan(faults, seed=seed)
        self._latency_s = latency_s
        self._desk_options: dict[str, Any] = {
            "engine": engine or TableEngine(),
            "clock": self.clock,
            "session_uses": session_uses,
            "session_lifetime_s": session_lifetime_s,
            "strict_nova": strict_nova,
            "count": solvers,
            "queue_delay_s": queue_delay_s,
            "solve_time_s": solve_time_s if callable(solve_time_s) else lambda _: solve_time_s,
        }

    def __repr__(self) -> str:
        return f"NovaServer(url={self.url!r})"

    def __enter__(self) -> Self:
        from astrometry_client.server.app import make_app

        from .desk import TestDesk
        from .front import Front

        self._folder = Path(tempfile.mkdtemp(prefix="nova-server-"))
        self._desk = TestDesk(self._folder, **self._desk_options)
        self.api_key = self._desk.accounts.new_key(USER)
        self._front = Front(
            make_app(self._desk),
            before=self._before,
            after=self._after,
            now_s=self.clock.monotonic,
            wait=self._wait,
            restart=self._restart,
            latency_s=self._latency_s,
        )
        self._loop, self._turned = asyncio.new_event_loop(), asyncio.Event()
        self._restarts: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="nova-server", daemon=True)
        self.clock.on_turn = self._wake
        self._thread.start()
        self._do(self._front.open())
        self.url = f"http://127.0.0.1:{self._front.port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._do(self._end())
        self.clock.on_turn = lambda: None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._desk.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._front.errors and kind is None:
            raise self._front.errors[0]

    @property
    def uploads(self) -> list[UploadRecord]:
        """All uploads that were processed."""
        return list(self._desk.uploads)

    @property
    def jobs(self) -> list[JobRecord]:
        """All jobs a solver has taken, in that order."""
        self._desk.solvers.catch_up()
        return list(self._desk.solvers.jobs.values())

    def counts(self) -> Counter[str]:
        """Return how often each call was made, by its name."""
        return Counter(record.call for record in self.requests)

    def client_session(self, **options: Any) -> "ClientSession":
        """Return a session of this package that waits on the server's clock: an hour takes no time.

        Parameters
        ----------
        **options
            Of `ClientSession`.
        """
        from astrometry_client.session import ClientSession

        session = ClientSession(**options)
        session.retrying = attrs.evolve(session.retrying, sleep=self.clock.sleep, clock=self.clock.monotonic)
        return session

    def plan(self, *faults: Planned) -> None:
        """Plan more that goes wrong; requests are counted from now on."""
        self._plan.add(*faults)

    def expire_sessions(self, *, purged: bool = True) -> None:
        """End all logins."""
        self._desk.expire_sessions(purged=purged)

    def vanish(self, job_id: int) -> None:
        """Forget a job; its submission names another one, which is solved anew."""
        self._desk.solvers.vanish(job_id)

    def restart(self, *, down_s: float = 0.0) -> None:
        """Stop, refuse connections for seconds of the server's clock, and go on where it stopped."""
        self._do(self._down(self.clock.monotonic() + down_s))

    def drop_connections(self) -> None:
        """End all connections, as servers do with idle ones."""
        self._loop.call_soon_threadsafe(self._front.drop)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _before(self, head: "Head") -> Fault | None:
        from astrometry_client.session.endpoints import endpoint_of, ids_in

        self._desk.solvers.catch_up()
        fault = self._plan.next(endpoint_of(head.target).name, head.target)
        if isinstance(fault, ExpireSessions):
            self.expire_sessions(purged=fault.purged)
        elif isinstance(fault, VanishJob) and "job_id" in (ids := ids_in(head.target)):
            self.vanish(ids["job_id"])
        return fault

    def _after(self, head: "Head", fault: Fault | None, status: int | None) -> None:
        from astrometry_client.session.endpoints import endpoint_of

        self.requests.append(
            RequestRecord(
                method=head.method,
                path=head.target,
                call=endpoint_of(head.target).name,
                time_s=head.arrived_s,
                status=status,
                fault=fault,
                headers=head.headers,
                connection=head.connection,
            )
        )

    def _restart(self, fault: Restart) -> None:
        down = self._down(self.clock.monotonic() + fault.down_s)
        self._restarts.append(self._loop.create_task(down))

    async def _end(self) -> None:
        for task in self._restarts:
            task.cancel()
        ended = await asyncio.gather(*self._restarts, return_exceptions=True)
        self._front.errors += [error for error in ended if isinstance(error, Exception)]
        await self._front.close()

    async def _down(self, until_s: float) -> None:
        await self._front.close()
        self._desk.solvers.restart()
        while (left_s := until_s - self.clock.monotonic()) > 0:
            await self._pass(left_s)
        await self._front.open()

    async def _wait(self, seconds: float) -> None:
        if not self.clock.speed:
            self.clock.turn(seconds)
        until_s = self.clock.monotonic() + seconds
        while self.clock.speed and (left_s := until_s - self.clock.monotonic()) > 0:
            await self._pass(left_s)

    async def _pass(self, seconds: float) -> None:
        """Let these seconds pass, or fewer if the clock is turned meanwhile."""
        limit_s = seconds / self.clock.speed if self.clock.speed else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._turned.wait(), limit_s)

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._wake_here)

    def _wake_here(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()


def _check_extra() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"NovaServer needs {', '.join(missing)}; they come with: pip install 'astrometry-client[testing]'"
        )
