"""The threads that do something for many flows."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final

from astrometry_client.agenda import Errand, Lane
from astrometry_client.config import DEFAULTS
from astrometry_client.session import ClientSession
from astrometry_client.session.interrupting import Interrupt, Interrupted, interruptible

__all__ = ["GIVEN_UP", "ROOM", "Lanes", "Pools", "new_pools"]

Pools = Mapping[Lane, ThreadPoolExecutor]

ROOM: Final[Mapping[Lane, int]] = {
    "uploads": DEFAULTS.upload_threads,
    "reads": DEFAULTS.read_threads,
    "files": 1,
    "local": 1,
}
"""Threads of each lane. The ledger is written by one after the other anyway, and a disk read best so."""

GIVEN_UP: Final = "It was given up, or the client was closed: the next call goes on with it."


_running: set[ThreadPoolExecutor] = set()
"""Threads that are not told to end before their lanes are closed, also when both are garbage by then."""


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
        self._session = client_session
        self._pools = pools or new_pools()
        self._own_pools = pools is None
        self._process_id = os.getpid()
        self._interrupts = {lane: Interrupt(on_wait) for lane in ROOM}
        self._under_way: dict[Future[Any], Errand] = {}
        self._news: SimpleQueue[None] = SimpleQueue()
        """Wakes who waits for answers; which there are, the futures tell, so that Ctrl-C can lose none."""
        self._given_up = False

    @property
    def free(self) -> dict[Lane, int]:
        """How much each lane has room for."""
        used = [errand.lane for errand in self._under_way.values()]
        return {lane: room - used.count(lane) for lane, room in ROOM.items()}

    @property
    def under_way(self) -> bool:
        """Whether anything was started whose answer was not yet taken."""
        return bool(self._under_way)

    @property
    def are_there(self) -> bool:
        """Whether the threads are those of this process: a forked child has none of its parent's."""
        return self._process_id == os.getpid()

    @property
    def any_done(self) -> bool:
        """Whether there is an answer to be taken."""
        return any(future.done() for future in self._under_way)

    def start(self, errand: Errand) -> None:
        """Have an errand carried out."""
        pool = self._pools[errand.lane]
        if self._own_pools:
            _running.add(pool)
        future = pool.submit(self._carry_out, errand)
        future.add_done_callback(lambda _: self._news.put(None))
        self._under_way[future] = errand

    def answers(self, seconds: float) -> Iterator[tuple[Errand, Any]]:
        """Wait for an answer, so long at most, and yield all there are, each with its errand."""
        if not self.any_done:
            with suppress(Empty):
                self._news.get(timeout=seconds)
                while True:
                    self._news.get_nowait()
        for future in [one for one in self._under_way if one.done()]:
            yield self._under_way.pop(future), future.result()

    def check(self) -> None:
        """Raise `Interrupted` if all was given up."""
        if self._given_up:
            raise Interrupted(GIVEN_UP)

    def give_up(self) -> None:
        """Break off all that is on its way; may be called in any thread."""
        self._given_up = True
        self.end_uploads()
        self.end_reads()
        self._news.put(None)

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
            _running.difference_update(self._pools.values())
            for pool in self._pools.values():
                pool.shutdown(cancel_futures=True)

    def _carry_out(self, errand: Errand) -> Any:
        with interruptible(self._interrupts[errand.lane]):
            return errand.carry_out(self._session)
