"""A server for a while, which solves what another did not solve in time, and whose solutions outlast it."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final, Self

import attrs

from astrometry_client.batch import BatchResult
from astrometry_client.client import Client
from astrometry_client.errors import NoUsableReply, Overloaded, SolveTimeout, Unreachable, UnreadableFileError
from astrometry_client.ledger import LOCAL, Key, Ledger
from astrometry_client.models import Settings

logger = logging.getLogger(__name__)

TOO_LATE: Final = (SolveTimeout, NoUsableReply, Overloaded)
"""After these errors an image is for the stand-in."""

Files = Iterable[str | Path]
Results = Generator[BatchResult, None, None]
Ask = Callable[[Files], Iterator[BatchResult]]


class StandIn:
    """A server that is started when it is first needed and gone at the end of the block.

    Parameters
    ----------
    start
        Starts it, and gives a client of it.
    ledger
        Remembers its solutions under the server `local`, so that none is solved again.
    settings
        Of all images.
    force
        Whether images are solved again all the same.
    deadline_s
        Seconds from now after which it solves nothing more.
    clock
        Seconds that never step back.
    is_enough
        Tells whether a remembered solution will do for an image: its server is gone, and the other results
        with it.
    """

    def __init__(
        self,
        start: Callable[[], AbstractContextManager[Client]],
        *,
        ledger: Ledger,
        settings: Settings,
        force: bool = False,
        deadline_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        is_enough: Callable[[Path], bool] = lambda _path: True,
    ) -> None:
        self._start = start
        self._ledger = ledger
        self._settings = settings
        self._force = force
        self._is_enough = is_enough
        self._clock = clock
        self._ends_s = None if deadline_s is None else clock() + deadline_s
        self._client: Client | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def client(self) -> Client:
        """A client of the server, which is started now if it was not yet."""
        if self._client is None:
            self._client = self._stack.enter_context(self._start())
        return self._client

    def solve_many(self, files: Files, **options: Any) -> Results:
        """Solve images, and yield what became of each.

        Parameters
        ----------
        files, **options
            See `Client.solve_many`.

        Yields
        ------
        result : BatchResult
            Its solution names the server `local`.
        """
        yield from self._known_first(files, lambda unknown: self._solved(iter(unknown), options))

    def solve_late(self, files: Files, ask: Ask, **options: Any) -> Results:
        """Let another server solve images, and solve those at last that it was too late for.

        Parameters
        ----------
        files
            See `Client.solve_many`.
        ask
            Asks the other server, such as `Client.solve_many` with its other arguments.
        **options
            See `Client.solve_many`; for what is solved here.

        Yields
        ------
        result : BatchResult
            From either server. What neither solved ends with the other's error.
        """
        yield from self._known_first(files, lambda unknown: self._after(iter(unknown), ask, options))

    def _after(
        self, files: Iterator[str | Path], ask: Ask, options: Mapping[str, Any]
    ) -> Iterator[BatchResult]:
        left = dict[str | Path, BatchResult | None]()

        def noted() -> Iterator[str | Path]:
            for path in files:
                left[path] = None
                yield path

        try:
            for result in ask(noted()):
                if isinstance(result.error, TOO_LATE):
                    left[result.path] = result
                else:
                    del left[result.path]
                    yield result
        except Unreachable as error:
            logger.warning("%s All that is left is solved on this machine.", error)
        for result in self._solved(itertools.chain(list(left), files), options):
            late = left.pop(result.path, None)
            yield result if result.solved or late is None else late
        yield from filter(None, left.values())

    def _solved(self, files: Iterator[str | Path], options: Mapping[str, Any]) -> Iterator[BatchResult]:
        first = next(files, None)
        left_s = None if self._ends_s is None else self._ends_s - self._clock()
        if first is None or (left_s is not None and left_s <= 0):
            return
        known = Ledger.in_memory()
        results = self.client.solve_many(
            itertools.chain([first], files),
            self._settings,
            ledger=known,
            deadline_s=left_s,
            **options,
        )
        for result in results:
            if result.solution is None:
                yield result
                continue
            solution = attrs.evolve(result.solution, server=LOCAL)
            key = self._key(result.path)
            # A file that has changed since is another image.
            if key is not None and known.entry(attrs.evolve(key, server=self.client.base_url)):
                self._ledger.remember(key, solution, name=str(result.path))
            yield attrs.evolve(result, solution=solution)

    def _known_first(self, files: Files, ask: Ask) -> Iterator[BatchResult]:
        """Yield what is remembered, and ask for the rest."""
        remaining = iter(files)
        met = deque[str | Path]()

        def unknown(first: str | Path) -> Iterator[str | Path]:
            yield first
            for path in remaining:
                if self._remembered(path):
                    met.append(path)
                else:
                    yield path

        def remembered() -> Iterator[BatchResult]:
            while met:
                path = met.popleft()
                yield self._remembered(path) or BatchResult(path=path)

        for path in remaining:
            if known := self._remembered(path):
                yield known
                continue
            for result in ask(unknown(path)):
                yield result
                yield from remembered()
        yield from remembered()

    def _remembered(self, path: str | Path) -> BatchResult | None:
        if self._force:
            return None
        key = self._key(path)
        entry = self._ledger.entry(key) if key else None
        solution = entry.solution(Path(path).name) if entry else None
        if key is None or solution is None or not self._is_enough(Path(path)):
            return None
        self._ledger.also_named(key, name=str(path))
        return BatchResult(path=path, solution=solution, from_ledger=True)

    def _key(self, path: str | Path) -> Key | None:
        try:
            return Key.of_file(path, self._settings, server=LOCAL)
        except UnreadableFileError:
            return None
