"""The threads that do something for many flows."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, Final

from astrometry_client.agenda import Errand, Lane
from astrometry_client.config import DEFAULTS
from astrometry_client.session import ClientSession
from astrometry_client.session.interrupting import Interrupt, Interrupted, interruptible

__all__ = ["ROOM", "Lanes", "Pools", "new_pools"]

Pools = Mapping[Lane, ThreadPoolExecutor]

ROOM: Final[Mapping[Lane, int]] = {
    "uploads": DEFAULTS.upload_threads,
    "reads": DEFAULTS.read_threads,
    "files": 1,
    "local": 1,
}
"""Threads of each lane. The ledger is written by one after the other anyway, and a disk read best so."""


def new_pools(name: str = "") -> Pools:
    """Return threads for each lane, of which none runs yet."""
    return {lane: ThreadPoolExecutor(room, f"{name}{lane}") for lane, room in ROOM.items()}


class Lanes:
    """A few threads for uploads, for reads, for files, and for the ledger: none holds up the others.

    Parameters
    ----------
    client_session
        Makes the requests; by default each thread's own.
    pools
        The threads, which go on running; by default some of its own.
    on_wait
        See `Interrupt`.
    """

    def __init__(
        self,
        client_session: ClientSession | None,
        pools: Pools | None = None,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        self.free = dict(ROOM)
        """How much each lane has room for."""
        self._session = client_session
        self._pools = pools or new_pools()
        self._own_pools = pools is None
        self._interrupts = {lane: Interrupt(on_wait) for lane in ROOM}
        self._done: SimpleQueue[tuple[Errand, Future[Any]] | None] = SimpleQueue()
        self._given_up = False

    @property
    def under_way(self) -> bool:
        """Whether anything was started whose answer was not yet taken."""
        return self.free != ROOM

    @property
    def any_done(self) -> bool:
        """Whether there is an answer to be taken."""
        return not self._done.empty()

    def start(self, errand: Errand) -> None:
        """Have an errand carried out."""
        self.free[errand.lane] -= 1
        future = self._pools[errand.lane].submit(self._carry_out, errand)
        future.add_done_callback(lambda done: self._done.put((errand, done)))

    def answers(self, seconds: float | None = None) -> Iterator[tuple[Errand, Any]]:
        """Wait for an answer, so long at most, and yield all there are, each with its errand."""
        try:
            one = self._done.get(timeout=seconds)
            while True:
                if one is not None:
                    errand, future = one
                    self.free[errand.lane] += 1
                    yield errand, future.result()
                one = self._done.get_nowait()
        except Empty:
            return

    def check(self) -> None:
        """Raise `Interrupted` if all was given up."""
        if self._given_up:
            raise Interrupted("It was given up: the next call goes on with it.")

    def give_up(self) -> None:
        """Break off all that is on its way; may be called in any thread."""
        self._given_up = True
        self.end_uploads()
        self.end_reads()
        self._done.put(None)  # who waits for answers may sleep for long

    def end_reads(self) -> None:
        """Break off what only reads, and let uploads on their way arrive."""
        self._interrupts["reads"].end()
        self._interrupts["files"].end()
        self._interrupts["uploads"].end_waits()

    def end_uploads(self) -> None:
        """Break off uploads."""
        self._interrupts["uploads"].end()

    def close(self) -> None:
        """Let the threads end that are its own."""
        if self._own_pools:
            for pool in self._pools.values():
                pool.shutdown(cancel_futures=True)

    def _carry_out(self, errand: Errand) -> Any:
        with interruptible(self._interrupts[errand.lane]):
            return errand.carry_out(self._session)
