"""Who is asked to solve images, and where it is written down."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import attrs

from astrometry_client.batch import BatchProgress, BatchResult
from astrometry_client.cli.batch_options import STDIN, BatchOptions
from astrometry_client.cli.clients import client_of, local_client
from astrometry_client.client import Client
from astrometry_client.driver import Progress
from astrometry_client.errors import LedgerError
from astrometry_client.flow import Step
from astrometry_client.ledger import LOCAL, Ledger
from astrometry_client.models import Settings
from astrometry_client.results import Landing
from astrometry_client.session import is_dry_run_enabled
from astrometry_client.stand_in import Files, Results, StandIn

_SQLITE: Final = b"SQLite format 3\0"
"""How a ledger begins, as any SQLite file."""


@attrs.frozen(kw_only=True)
class Asking:
    """A server and its stand-in. Without a client it is the stand-in that is asked.

    Parameters
    ----------
    asked
        What was asked for.
    client
        Of the server.
    stand_in
        The embedded server, not yet started.
    landing
        Where results go.
    fallback
        Whether the stand-in solves what the server does not in time.
    """

    asked: BatchOptions
    client: Client | None
    stand_in: StandIn
    landing: Landing
    fallback: bool

    @classmethod
    @contextmanager
    def opened(
        cls,
        names: Mapping[Path, Path],
        settings: Settings,
        asked: BatchOptions,
        options: Mapping[str, Any],
    ) -> Iterator[Self]:
        """Give what was asked for until the end of the block.

        Parameters
        ----------
        names
            Of the results of each image; see `result_names`.
        options
            Of which count `server_url`, `key_file`, `local` and `fallback`.
        """
        here = not is_dry_run_enabled("POST")
        ledger = asked.ledger and _ledger_at(asked.ledger)
        with ExitStack() as stack:
            client = None
            if not (here and options["local"]):
                client = stack.enter_context(client_of(options, settings=settings, ledger=ledger))
            ledger = client.ledger if client else ledger or Ledger()
            landing = Landing(
                names=names,
                wcs=asked.wcs,
                ledger=ledger,
                server=client.base_url if client else LOCAL,
                settings=settings,
                client_of=lambda server: stand_in.client if server == LOCAL or client is None else client,
                extras=asked.extras,
                overwrite=asked.overwrite,
                in_place=asked.in_place,
            )
            stand_in = StandIn(
                partial(local_client, workers=1 if len(names) == 1 else None),
                ledger=ledger,
                settings=settings,
                force=asked.force,
                deadline_s=asked.deadline_s,
                is_enough=landing.is_complete,
            )
            stack.enter_context(stand_in)
            yield cls(
                asked=asked,
                client=client,
                stand_in=stand_in,
                landing=landing,
                fallback=bool(here and options["fallback"]),
            )

    def one(self, image: Path, on_step: Progress) -> BatchResult:
        """Return what became of one image, which may come from standard input."""
        if self.client is None and image != STDIN:
            (result,) = self.many([image], lambda _path, step: on_step(step))
            return result
        asked, client = self.asked, self.client or self.stand_in.client
        redo = {"force": asked.force, "retry_failed": asked.retry_failed}
        return solved_by(client, image, on_step, self.landing.settings, timeout_s=asked.timeout_s, **redo)

    def many(self, files: Files, on_step: BatchProgress) -> Results:
        """Yield what becomes of images."""
        asked = self.asked
        told = {"max_unfinished": asked.max_unfinished, "pack": asked.pack, "on_step": on_step}
        limited = {**told, "timeout_s": asked.timeout_s}
        if self.client is None:
            return self.stand_in.solve_many(files, **limited)
        ask = partial(self._ask, self.client, limited)
        # What another server had no time for has had its wait; the engine here has a limit of its own.
        return self.stand_in.solve_late(files, ask, **told, timeout_s=None) if self.fallback else ask(files)

    def _ask(self, client: Client, options: Mapping[str, Any], files: Files) -> Results:
        asked = self.asked
        yield from client.solve_many(
            files,
            self.landing.settings,
            ledger=self.landing.ledger,
            force=asked.force,
            retry_failed=asked.retry_failed,
            deadline_s=asked.deadline_s,
            **options,
        )


def solved_by(
    client: Client, image: Path, on_step: Progress, settings: Settings | None = None, **options: Any
) -> BatchResult:
    """Return an image that a client solved: it was known if that took no step."""
    steps = list[Step]()

    def told(step: Step) -> None:
        steps[:] = [step]
        on_step(step)

    solution = client.solve(image, settings, on_step=told, **options)
    return BatchResult(path=image, solution=solution, from_ledger=not steps)


def _ledger_at(path: Path) -> Ledger:
    """Return the ledger at a path.

    Raises
    ------
    LedgerError
        It is another file, such as an image, which would be taken for a damaged ledger and renamed.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) not in {_SQLITE, b""}:
                raise LedgerError(f"{path} is no ledger of this package: name another file, or move it away.")
    return Ledger(path)
