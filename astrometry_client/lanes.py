"""The threads that make requests for many flows."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from astrometry_client.agenda import Errand, Lane
from astrometry_client.config import DEFAULTS
from astrometry_client.session import ClientSession
from astrometry_client.session.interrupting import Interrupt, interruptible

__all__ = ["ROOM", "Lanes"]

ROOM: Final[Mapping[Lane, int]] = {
    "uploads": DEFAULTS.upload_threads,
    "reads": DEFAULTS.read_threads,
    "files": 1,
    "local": 1,
}
"""Threads of each lane. The ledger is written by one after the other anyway, and a disk read best so."""


class Lanes:
    """A few threads for uploads, for reads, for files, and for the ledger: none holds up the others.

    Parameters
    ----------
    client_session
        Makes the requests; by default each thread's own.
    """

    def __init__(self, client_session: ClientSession | None) -> None:
        self._session = client_session
        self._interrupts = {lane: Interrupt() for lane in ROOM}
        self._pools = {lane: ThreadPoolExecutor(room, lane) for lane, room in ROOM.items()}
        self._under_way: dict[Future[Any], Errand] = {}

    @property
    def free(self) -> dict[Lane, int]:
        """How much each lane has room for."""
        used = [errand.lane for errand in self._under_way.values()]
        return {lane: room - used.count(lane) for lane, room in ROOM.items()}

    @property
    def under_way(self) -> Mapping[Future[Any], Errand]:
        """What has been started and was not yet taken away from here."""
        return self._under_way

    @property
    def any_done(self) -> bool:
        """Whether something was done that was not yet taken away from here."""
        return any(future.done() for future in self._under_way)

    def start(self, errand: Errand) -> Future[Any]:
        """Have an errand carried out; the future holds what came of it."""
        future = self._pools[errand.lane].submit(self._carry_out, errand)
        self._under_way[future] = errand
        return future

    def take(self, future: "Future[Any]") -> Errand:
        """Take an errand away that has been carried out."""
        return self._under_way.pop(future)

    def close(self) -> None:
        """Cut off reads, and let uploads on their way arrive; interrupted, cut off those too."""
        self._interrupts["reads"].end()
        self._interrupts["files"].end()
        self._interrupts["uploads"].end_waits()
        try:
            self._shut_down()
        except KeyboardInterrupt:
            self._interrupts["uploads"].end()
            self._shut_down()
            raise

    def _shut_down(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)

    def _carry_out(self, errand: Errand) -> Any:
        with interruptible(self._interrupts[errand.lane]):
            return errand.carry_out(self._session)
