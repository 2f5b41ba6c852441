"""Results that land while others are waited for."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from astrometry_client.batch import BatchResult
from astrometry_client.results.landing import Landed, Landing
from astrometry_client.session.interrupting import Interrupt, interruptible

_AT_ONCE: Final = 2
"""One that fetches its files hides the other's writing; more would only share the rate limit."""

_MOST: Final = 16
"""Results that have not landed yet, before the batch waits for them."""


class Landings:
    """Lets results land in threads, for as long as it is used as a context manager.

    After an error those on their way are broken off; the next run lets them land.

    Parameters
    ----------
    landing
        Where they go.
    """

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._interrupt = Interrupt()
        self._pool = ThreadPoolExecutor(_AT_ONCE, "landing")
        self._under_way: deque[tuple[BatchResult, Future[Landed]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._interrupt.end()
        self._pool.shutdown(cancel_futures=kind is not None)

    def begin(self, result: BatchResult) -> None:
        """Let a result land."""
        self._under_way.append((result, self._pool.submit(self._land, result)))

    def ended(self, *, left: int = _MOST) -> Iterator[tuple[BatchResult, Landed]]:
        """Yield those that have landed, in their order; wait until no more than `left` are under way.

        Raises
        ------
        OSError
            A file cannot be written.
        """
        while self._under_way and (len(self._under_way) > left or self._under_way[0][1].done()):
            result, future = self._under_way.popleft()
            yield result, future.result()

    def rest(self) -> Iterator[tuple[BatchResult, Landed]]:
        """Yield those that had landed before the others were broken off; after the block."""
        while self._under_way:
            result, future = self._under_way.popleft()
            if not future.cancelled() and future.exception() is None:
                yield result, future.result()

    def _land(self, result: BatchResult) -> Landed:
        with interruptible(self._interrupt):
            return self._landing.land(result)
